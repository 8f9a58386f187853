//! What can be wrong with a single read of a register.

use super::anomaly::Anomaly;
use super::history::{History, Key, Micro, Status, Value};
use super::report::Few;
use super::versions::{Version, Versions};
use super::words::show;

/// What was found, by kind.
#[derive(Default)]
pub(crate) struct Found {
    internal: Few,
    aborted: Few,
    intermediate: Few,
    thin_air: Few,
    future: Few,
}

impl Found {
    pub(crate) fn into_few(self) -> Vec<Few> {
        vec![
            self.internal,
            self.aborted,
            self.intermediate,
            self.thin_air,
            self.future,
        ]
    }

    /// A transaction does not find what it had found or written before.
    pub(crate) fn internal(
        &mut self,
        history: &History,
        transaction: u32,
        step: &Micro,
        expected: Option<Value>,
    ) {
        self.internal.add(|| Anomaly::Internal {
            transaction: show(history, transaction),
            step: history.micro_words(step),
            expected: expected.map_or_else(
                || "nothing".to_owned(),
                |value| history.value_name(value).to_string(),
            ),
        });
    }

    /// A transaction found this value of the key, and not its own: says whether that makes sense, and notes why not.
    pub(crate) fn external(
        &mut self,
        history: &History,
        versions: &Versions,
        (key, value, reader): (Key, Value, u32),
        version: Option<u32>,
    ) -> Option<u32> {
        let read = || show(history, reader);
        let name = || history.key_name(key).to_string();
        let words = || history.value_name(value).to_string();
        let Some(index) = version else {
            self.thin_air.add(|| Anomaly::ThinAir {
                key: name(),
                value: words(),
                read: read(),
            });
            return None;
        };
        let Version {
            writer,
            overwritten,
            ..
        } = versions.all[index as usize];
        if writer == reader {
            self.future.add(|| Anomaly::FutureRead {
                key: name(),
                value: words(),
                transaction: read(),
            });
            return None;
        }
        if history.transactions()[writer as usize].status == Status::Fail {
            self.aborted.add(|| Anomaly::AbortedRead {
                key: name(),
                value: words(),
                read: read(),
                write: show(history, writer),
            });
        }
        if overwritten {
            self.intermediate.add(|| Anomaly::IntermediateRead {
                key: name(),
                value: words(),
                read: read(),
                write: show(history, writer),
            });
        }
        version
    }
}
