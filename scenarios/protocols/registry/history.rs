//! What clients were told: by whom calls were answered, and who was found.

use super::Registry;
use serde::Serialize;
use splitbrain::check::{History, HistoryError, Operation, Outcome, jsonl};
use splitbrain::protocol::{Contradiction, HistoryOf, Judgement};
use splitbrain_protocols::discovery::Label;
use splitbrain_protocols::discovery::health::Status;
use splitbrain_protocols::registry::{FIRST_PORT, Found, Op, Ret, Source, node_of};
use std::collections::BTreeMap;
use std::io;

/// Whether every answer is of instances of the service that was asked for, of those that were wanted; and whether what the registry
/// itself answered is one history of revisions, none older than one that was known before.
pub(super) fn judge(history: &HistoryOf<Registry>) -> Judgement {
    match judged(history) {
        Err(error) => Judgement::Unknown(format!("the history makes no sense: {error}")),
        Ok(None) => Judgement::Valid,
        Ok(Some((what, operations))) => Judgement::Invalid {
            what,
            contradiction: Contradiction {
                operations,
                mentioned: Vec::new(),
            },
        },
    }
}

pub(super) fn write(history: &HistoryOf<Registry>, out: &mut dyn io::Write) -> io::Result<()> {
    let words = |ret: Ret| Answer {
        answer: ret.to_string(),
    };
    jsonl::write(&history.clone().map(|op| op, words), out)
}

/// An answer, in words.
#[derive(Serialize)]
struct Answer {
    answer: String,
}

type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// What contradicts each other: in words, and which operations.
type Contradicts = (String, Vec<usize>);

fn judged(history: &History<Op, Ret>) -> Result<Option<Contradicts>, HistoryError> {
    let operations = history.operations()?;
    let wrong = operations
        .iter()
        .enumerate()
        .find_map(|(place, operation)| {
            let Outcome::Ok(ret) = operation.outcome else {
                return None;
            };
            Some((wrong_answer(operation.op, ret)?, vec![place]))
        });
    Ok(wrong
        .or_else(|| older(&operations))
        .or_else(|| different(&operations)))
}

/// A look-up.
struct LookUp<'a> {
    place: usize,
    service: &'a Label,
    tag: Option<&'a Label>,
    passing: bool,
    from: Source,
    found: &'a Found,
}

fn look_ups<'a>(operations: &'a Operations<'a>) -> impl Iterator<Item = LookUp<'a>> {
    let all = operations.iter().enumerate();
    all.filter_map(
        |(place, operation)| match (operation.op, &operation.outcome) {
            (
                Op::LookUp {
                    service,
                    tag,
                    passing,
                    from,
                },
                Outcome::Ok(Ret::Found(found)),
            ) => Some(LookUp {
                place,
                service,
                tag: tag.as_ref(),
                passing: *passing,
                from: *from,
                found,
            }),
            _ => None,
        },
    )
}

/// A look-up in the registry whose answer is of an earlier revision than one that had been answered before.
fn older(operations: &Operations<'_>) -> Option<Contradicts> {
    let linearizable = look_ups(operations).filter(|look_up| look_up.from == Source::Registry);
    let mut begin = Vec::new();
    for look_up in linearizable {
        let operation = &operations[look_up.place];
        let completed = operation.completed?.event;
        begin.push((operation.invoked.event, completed, look_up));
    }
    let mut by_end: Vec<(usize, u64, usize)> = begin
        .iter()
        .map(|(_, completed, look_up)| (*completed, look_up.found.revision, look_up.place))
        .collect();
    by_end.sort_unstable();
    let mut ended = by_end.into_iter().peekable();
    let mut latest = (0, 0);
    // By invocation, as operations are.
    for (invoked, _, look_up) in &begin {
        while let Some((_, revision, place)) = ended.next_if(|(completed, ..)| completed < invoked)
        {
            latest = latest.max((revision, place));
        }
        let (revision, place) = latest;
        if look_up.found.revision < revision {
            let what = format!(
                "a look-up of {} in the registry was answered as of {}, after one that was as of {revision}",
                look_up.service, look_up.found.revision
            );
            return Some((what, vec![place, look_up.place]));
        }
    }
    None
}

/// Two different answers to the same question as of the same revision, by whatever servers.
fn different(operations: &Operations<'_>) -> Option<Contradicts> {
    let mut known = BTreeMap::new();
    // A cache knows how old it is, and may be as of a revision at which nothing happened to the service.
    let by_servers = look_ups(operations).filter(|look_up| look_up.from != Source::Cache);
    for look_up in by_servers {
        let LookUp {
            place,
            service,
            tag,
            passing,
            found,
            ..
        } = look_up;
        let question = (service, tag, passing, found.revision);
        let (first, before) = *known.entry(question).or_insert((place, &found.instances));
        if *before != found.instances {
            let what = format!(
                "two look-ups of {service} found different instances at revision {}",
                found.revision
            );
            return Some((what, vec![first, place]));
        }
    }
    None
}

/// Whether a node has a tag: those are given by turns.
fn is_tagged(number: usize, tag: &Label) -> bool {
    tag.as_str() == if number % 2 == 1 { "blue" } else { "green" }
}

/// What is wrong with an answer. The id of an instance tells its service, and so does its port; and its node tells its tag.
fn wrong_answer(op: &Op, ret: &Ret) -> Option<String> {
    let (Op::Call { service, .. } | Op::LookUp { service, .. } | Op::Resolve { service, .. }) = op
    else {
        return None;
    };
    let number = |instance: &Label| -> Option<usize> {
        let id = instance.as_str().strip_prefix(service.as_str())?;
        id.strip_prefix("-n")?.parse().ok()
    };
    match (op, ret) {
        (_, Ret::Called(called))
            if called.service != *service || number(&called.instance).is_none() =>
        {
            Some(format!(
                "a call of {service} was answered by {} of {}",
                called.instance, called.service
            ))
        }
        (Op::LookUp { tag, passing, .. }, Ret::Found(found)) => {
            let wrong = |instance: &Label, status: Status| match number(instance) {
                None => Some(format!("a look-up of {service} found {instance}")),
                Some(number) if tag.as_ref().is_some_and(|tag| !is_tagged(number, tag)) => Some(
                    format!("a look-up by tag found {instance}, which has another one"),
                ),
                Some(_) if *passing && status != Status::Passing && !found.panic => Some(format!(
                    "a look-up of those that are well found {instance}, which is {status}"
                )),
                Some(_) => None,
            };
            let mut all = found.instances.iter();
            all.find_map(|(instance, status)| wrong(instance, *status))
        }
        (Op::Resolve { tag, .. }, Ret::Resolved(sockets)) => {
            let nth: u16 = service.as_str().strip_prefix('s')?.parse().ok()?;
            let port = FIRST_PORT + nth - 1;
            let is_wanted = |number: usize| tag.as_ref().is_none_or(|tag| is_tagged(number, tag));
            let stranger = sockets.iter().find(|socket| {
                let node = node_of(socket.ip());
                socket.port() != port || !node.is_some_and(|node| is_wanted(node.index() + 1))
            })?;
            Some(format!("{service} was resolved to {stranger}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain::check::ProcessId;
    use splitbrain_protocols::registry::Called;

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn look_up(passing: bool, tag: Option<&str>, revision: u64, ids: &[&str]) -> (Op, Ret) {
        let op = Op::LookUp {
            service: label("s1"),
            tag: tag.map(label),
            passing,
            from: Source::Registry,
        };
        let instances = ids.iter().map(|id| match id.strip_suffix('!') {
            Some(id) => (label(id), Status::Critical),
            None => (label(id), Status::Passing),
        });
        let ret = Ret::Found(Found {
            instances: instances.collect(),
            revision,
            age_ms: Some(1),
            panic: false,
        });
        (op, ret)
    }

    fn why(all: &[(Op, Ret)]) -> Option<String> {
        let mut history = History::new();
        for (nth, (op, ret)) in all.iter().enumerate() {
            let (at, process) = (10 * nth as u64, ProcessId(nth as u64));
            history.invoke(at, process, op.clone());
            history.ok(at + 5, process, ret.clone());
        }
        judged(&history).unwrap().map(|(what, _)| what)
    }

    #[test]
    fn answers_of_other_services_are_wrong() {
        let service = label("s1");
        let call = Op::Call {
            service: service.clone(),
            key: "k1".to_owned(),
            by_proxy: false,
        };
        let called = |service: &str, instance: &str| {
            Ret::Called(Called {
                service: label(service),
                instance: label(instance),
                attempts: 1,
                age_ms: 0,
                stale: false,
                panic: false,
            })
        };
        assert_eq!(wrong_answer(&call, &called("s1", "s1-n4")), None);
        assert!(wrong_answer(&call, &called("s2", "s2-n4")).is_some());
        assert!(wrong_answer(&call, &called("s1", "s11-n4")).is_some());
        let resolve = |tag: Option<&str>| Op::Resolve {
            service: service.clone(),
            tag: tag.map(label),
        };
        let resolved = |text: &str| Ret::Resolved(vec![text.parse().unwrap()]);
        assert_eq!(
            wrong_answer(&resolve(None), &resolved("10.0.0.4:8000")),
            None
        );
        assert!(wrong_answer(&resolve(None), &resolved("10.0.0.5:8001")).is_some());
        let green = resolve(Some("green"));
        assert_eq!(wrong_answer(&green, &resolved("10.0.0.4:8000")), None);
        assert!(wrong_answer(&green, &resolved("10.0.0.5:8000")).is_some());
    }

    #[test]
    fn who_is_not_wanted_and_found_is_named() {
        assert_eq!(why(&[look_up(false, None, 3, &["s1-n4", "s1-n5!"])]), None);
        assert_eq!(
            why(&[look_up(true, None, 3, &["s1-n4", "s1-n5!"])]).unwrap(),
            "a look-up of those that are well found s1-n5, which is critical"
        );
        assert_eq!(why(&[look_up(true, Some("green"), 3, &["s1-n4"])]), None);
        assert_eq!(
            why(&[look_up(true, Some("blue"), 3, &["s1-n4"])]).unwrap(),
            "a look-up by tag found s1-n4, which has another one"
        );
    }

    #[test]
    fn the_registry_does_not_go_back_or_contradict_itself() {
        let at = |revision, ids: &[&str]| look_up(true, None, revision, ids);
        assert_eq!(
            why(&[at(3, &["s1-n4"]), at(3, &["s1-n4"]), at(5, &[])]),
            None
        );
        assert_eq!(
            why(&[at(5, &[]), at(3, &["s1-n4"])]).unwrap(),
            "a look-up of s1 in the registry was answered as of 3, after one that was as of 5"
        );
        assert_eq!(
            why(&[at(3, &["s1-n4"]), at(3, &[])]).unwrap(),
            "two look-ups of s1 found different instances at revision 3"
        );
    }
}
