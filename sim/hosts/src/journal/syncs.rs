//! The syncs of a journal, all of them: what was not synced is lost when the power is, and nowhere else can it be told that a sync is
//! missing. A process that is killed loses nothing that it has written, as the operating system has it.

#[cfg(test)]
use super::platter::Platter;
use std::fs::File;
use std::io;
use std::path::Path;
#[cfg(test)]
use std::sync::Arc;

/// How a journal makes durable what it writes.
#[derive(Clone, Debug, Default)]
pub(crate) enum Syncs {
    /// As the operating system does.
    #[default]
    Real,
    /// On a disk that a test can take the power from.
    #[cfg(test)]
    To(Arc<Platter>),
}

impl Syncs {
    /// What is in a file.
    pub(super) fn data(&self, file: &File) -> io::Result<()> {
        match self {
            Syncs::Real => file.sync_data(),
            #[cfg(test)]
            Syncs::To(platter) => platter.sync(file),
        }
    }

    /// What is in a file, and what is said of it.
    pub(super) fn all(&self, file: &File) -> io::Result<()> {
        match self {
            Syncs::Real => file.sync_all(),
            #[cfg(test)]
            Syncs::To(platter) => platter.sync(file),
        }
    }

    /// Which files are in a folder, under which names.
    pub(super) fn folder(&self, folder: &Path) -> io::Result<()> {
        match self {
            Syncs::Real => File::open(folder)?.sync_all(),
            #[cfg(test)]
            Syncs::To(platter) => platter.sync_folder(),
        }
    }
}
