//! What is to become durable, and the blocking thread that makes it so.

use crate::journal::{Batch, Encoded, FileJournal};
use serde::Serialize;
use splitbrain_core::{SyncError, SyncId};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// What was written since the last batch.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// What a sync was called for, and which ones.
    ready: Batch,
    syncs: Vec<SyncId>,
    /// What came after the last of them. It must not become durable before another sync: a restart is to find what was durable before a
    /// compaction until then.
    loose: Batch,
    /// Whether everything is to be written, sync or not.
    all: bool,
}

impl Pending {
    pub(super) fn append<R: Serialize>(&mut self, record: &R) {
        self.loose.appended.push(record);
    }

    pub(super) fn compact<R: Serialize>(&mut self, records: &[R]) {
        self.loose = Batch {
            compacted: Some(Encoded::of(records)),
            appended: Encoded::default(),
        };
    }

    pub(super) fn sync(&mut self, sync: SyncId) {
        self.make_ready();
        self.syncs.push(sync);
    }

    fn make_ready(&mut self) {
        let loose = std::mem::take(&mut self.loose);
        if loose.compacted.is_some() {
            // In place of all that was to come before it, for which the earlier syncs were called: it stands for that, too.
            self.ready = loose;
        } else {
            self.ready.appended.append(&loose.appended);
        }
    }

    /// What is there now, and what comes, needs no sync to be written.
    pub(super) fn sync_all(&mut self) {
        self.all = true;
    }

    pub(super) fn clear(&mut self) {
        *self = Pending {
            all: self.all,
            ..Pending::default()
        };
    }

    /// What is to be written now, if there is something.
    pub(super) fn take(&mut self) -> Option<(Batch, Vec<SyncId>)> {
        if self.all {
            self.make_ready();
        }
        let wanted = !self.syncs.is_empty() || (self.all && !self.ready.is_empty());
        if !wanted {
            return None;
        }
        Some((
            std::mem::take(&mut self.ready),
            std::mem::take(&mut self.syncs),
        ))
    }
}

/// What became of a batch.
pub(super) struct Written {
    pub(super) syncs: Vec<SyncId>,
    pub(super) result: Result<(), SyncError>,
    pub(super) took: Duration,
}

/// The disk, and the one thread that writes on it, if one does.
pub(super) struct Writing {
    /// `None` while it is written on, and if there is no disk.
    journal: Option<FileJournal>,
    task: Option<(JoinHandle<Committed>, Began)>,
}

/// The disk is given back with what became of the batch.
type Committed = (FileJournal, Result<(), SyncError>);

struct Began {
    syncs: Vec<SyncId>,
    at: Instant,
}

impl Writing {
    pub(super) fn new(journal: Option<FileJournal>) -> Writing {
        Writing {
            journal,
            task: None,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.task.is_some()
    }

    /// Begins to write a batch; there must be none under way.
    ///
    /// # Errors
    /// If there is no disk.
    pub(super) fn begin(&mut self, batch: Batch, syncs: Vec<SyncId>) -> Result<(), String> {
        let Some(mut journal) = self.journal.take() else {
            return Err("it writes, and was given no journal".to_owned());
        };
        let task = spawn_blocking(move || {
            let result = journal.commit(&batch);
            (journal, result)
        });
        let at = Instant::now();
        self.task = Some((task, Began { syncs, at }));
        Ok(())
    }

    /// Waits until the batch is written; for ever, if there is none. May be given up and called again.
    pub(super) async fn done(&mut self) -> Written {
        let Some((task, _)) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        let began = self.task.take().map(|(_, began)| began);
        let (syncs, took) =
            began.map_or_else(Default::default, |began| (began.syncs, began.at.elapsed()));
        let result = match ended {
            Ok((journal, result)) => {
                self.journal = Some(journal);
                result
            }
            // The thread has panicked, or the runtime ends: what it has done nobody knows, and there is no journal any more.
            Err(_) => Err(SyncError::Device),
        };
        Written {
            syncs,
            result,
            took,
        }
    }
}
