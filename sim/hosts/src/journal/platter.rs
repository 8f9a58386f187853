//! A disk that knows what is on it for good. When the power is lost, that is what is left, and perhaps a part of what was appended since.

use super::{JournalError, lock};
use splitbrain_core::Rng;
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How long a sync of a file takes.
const SYNC: Duration = Duration::from_millis(3);

/// The disk under the folder of one journal.
#[derive(Debug)]
pub(crate) struct Platter {
    folder: PathBuf,
    /// Whether syncs do what they say.
    honest: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    power: Power,
    /// By the number of its inode, which is not given anew while the file is open here.
    files: BTreeMap<u64, Durable>,
    /// Which of them is `journal`, for good.
    journal: u64,
}

#[derive(Debug)]
enum Power {
    On,
    Lost {
        /// What is left of the journal.
        left: Vec<u8>,
        /// How many bytes are not.
        lost: u64,
    },
}

/// A file, and how much of it is durable.
#[derive(Debug)]
struct Durable {
    file: File,
    bytes: u64,
}

impl State {
    /// With power, and everything that is there now durable.
    fn of(folder: &Path) -> io::Result<State> {
        let file = File::open(folder.join("journal"))?;
        let metadata = file.metadata()?;
        let (journal, bytes) = (metadata.ino(), metadata.len());
        Ok(State {
            power: Power::On,
            files: BTreeMap::from([(journal, Durable { file, bytes })]),
            journal,
        })
    }
}

impl Platter {
    /// Under a journal that was made and is not open. If it is not honest, it syncs nothing and says that it has.
    pub(crate) fn under(folder: &Path, honest: bool) -> Arc<Platter> {
        let state = State::of(folder).expect("there is a journal");
        Arc::new(Platter {
            folder: folder.to_owned(),
            honest,
            state: Mutex::new(state),
        })
    }

    /// What a sync that is called now may change; nothing changes without power, and whoever waits for it waits in vain.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().expect("nobody panics with it");
        if matches!(state.power, Power::On) {
            Ok(state)
        } else {
            Err(io::Error::other("there is no power"))
        }
    }

    /// What is in the file now becomes durable, in some time: whoever does not wait for it relies on what may be lost.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        thread::sleep(SYNC);
        let mut state = self.state()?;
        if self.honest {
            let metadata: Metadata = file.metadata()?;
            let (file, bytes) = (file.try_clone()?, metadata.len());
            state.files.insert(metadata.ino(), Durable { file, bytes });
        }
        Ok(())
    }

    /// The names that files have now become durable.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state()?;
        if self.honest {
            let journal = fs::metadata(self.folder.join("journal"))?.ino();
            assert!(
                state.files.contains_key(&journal),
                "a file became the journal before it was synced"
            );
            state.journal = journal;
            state.files.retain(|inode, _| *inode == journal);
        }
        Ok(())
    }

    /// From now on nothing becomes durable. What is left is what was, and of what was appended since to the journal as much as chance
    /// will have.
    pub(crate) fn lose_power(&self, rng: &mut Rng) {
        let mut state = self
            .state()
            .expect("it has power, and nobody panics with it");
        let Durable { file, bytes } = &state.files[&state.journal];
        let written = file.metadata().expect("it is open").len();
        // Every second time all of it is lost; of what a disk has only said to be synced, always.
        let chances = u64::from(self.honest && rng.below(2) == 0);
        let kept = chances * rng.between(0..=written.saturating_sub(*bytes));
        let mut left = vec![0; usize::try_from(*bytes + kept).expect("it is small")];
        file.read_exact_at(&mut left, 0).expect("it is open");
        state.power = Power::Lost {
            left,
            lost: written.saturating_sub(*bytes + kept),
        };
    }

    /// Puts what is left in the place of what was written; says how many bytes of the journal were lost, or nothing if it is still open
    /// somewhere and is to be tried again.
    pub(crate) fn regain_power(&self) -> Option<u64> {
        let lock = match lock(&self.folder) {
            Ok(lock) => lock,
            Err(JournalError::InUse(_)) => return None,
            Err(error) => panic!("{error}"),
        };
        let mut state = self.state.lock().expect("nobody panics with it");
        let Power::Lost { left, lost } = &state.power else {
            panic!("it has power");
        };
        let lost = *lost;
        fs::write(self.folder.join("journal"), left).expect("there is room");
        *state = State::of(&self.folder).expect("it was just written");
        drop(lock);
        Some(lost)
    }
}
