//! Transactions and dependencies in words.

use super::anomaly::{Cycle, Step};
use super::cycles::Found;
use super::dependency::{Dependency, NO_VERSION};
use super::history::{History, Key, Micro, Status};
use super::search::Hop;
use super::versions::Versions;
use crate::Shown;
use crate::verdict::seconds;

/// So many steps of a transaction are shown.
const STEPS_MAX: usize = 16;

/// A transaction, as a person is to see it.
pub(crate) fn show(history: &History, index: u32) -> Shown {
    let transaction = &history.transactions()[index as usize];
    let micros = history.micros(transaction);
    let shown = micros.iter().take(STEPS_MAX);
    let mut words: Vec<String> = shown.map(|micro| history.micro_words(micro)).collect();
    if micros.len() > STEPS_MAX {
        words.push(format!("{} more", micros.len() - STEPS_MAX));
    }
    let until = match (transaction.completed, transaction.status) {
        (Some(at), Status::Ok) => seconds(at.time_ns),
        (Some(at), Status::Fail) => format!("{}, failed", seconds(at.time_ns)),
        _ => " unknown".to_owned(),
    };
    Shown {
        operation: index as usize,
        words: format!(
            "{{{}}} by {} ({}..{until})",
            words.join(", "),
            transaction.process,
            seconds(transaction.invoked.time_ns)
        ),
        optional: transaction.status == Status::Info,
    }
}

/// A cycle that was found, in words.
pub(crate) fn cycle(
    history: &History,
    versions: &Versions,
    reason: &dyn Fn(&Hop) -> Option<String>,
    found: &Found,
) -> Cycle {
    let step = |hop: &Hop| {
        let version = versions.all.get(hop.version as usize);
        let version = version.filter(|_| hop.version != NO_VERSION);
        Step {
            transaction: show(history, hop.from),
            dependency: hop.kind,
            key: version.map(|version| history.key_name(version.key).to_string()),
            why: match reason(hop) {
                None => why(history, versions, hop),
                Some(reason) => format!("{} ({reason})", why(history, versions, hop)),
            },
        }
    };
    Cycle {
        class: found.class,
        order: found.order,
        steps: found.hops.iter().map(step).collect(),
    }
}

fn why(history: &History, versions: &Versions, hop: &Hop) -> String {
    let (from, to) = (
        &history.transactions()[hop.from as usize],
        &history.transactions()[hop.to as usize],
    );
    let about = || {
        let version = versions.all[hop.version as usize];
        let (key, value) = (
            history.key_name(version.key),
            history.value_name(version.value),
        );
        (version.key, key, value)
    };
    let list = history
        .micros(to)
        .iter()
        .any(|micro| matches!(micro, Micro::Append { .. } | Micro::ReadList { .. }));
    match hop.kind {
        Dependency::WriteWrite => {
            let (key, name, value) = about();
            let last = last_write(history, hop.from, key);
            if list {
                format!("appended {last} to {name}, and the next one {value} after that")
            } else {
                format!("wrote {last} to {name}, which the next one overwrote with {value}")
            }
        }
        Dependency::WriteRead => {
            let (_, name, value) = about();
            if list {
                format!("appended {value} to {name}, which the next one saw")
            } else {
                format!("wrote {value} to {name}, which the next one saw")
            }
        }
        Dependency::ReadWrite => {
            let (_, name, value) = about();
            if list {
                format!("saw {name} without {value}, which the next one appended")
            } else {
                format!("saw {name} as it was before the next one wrote {value}")
            }
        }
        Dependency::Process => {
            let process = from.process;
            format!("was what {process} did before it asked for the next one")
        }
        Dependency::RealTime => {
            let completed = from.completed.map_or(0, |at| at.time_ns);
            let (completed, invoked) = (seconds(completed), seconds(to.invoked.time_ns));
            format!("was complete at {completed}, and the next one asked for at {invoked}")
        }
    }
}

/// What the transaction wrote last of the key.
fn last_write(history: &History, transaction: u32, wanted: Key) -> String {
    let transaction = &history.transactions()[transaction as usize];
    let micros = history.micros(transaction).iter().rev();
    let mut values = micros.filter_map(|micro| match *micro {
        Micro::Append {
            key,
            element: value,
        }
        | Micro::Write { key, value } => (key == wanted).then_some(value),
        _ => None,
    });
    values.next().map_or_else(
        || "something".to_owned(),
        |value| history.value_name(value).to_string(),
    )
}
