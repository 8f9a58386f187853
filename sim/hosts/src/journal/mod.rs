//! A journal in a file: what a node [appended](splitbrain_core::Context::append) is in it once a sync is durable, and a restart finds it.
//!
//! A folder holds `journal`, while it is compacted `journal.new`, and `lock`, which the process that uses the folder holds. The journal
//! is made, and replaced, as a whole: written under the other name, synced, renamed, and the folder synced, so that there
//! is always one that is whole. The layout of the file, and how damage is told, is in `format.rs`.

mod format;
#[cfg(test)]
pub(crate) mod platter;
mod syncs;

use format::{put_mark, put_record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_core::{Damage, Journal, SyncError};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
pub(crate) use syncs::Syncs;

/// Why a journal cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it.
    #[error("{0}: another process uses this journal")]
    InUse(PathBuf),
    /// There is none to open.
    #[error("{0}: there is no journal here")]
    Missing(PathBuf),
    /// There is one already where one was to be made.
    #[error("{0}: there is a journal here already")]
    Exists(PathBuf),
    /// Neither its header nor the copy of it can be read.
    #[error("{0}: this is no journal, or the beginning of it is damaged beyond reading")]
    NotAJournal(PathBuf),
    /// A sound record says nothing to this node: another program, or another version of it, wrote it.
    #[error("{path}: record {position} was not written by this version of the program")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which record, from zero.
        position: usize,
    },
    /// A record is longer than a record can be.
    #[error("{0}: a record of more than 4 GiB cannot be written")]
    TooLong(PathBuf),
    /// The operating system says no.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Records, encoded, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    /// Adds a record.
    ///
    /// # Panics
    /// If the record cannot be encoded, which is a fault of its type: it is of a kind that no compact form can hold.
    pub(crate) fn push<R: Serialize>(&mut self, record: &R) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(record, bytes).expect("records can be encoded");
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn of<R: Serialize>(records: &[R]) -> Encoded {
        let mut encoded = Encoded::default();
        for record in records {
            encoded.push(record);
        }
        encoded
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds those of another one.
    pub(crate) fn append(&mut self, other: &Encoded) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

/// What is to become durable together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// In place of everything that there was.
    pub(crate) compacted: Option<Encoded>,
    /// After that.
    pub(crate) appended: Encoded,
}

impl Batch {
    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.compacted.is_none() && self.appended.is_empty()
    }
}

/// A journal in a folder of its own, which no other process can open meanwhile.
#[derive(Debug)]
pub struct FileJournal {
    folder: PathBuf,
    file: File,
    /// Held for as long as this lives: the lock ends with the process, however that ends.
    _lock: File,
    syncs: Syncs,
    salt: u64,
    /// Where the next record goes.
    end: u64,
    /// How many records there are, all of them durable.
    records: u64,
    /// Whether a sync has failed such that what is in the file is not known: nothing becomes durable any more.
    broken: bool,
}

impl FileJournal {
    /// Makes a journal that begins with these records: what [`Node::format`](splitbrain_core::Node::format) says. The folder is
    /// made, if there is none.
    ///
    /// # Errors
    /// If there is a journal already, or the folder cannot be written.
    pub fn create<R: Serialize>(folder: &Path, records: &[R]) -> Result<FileJournal, JournalError> {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        let lock = lock(folder)?;
        let path = folder.join("journal");
        if path.try_exists().map_err(io_error(&path))? {
            return Err(JournalError::Exists(path));
        }
        let syncs = Syncs::default();
        let new = write_new(folder, &Encoded::of(records), &syncs)?;
        install(folder, &syncs).map_err(io_error(folder))?;
        Ok(FileJournal::new(folder, lock, syncs, new))
    }

    /// Opens the journal, cuts off what was never confirmed at its end, and says what is in it.
    ///
    /// # Errors
    /// If there is none, another process has it, or what is there is none of this node's.
    pub fn open<R: DeserializeOwned>(
        folder: &Path,
    ) -> Result<(FileJournal, Journal<R>), JournalError> {
        FileJournal::open_with(folder, Syncs::default())
    }

    pub(crate) fn open_with<R: DeserializeOwned>(
        folder: &Path,
        syncs: Syncs,
    ) -> Result<(FileJournal, Journal<R>), JournalError> {
        let path = folder.join("journal");
        if !path.try_exists().map_err(io_error(&path))? {
            return Err(JournalError::Missing(path));
        }
        let lock = lock(folder)?;
        // What a compaction that was cut short has left.
        match fs::remove_file(folder.join("journal.new")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_error(&path)(error));
            }
            _ => {}
        }
        let bytes = fs::read(&path).map_err(io_error(&path))?;
        let Ok(scanned) = format::scan(&bytes) else {
            return Err(JournalError::NotAJournal(path));
        };
        let mut found: Vec<Result<R, Damage>> = Vec::with_capacity(scanned.records.len());
        for (position, record) in scanned.records.iter().enumerate() {
            found.push(match record {
                None => Err(Damage::Corrupt),
                Some(at) => match postcard::take_from_bytes(&bytes[at.clone()]) {
                    Ok((record, [])) => Ok(record),
                    _ => return Err(JournalError::Foreign { path, position }),
                },
            });
        }
        if scanned.torn {
            found.push(Err(Damage::Torn));
        }
        let records = scanned.records.len() as u64;
        let new = cut(&path, &scanned, records, &syncs).map_err(io_error(&path))?;
        Ok((
            FileJournal::new(folder, lock, syncs, new),
            found.into_iter().collect(),
        ))
    }

    fn new(folder: &Path, lock: File, syncs: Syncs, written: Written) -> FileJournal {
        let Written {
            file,
            salt,
            end,
            records,
        } = written;
        FileJournal {
            folder: folder.to_owned(),
            file,
            _lock: lock,
            syncs,
            salt,
            end,
            records,
            broken: false,
        }
    }

    /// Makes this durable, all of it or, of what is appended, perhaps a part.
    ///
    /// A disk that is full takes nothing and leaves what there was, and a shorter journal may fit. After any other failure
    /// nobody knows what is on the disk (the kernel may have dropped what it could not write, and say that all is well the next
    /// time), so nothing becomes durable until the journal is opened again.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), SyncError> {
        if self.broken {
            return Err(SyncError::Device);
        }
        let result = match &batch.compacted {
            Some(compacted) => self.replace(compacted, &batch.appended),
            None => self.append(&batch.appended),
        };
        result.map_err(|error| {
            tracing::error!(folder = %self.folder.display(), %error, "a sync failed");
            let failure = if is_full(&error) {
                SyncError::Full
            } else {
                SyncError::Device
            };
            self.broken |= failure == SyncError::Device;
            failure
        })
    }

    fn append(&mut self, appended: &Encoded) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(
            appended.bytes.len() + (appended.ends.len() + 1) * format::HEAD_BYTES,
        );
        let mut records = self.records;
        for payload in appended.iter() {
            if !put_record(&mut bytes, self.salt, records, self.records, payload) {
                return Err(io::Error::other("a record of more than 4 GiB"));
            }
            records += 1;
        }
        if bytes.is_empty() {
            return Ok(()); // all of it is durable already
        }
        let written = self.file.write_all_at(&bytes, self.end);
        if let Err(error) = written.and_then(|()| self.syncs.data(&self.file)) {
            // Whether or not the disk is full: what is behind the end must not be taken for records later.
            self.broken |= self.file.set_len(self.end).is_err();
            return Err(error);
        }
        self.end += bytes.len() as u64;
        self.records = records;
        self.mark();
        Ok(())
    }

    /// Says behind the last record that it is durable. The next sync takes this along. If it is lost, or fails, damage of the last
    /// records would be taken for the work of a crash, as it is with every journal that keeps no marks.
    fn mark(&mut self) {
        let mut bytes = Vec::with_capacity(format::HEAD_BYTES);
        put_mark(&mut bytes, self.salt, self.records);
        match self.file.write_all_at(&bytes, self.end) {
            Ok(()) => self.end += bytes.len() as u64,
            Err(_) => self.broken |= self.file.set_len(self.end).is_err(),
        }
    }

    fn replace(&mut self, compacted: &Encoded, appended: &Encoded) -> io::Result<()> {
        let mut all = compacted.clone();
        all.append(appended);
        let written = match write_new(&self.folder, &all, &self.syncs) {
            Ok(written) => written,
            Err(JournalError::Io { error, .. }) => return Err(error),
            Err(other) => return Err(io::Error::other(other)),
        };
        // From here on nobody knows which of the two a restart would find.
        if let Err(error) = install(&self.folder, &self.syncs) {
            self.broken = true;
            return Err(error);
        }
        let Written {
            file,
            salt,
            end,
            records,
        } = written;
        (self.file, self.salt, self.end, self.records) = (file, salt, end, records);
        Ok(())
    }
}

/// A file of which everything is durable.
struct Written {
    file: File,
    salt: u64,
    end: u64,
    records: u64,
}

/// Writes a whole journal beside the one that there is.
fn write_new(folder: &Path, records: &Encoded, syncs: &Syncs) -> Result<Written, JournalError> {
    let path = folder.join("journal.new");
    let salt = RandomState::new().hash_one(0);
    let count = records.ends.len() as u64;
    let mut bytes = format::header(salt).to_vec();
    for (ordinal, payload) in (0..).zip(records.iter()) {
        if !put_record(&mut bytes, salt, ordinal, 0, payload) {
            return Err(JournalError::TooLong(path));
        }
    }
    // True when the file becomes the journal: it is synced before.
    put_mark(&mut bytes, salt, count);
    let write = || {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path)?;
        file.write_all_at(&bytes, 0)?;
        syncs.all(&file)?;
        Ok(file)
    };
    let file = write().map_err(|error| {
        // It takes room that others may need. If it stays, the next start removes it.
        let _ = fs::remove_file(&path);
        io_error(&path)(error)
    })?;
    Ok(Written {
        file,
        salt,
        end: bytes.len() as u64,
        records: count,
    })
}

/// Puts what [`write_new`] has written in place of the journal.
fn install(folder: &Path, syncs: &Syncs) -> io::Result<()> {
    fs::rename(folder.join("journal.new"), folder.join("journal"))?;
    syncs.folder(folder)
}

/// Cuts off the end that was never confirmed.
fn cut(path: &Path, scanned: &format::Scanned, records: u64, syncs: &Syncs) -> io::Result<Written> {
    let file = File::options().read(true).write(true).open(path)?;
    // A process that was killed may have left its last records with the kernel only.
    syncs.all(&file)?;
    let mut mark = Vec::new();
    put_mark(&mut mark, scanned.salt, records);
    // First the mark and then the cut: with what is cut off goes what else says that the records before it were durable.
    let end = scanned.end as u64;
    if scanned.torn {
        file.write_all_at(&mark, end)?;
        file.set_len(end + mark.len() as u64)?;
        syncs.all(&file)?;
        let end = end + mark.len() as u64;
        return Ok(Written {
            file,
            salt: scanned.salt,
            end,
            records,
        });
    }
    Ok(Written {
        file,
        salt: scanned.salt,
        end,
        records,
    })
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("lock");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |error| JournalError::Io { path, error }
}

#[cfg(test)]
mod tests;
