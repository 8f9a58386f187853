//! What clients are told of each other: who leads, who is a member, who stands in a line.
//!
//! Whoever gives a place back, or says something as a leader, looks first whether it still holds it. So if that was done, it had held the
//! place ever since it was told that it is in, and whoever asked in between, and was answered in between, was to hear of it. And when it
//! has been told that the place is given back, nobody who asks from then on may hear of it.

use super::history::{Contradicts, Operations};
use splitbrain::check::{Outcome, ProcessId};
use splitbrain_protocols::coordination::{Name, Op, Ret};
use splitbrain_protocols::kv::Value;
use std::collections::BTreeMap;

/// A time for which somebody certainly held a place.
struct Held<'a> {
    /// It was told that it is in: the place of the operation.
    taken: usize,
    /// The latest operation that only the holder can do.
    proven: usize,
    /// Before this event it held the place still.
    until: usize,
    /// After this event it did not.
    gone: Option<usize>,
    /// What it had to say when it came, and later: operations and values, in order.
    says: Vec<(usize, &'a Value)>,
}

/// How places of one kind are taken, and who asks for them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Election,
    Group,
    Lock,
}

enum Does<'a> {
    Takes(Kind, &'a Name, Option<&'a Value>),
    /// What only the holder can do: what it says by it, or that it goes.
    Says(Kind, &'a Name, &'a Value),
    Goes(Kind, &'a Name),
    Asks(Kind, &'a Name),
}

fn does(op: &Op) -> Option<Does<'_>> {
    Some(match op {
        Op::Campaign {
            election, value, ..
        } => Does::Takes(Kind::Election, election, Some(value)),
        Op::Join { group, value } => Does::Takes(Kind::Group, group, Some(value)),
        Op::Acquire { lock, .. } => Does::Takes(Kind::Lock, lock, None),
        Op::Proclaim { election, value } => Does::Says(Kind::Election, election, value),
        Op::Resign { election } => Does::Goes(Kind::Election, election),
        Op::Leave { group } => Does::Goes(Kind::Group, group),
        Op::Release { lock } => Does::Goes(Kind::Lock, lock),
        Op::Observe { election } => Does::Asks(Kind::Election, election),
        Op::Members { group } => Does::Asks(Kind::Group, group),
        Op::Line { lock } => Does::Asks(Kind::Lock, lock),
        _ => return None,
    })
}

/// Whether whoever asked was told of those who certainly held a place.
pub(super) fn check(operations: &Operations<'_>) -> Result<(), Contradicts> {
    let mut held: BTreeMap<(Kind, &Name), Vec<Held<'_>>> = BTreeMap::new();
    let mut asked = Vec::new();
    // The latest of each process, of which it is not known yet how long it lasted.
    let mut holding: BTreeMap<(ProcessId, Kind, &Name), Held<'_>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        let is_ok = matches!(operation.outcome, Outcome::Ok(_));
        match does(operation.op) {
            Some(Does::Takes(kind, name, value)) => {
                let key = (operation.process, kind, name);
                let before = holding.remove(&key);
                held.entry((kind, name)).or_default().extend(before);
                if is_ok {
                    let now_held = Held {
                        taken: place,
                        proven: place,
                        until: 0,
                        gone: None,
                        says: value.map(|value| (place, value)).into_iter().collect(),
                    };
                    holding.insert(key, now_held);
                }
            }
            Some(Does::Says(kind, name, value)) => {
                if let Some(holding) = holding.get_mut(&(operation.process, kind, name)) {
                    // It may have been heard, whether that was answered or not.
                    holding.says.push((place, value));
                    if is_ok {
                        (holding.proven, holding.until) = (place, operation.invoked.event);
                    }
                }
            }
            Some(Does::Goes(kind, name)) if is_ok => {
                if let Some(mut went) = holding.remove(&(operation.process, kind, name)) {
                    (went.proven, went.until) = (place, operation.invoked.event);
                    went.gone = operation.completed.map(|completed| completed.event);
                    held.entry((kind, name)).or_default().push(went);
                }
            }
            Some(Does::Asks(kind, name)) if is_ok => asked.push((place, kind, name)),
            Some(Does::Goes(..) | Does::Asks(..)) | None => {}
        }
    }
    for ((_, kind, name), last) in holding {
        held.entry((kind, name)).or_default().push(last);
    }
    for (place, kind, name) in asked {
        for held in held.get(&(kind, name)).into_iter().flatten() {
            answered(operations, place, name, held)?;
            forgotten(operations, place, name, held)?;
        }
    }
    Ok(())
}

/// Whether an answer tells of somebody who held a place for all of the time in which it was given.
fn answered(
    operations: &Operations<'_>,
    place: usize,
    name: &Name,
    held: &Held<'_>,
) -> Result<(), Contradicts> {
    let ask = &operations[place];
    let (Some(taken), Some(told)) = (operations[held.taken].completed, ask.completed) else {
        return Ok(());
    };
    if ask.invoked.event < taken.event || held.until < told.event {
        return Ok(());
    }
    let current = says(operations, held, ask.invoked.event, told.event);
    let is_told = match &ask.outcome {
        Outcome::Ok(Ret::Leader(leader)) => leader
            .as_ref()
            .is_some_and(|leader| current.contains(&leader)),
        Outcome::Ok(Ret::Listed(all)) if current.is_empty() => !all.is_empty(),
        Outcome::Ok(Ret::Listed(all)) => current.iter().any(|value| all.contains(value)),
        _ => true,
    };
    if is_told {
        return Ok(());
    }
    let process = operations[held.taken].process;
    let said = current
        .last()
        .map_or_else(String::new, |value| format!(" with {value}"));
    let what = format!(
        "{name}: process {} was in{said} from before it was asked who is until after the answer, which does not tell of it",
        process.0
    );
    Err((what, vec![held.taken, place, held.proven]))
}

/// Whether an answer does not tell of somebody who had gone when it was asked for.
fn forgotten(
    operations: &Operations<'_>,
    place: usize,
    name: &Name,
    held: &Held<'_>,
) -> Result<(), Contradicts> {
    let ask = &operations[place];
    if held.gone.is_none_or(|gone| ask.invoked.event < gone) {
        return Ok(());
    }
    let told = held.says.iter().find(|(_, value)| match &ask.outcome {
        Outcome::Ok(Ret::Leader(leader)) => leader.as_ref() == Some(value),
        Outcome::Ok(Ret::Listed(all)) => all.contains(value),
        _ => false,
    });
    let Some((_, value)) = told else {
        return Ok(());
    };
    let process = operations[held.taken].process;
    let what = format!(
        "{name}: process {} had gone, and who asked then was told of it with {value}",
        process.0
    );
    Err((what, vec![held.taken, held.proven, place]))
}

/// What a holder may be heard to say by whoever asks between two events: what it had said last, and what it said meanwhile.
fn says<'a>(
    operations: &Operations<'_>,
    held: &Held<'a>,
    asked: usize,
    answered: usize,
) -> Vec<&'a Value> {
    let is_replaced = |later: &[(usize, &Value)]| {
        later.iter().any(|(place, _)| {
            let said = &operations[*place];
            let is_ok = matches!(said.outcome, Outcome::Ok(_));
            is_ok
                && said
                    .completed
                    .is_some_and(|completed| completed.event < asked)
        })
    };
    let said = held.says.iter().enumerate();
    let current = said.filter(|(nth, (place, _))| {
        operations[*place].invoked.event < answered && !is_replaced(&held.says[nth + 1..])
    });
    current.map(|(_, (_, value))| *value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::history::judge;
    use super::*;
    use splitbrain::check::History;
    use splitbrain::protocol::Judgement;
    use splitbrain_protocols::kv::Revision;

    /// One operation after the other: by which process, what, and its answer.
    fn why(all: Vec<(u64, Op, Ret)>) -> Option<String> {
        let mut history = History::new();
        for (nth, (process, op, ret)) in all.into_iter().enumerate() {
            let (at, process) = (10 * nth as u64, ProcessId(process));
            history.invoke(at, process, op);
            history.ok(at + 5, process, ret);
        }
        match judge(&history) {
            Judgement::Invalid { what, .. } => Some(what),
            Judgement::Valid => None,
            Judgement::Unknown(why) => panic!("{why}"),
        }
    }

    fn campaign(value: &str, token: u64) -> (u64, Op, Ret) {
        let op = Op::Campaign {
            election: "e1".into(),
            value: value.into(),
            wait_ms: 1,
        };
        let token = Revision(token);
        (0, op, Ret::In { token })
    }

    fn proclaim(value: &str) -> (u64, Op, Ret) {
        let op = Op::Proclaim {
            election: "e1".into(),
            value: value.into(),
        };
        (0, op, Ret::Written)
    }

    fn resign() -> (u64, Op, Ret) {
        let election = "e1".into();
        (0, Op::Resign { election }, Ret::Out)
    }

    fn observe(leader: Option<&str>) -> (u64, Op, Ret) {
        let election = "e1".into();
        (
            1,
            Op::Observe { election },
            Ret::Leader(leader.map(Into::into)),
        )
    }

    #[test]
    fn who_leads_is_observed_and_says_what_it_has_said_last() {
        let good = vec![
            campaign("a", 3),
            observe(Some("a")),
            proclaim("b"),
            observe(Some("b")),
            resign(),
            observe(None),
        ];
        assert_eq!(why(good), None);
        let nobody = why(vec![campaign("a", 3), observe(None), resign()]).unwrap();
        assert_eq!(
            nobody,
            "e1: process 0 was in with a from before it was asked who is until after the answer, which does not tell of it"
        );
        let another = vec![campaign("a", 3), observe(Some("z")), resign()];
        assert!(why(another).is_some());
        let old = vec![
            campaign("a", 3),
            proclaim("b"),
            observe(Some("a")),
            resign(),
        ];
        assert!(why(old).unwrap().contains("with b"));
    }

    #[test]
    fn who_has_gone_is_not_observed_any_more() {
        let late = vec![
            campaign("a", 3),
            proclaim("b"),
            resign(),
            observe(Some("b")),
        ];
        assert_eq!(
            why(late).unwrap(),
            "e1: process 0 had gone, and who asked then was told of it with b"
        );
    }

    #[test]
    fn who_may_have_lost_its_place_may_be_left_out() {
        // Nothing says that it held it still when the other one asked.
        assert_eq!(why(vec![campaign("a", 3), observe(None)]), None);
        let again = vec![campaign("a", 3), observe(None), campaign("b", 5), resign()];
        assert_eq!(why(again), None);
    }

    #[test]
    fn who_is_a_member_is_listed() {
        let group = || Name::from("g1");
        let join = |process, value: &str, token| {
            let op = Op::Join {
                group: group(),
                value: value.into(),
            };
            let token = Revision(token);
            (process, op, Ret::In { token })
        };
        let leave = |process| (process, Op::Leave { group: group() }, Ret::Out);
        let members = |all: &[&str]| {
            let listed = all.iter().map(|value| (*value).into()).collect();
            (9, Op::Members { group: group() }, Ret::Listed(listed))
        };
        let both = || vec![join(0, "a", 3), join(1, "b", 5)];
        let all = |listed: &[&str]| {
            let mut all = both();
            all.extend([members(listed), leave(0), leave(1)]);
            why(all)
        };
        assert_eq!(all(&["a", "b"]), None);
        assert!(all(&["a"]).unwrap().contains("process 1 was in with b"));
        assert!(all(&[]).is_some());
    }
}
