//! Transactions against brute force: what is found is really forbidden, and what brute force forbids is found where it can be.

mod serial;

use proptest::prelude::*;
use serial::{Criterion, possible};
use splitbrain_check::transactions::{
    Anomaly, History, Key, Level, Micro, RegisterSettings, Report, Seen, Value, WeakLevel,
    check_lists, check_registers, check_weak,
};
use splitbrain_check::{Budget, ProcessId, Verdict};

/// A transaction as proptest draws it: process, steps, how it ends, and how many events it stays open.
#[derive(Clone, Debug)]
struct Drawn {
    process: u64,
    steps: Vec<(bool, usize)>,
    ending: u8,
    open_for: usize,
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let steps = prop::collection::vec((any::<bool>(), 0..2_usize), 1..4);
    let one = (0..3_u64, steps, 0..10_u8, 0..4_usize);
    let one = one.prop_map(|(process, steps, ending, open_for)| Drawn {
        process,
        steps,
        ending,
        open_for,
    });
    prop::collection::vec(one, 1..6)
}

/// The history of the drawn transactions. What a read sees is drawn from what was appended to its key at all: mostly it is wrong,
/// sometimes right.
fn history(drawn: &[Drawn], choices: &[usize], lists: bool) -> History {
    let mut history = History::new();
    let mut steps = Vec::new();
    let mut appended: [Vec<Value>; 2] = Default::default();
    let keys = [history.key("x"), history.key("y")];
    let mut number = 0;
    for transaction in drawn {
        let mut own = Vec::new();
        for &(write, key) in &transaction.steps {
            if write {
                number += 1;
                let value = history.value(number);
                appended[key].push(value);
                own.push(wrote(keys[key], value, lists));
            } else {
                own.push(unread(keys[key], lists));
            }
        }
        steps.push(own);
    }
    // One order of each key for all, so that not everything is incompatible; a list that was read is a beginning of it, as a rule.
    let mut choices = choices.iter().copied().cycle();
    let mut choose = |end: usize| choices.next().map_or(0, |choice| choice % end.max(1));
    for values in &mut appended {
        for place in 1..values.len() {
            values.swap(place, choose(place + 1));
        }
    }
    let mut answers = Vec::new();
    for own in &steps {
        let mut answer = own.clone();
        for micro in &mut answer {
            let key = usize::from(micro.key() == keys[1]);
            let values = &appended[key];
            match micro {
                Micro::ReadList { elements, .. } => {
                    let mut seen = values[..choose(values.len() + 1)].to_vec();
                    if choose(10) == 0 && !seen.is_empty() {
                        seen.remove(0);
                    }
                    *elements = Some(history.list(seen));
                }
                Micro::Read { seen, .. } => {
                    let choice = choose(values.len() + 1);
                    *seen = values
                        .get(choice)
                        .map_or(Seen::Nothing, |v| Seen::Value(*v));
                }
                _ => {}
            }
        }
        answers.push(answer);
    }
    play(&mut history, drawn, &steps, &answers);
    history
}

fn wrote(key: Key, value: Value, lists: bool) -> Micro {
    if lists {
        Micro::Append {
            key,
            element: value,
        }
    } else {
        Micro::Write { key, value }
    }
}

fn unread(key: Key, lists: bool) -> Micro {
    if lists {
        Micro::ReadList {
            key,
            elements: None,
        }
    } else {
        Micro::Read {
            key,
            seen: Seen::Unknown,
        }
    }
}

/// The events: each transaction is asked for when its process is free, and stays open while so many others are asked for.
fn play(history: &mut History, drawn: &[Drawn], steps: &[Vec<Micro>], answers: &[Vec<Micro>]) {
    // Of those that are open: its number, and until when.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut processes: Vec<u64> = Vec::new();
    let mut time = 0;
    let end = |history: &mut History, time: u64, number: usize, process: u64| {
        match drawn[number].ending {
            0 => history.fail(time, ProcessId(process)),
            1 => history.info(time, ProcessId(process)),
            _ => history.ok(time, ProcessId(process), &answers[number]),
        }
        .expect("it is open");
    };
    for (number, transaction) in drawn.iter().enumerate() {
        let wanted = transaction.process;
        let same = |(other, _): &(usize, usize)| processes[*other] % 100 == wanted;
        let due = |(other, until): &(usize, usize)| *until <= number || same(&(*other, 0));
        for (other, _) in open.extract_if(.., |entry| due(entry)).collect::<Vec<_>>() {
            time += 1;
            end(history, time, other, processes[other]);
        }
        // A process whose last transaction is unknown goes on under another number.
        let unknown = (0..number)
            .filter(|other| drawn[*other].ending == 1 && processes[*other] % 100 == wanted);
        processes.push(wanted + 100 * unknown.count() as u64);
        time += 1;
        let process = ProcessId(processes[number]);
        history
            .invoke(time, process, &steps[number])
            .expect("it is free");
        open.push((number, number + 1 + transaction.open_for));
    }
    for (other, _) in open {
        time += 1;
        end(history, time, other, processes[other]);
    }
}

/// What brute force says of a level: of those that it knows.
fn brute(history: &History, level: Level) -> Option<bool> {
    let criterion = match level {
        Level::SnapshotIsolation => Criterion::Snapshot { real_time: false },
        Level::StrongSnapshotIsolation => Criterion::Snapshot { real_time: true },
        Level::Serializable => Criterion::Serial {
            sessions: false,
            real_time: false,
        },
        Level::StrongSessionSerializable => Criterion::Serial {
            sessions: true,
            real_time: false,
        },
        Level::StrictSerializable => Criterion::Serial {
            sessions: true,
            real_time: true,
        },
        _ => return None,
    };
    Some(possible(history, criterion))
}

fn words(history: &History) -> String {
    let transactions = history.transactions().iter().map(|transaction| {
        let micros = history.micros(transaction).iter();
        let micros: Vec<String> = micros.map(|micro| history.micro_words(micro)).collect();
        let (from, to) = (
            transaction.invoked.event,
            transaction.completed.map(|at| at.event),
        );
        format!(
            "{} {from}..{to:?} {:?}: {}\n",
            transaction.process,
            transaction.status,
            micros.join("; ")
        )
    });
    transactions.collect()
}

/// Each anomaly is one, and no level is ruled out that is possible.
fn sound(history: &History, report: &Report) -> Result<(), TestCaseError> {
    for level in Level::ALL {
        let Some(possible) = brute(history, level) else {
            continue;
        };
        if possible {
            prop_assert!(
                !report.ruled_out.contains(&level),
                "{level}: {report}\n{}",
                words(history)
            );
            let wrong = report
                .anomalies
                .iter()
                .find(|anomaly| anomaly.rules_out(level));
            prop_assert!(wrong.is_none(), "{level}: {report}\n{}", words(history));
        }
    }
    for level in &report.ruled_out {
        let reasons = report
            .anomalies
            .iter()
            .filter(|anomaly| anomaly.rules_out(*level));
        prop_assert!(reasons.count() > 0, "{level}: {report}\n{}", words(history));
    }
    Ok(())
}

/// Whether the order of all writes is known from the reads: each append was seen, and nothing is unknown.
fn complete(history: &History, report: &Report) -> bool {
    use splitbrain_check::transactions::Status;
    let mut appended = 0;
    let mut seen: Vec<Value> = Vec::new();
    for transaction in history.transactions() {
        if transaction.status == Status::Info {
            return false;
        }
        for micro in history.micros(transaction) {
            match micro {
                Micro::Append { .. } => appended += usize::from(transaction.status == Status::Ok),
                Micro::ReadList {
                    elements: Some(list),
                    ..
                } if transaction.status == Status::Ok => seen.extend(history.elements(*list)),
                _ => {}
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    let incompatible = |anomaly: &Anomaly| matches!(anomaly, Anomaly::IncompatibleOrders { .. });
    seen.len() == appended && !report.anomalies.iter().any(incompatible)
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("SPLITBRAIN_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(20_000);
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn lists_agree_with_brute_force(drawn in drawn(), choices in prop::collection::vec(0..1000_usize, 24)) {
        let history = history(&drawn, &choices, true);
        let report = check_lists(&history, Budget::default()).expect("lists");
        sound(&history, &report)?;
        if complete(&history, &report) {
            for level in Level::ALL {
                if let Some(possible) = brute(&history, level) {
                    prop_assert_eq!(possible, !report.ruled_out.contains(&level), "{}: {}\n{}", level, report, words(&history));
                }
            }
        }
        let again = check_lists(&history, Budget::default()).expect("lists");
        prop_assert_eq!(&report, &again);
        // Levels are decided whatever the budget.
        let poor = check_lists(&history, Budget { steps: 0 }).expect("lists");
        prop_assert_eq!(report.ruled_out, poor.ruled_out);
    }

    #[test]
    fn registers_agree_with_brute_force(
        drawn in drawn(),
        choices in prop::collection::vec(0..1000_usize, 24),
        sequential_keys: bool,
        linearizable_keys: bool,
    ) {
        let history = history(&drawn, &choices, false);
        let plain = RegisterSettings::default();
        let report = check_registers(&history, plain, Budget::default()).expect("registers");
        sound(&history, &report)?;
        // With more assumptions, only what they allow is a reason to find nothing.
        let settings = RegisterSettings { sequential_keys, linearizable_keys, ..plain };
        let report = check_registers(&history, settings, Budget::default()).expect("registers");
        let level = match (sequential_keys, linearizable_keys) {
            (_, true) => Level::StrictSerializable,
            (true, false) => Level::StrongSessionSerializable,
            _ => Level::Serializable,
        };
        if brute(&history, level) == Some(true) {
            prop_assert!(!report.ruled_out.contains(&level), "{}\n{}", report, words(&history));
        }
        let again = check_registers(&history, settings, Budget::default()).expect("registers");
        prop_assert_eq!(&report, &again);
    }

    #[test]
    fn weak_levels_agree_with_brute_force(drawn in drawn(), choices in prop::collection::vec(0..1000_usize, 24)) {
        let history = history(&drawn, &choices, false);
        for level in [WeakLevel::ReadCommitted, WeakLevel::ReadAtomic, WeakLevel::Causal] {
            let verdict = check_weak(&history, level).expect("registers");
            let possible = serial::weak::possible(&history, level);
            prop_assert_eq!(possible, verdict == Verdict::Valid, "{}: {:?}\n{}", level, verdict, words(&history));
        }
    }
}
