//! What clients are told of configurations: every answer tells as of which revision, and whoever waits misses nothing.

use super::history::{Contradicts, Operations, before};
use splitbrain::check::Outcome;
use splitbrain_protocols::coordination::{Name, Op, Ret};
use splitbrain_protocols::kv::{Revision, Value};
use std::collections::BTreeMap;

/// A value that was set, and at which revision, if that was answered.
struct Set<'a> {
    place: usize,
    value: &'a Value,
    at: Option<Revision>,
}

/// What somebody was told: that it had this value at this revision, or, if it waited, that nothing happened from one to the other.
struct Told<'a> {
    place: usize,
    value: Option<&'a Value>,
    after: Option<Revision>,
    as_of: Revision,
}

#[derive(Default)]
struct Configuration<'a> {
    sets: Vec<Set<'a>>,
    told: Vec<Told<'a>>,
}

/// Whether each configuration is one value after the other, by revision, and no read is from before what had been answered.
pub(super) fn check(operations: &Operations<'_>) -> Result<(), Contradicts> {
    let mut all: BTreeMap<&Name, Configuration<'_>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        let answer = match operation.outcome {
            Outcome::Ok(Ret::Config { value, revision }) => Some((value.as_ref(), *revision)),
            _ => None,
        };
        match operation.op {
            Op::SetConfig { config, value } => {
                let config = all.entry(config).or_default();
                let at = answer.map(|(_, at)| at);
                config.sets.push(Set { place, value, at });
                if let Some((previous, at)) = answer {
                    config.told.push(Told {
                        place,
                        value: previous,
                        after: None,
                        as_of: Revision(at.0.saturating_sub(1)),
                    });
                }
            }
            Op::GetConfig { config } | Op::AwaitConfig { config, .. } => {
                let after = match operation.op {
                    Op::AwaitConfig { after, .. } => Some(*after),
                    _ => None,
                };
                if let Some((value, as_of)) = answer {
                    let told = Told {
                        place,
                        value,
                        after,
                        as_of,
                    };
                    all.entry(config).or_default().told.push(told);
                }
            }
            _ => {}
        }
    }
    for (name, configuration) in &all {
        configuration
            .check(operations)
            .map_err(|(what, places)| (format!("{name}: {what}"), places))?;
    }
    Ok(())
}

impl Configuration<'_> {
    fn check(&self, operations: &Operations<'_>) -> Result<(), Contradicts> {
        for told in &self.told {
            self.check_told(told, operations)?;
        }
        Ok(())
    }

    fn check_told(&self, told: &Told<'_>, operations: &Operations<'_>) -> Result<(), Contradicts> {
        let Told {
            place,
            value,
            after,
            as_of,
        } = *told;
        // Whoever waits hears of what happened after a revision, and may hear of it late; it misses nothing.
        let is_read = matches!(operations[place].op, Op::GetConfig { .. });
        for set in &self.sets {
            let Some(at) = set.at else { continue };
            if is_read && at > as_of && before(operations, set.place, place) {
                let what = format!(
                    "it was {} from {at} on, and then told as of {as_of}",
                    set.value
                );
                return Err((what, vec![set.place, place]));
            }
        }
        let known = self.sets.iter().filter(|set| {
            let since = after.unwrap_or_default();
            set.at.is_some_and(|at| since < at && at <= as_of)
        });
        // Between it and the answer nobody can have set it, but for those who were not answered.
        let latest = known.max_by_key(|set| set.at);
        match (value, latest) {
            (None, Some(set)) => {
                let what = format!(
                    "{} was set at {}, and who was told as of {as_of} has not heard of it",
                    set.value,
                    set.at.unwrap_or_default()
                );
                Err((what, vec![set.place, place]))
            }
            (None, None) => Ok(()),
            (Some(value), latest) => {
                let Some(set) = self.sets.iter().find(|set| set.value == value) else {
                    return Err((format!("{value} was never set, and told"), vec![place]));
                };
                let is_possible = match set.at {
                    Some(_) => latest.is_some_and(|latest| latest.value == value),
                    // It may have been set at any revision after that it was asked for.
                    None => {
                        operations[set.place].invoked.event
                            < operations[place]
                                .completed
                                .map_or(usize::MAX, |completed| completed.event)
                    }
                };
                if is_possible {
                    return Ok(());
                }
                let what = format!(
                    "{value} was told as of {as_of}, and it was {} then",
                    latest.map_or("nothing new", |latest| latest.value)
                );
                let mut places = vec![set.place, place];
                places.extend(latest.map(|latest| latest.place));
                Err((what, places))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::judge;
    use super::*;
    use splitbrain::check::{History, ProcessId};
    use splitbrain::protocol::Judgement;

    fn why(all: Vec<(Op, Option<Ret>)>) -> Option<String> {
        let mut history = History::new();
        for (nth, (op, ret)) in all.into_iter().enumerate() {
            let (at, process) = (10 * nth as u64, ProcessId(nth as u64));
            history.invoke(at, process, op);
            match ret {
                Some(ret) => history.ok(at + 5, process, ret),
                None => history.info(at + 5, process),
            }
        }
        match judge(&history) {
            Judgement::Invalid { what, .. } => Some(what),
            Judgement::Valid => None,
            Judgement::Unknown(why) => panic!("{why}"),
        }
    }

    fn config(value: Option<&str>, revision: u64) -> Ret {
        Ret::Config {
            value: value.map(Into::into),
            revision: Revision(revision),
        }
    }

    fn set(value: &str, answer: impl Into<Option<Ret>>) -> (Op, Option<Ret>) {
        let op = Op::SetConfig {
            config: "c1".into(),
            value: value.into(),
        };
        (op, answer.into())
    }

    fn get(value: Option<&str>, revision: u64) -> (Op, Option<Ret>) {
        let config_name = "c1".into();
        (
            Op::GetConfig {
                config: config_name,
            },
            Some(config(value, revision)),
        )
    }

    fn wait(after: u64, value: Option<&str>, revision: u64) -> (Op, Option<Ret>) {
        let op = Op::AwaitConfig {
            config: "c1".into(),
            after: Revision(after),
            wait_ms: 1,
        };
        (op, Some(config(value, revision)))
    }

    #[test]
    fn one_value_after_the_other_is_fine_and_unanswered_ones_may_be_anywhere() {
        let first = || set("a", config(None, 3));
        let good = vec![
            first(),
            get(Some("a"), 4),
            set("b", config(Some("a"), 6)),
            wait(4, Some("b"), 6),
            wait(6, None, 9),
            set("c", None),
            wait(9, Some("c"), 11),
            get(Some("c"), 12),
        ];
        assert_eq!(why(good), None);
        assert_eq!(why(vec![first(), set("c", None), get(Some("a"), 8)]), None);
    }

    #[test]
    fn what_was_missed_or_is_old_is_found() {
        let two = || vec![set("a", config(None, 3)), set("b", config(Some("a"), 6))];
        let with = |told| {
            let mut all = two();
            all.push(told);
            why(all)
        };
        assert_eq!(
            with(wait(4, None, 9)).unwrap(),
            "c1: b was set at 6, and who was told as of 9 has not heard of it"
        );
        assert_eq!(
            with(get(Some("a"), 9)).unwrap(),
            "c1: a was told as of 9, and it was b then"
        );
        assert_eq!(
            with(get(Some("a"), 4)).unwrap(),
            "c1: it was b from 6 on, and then told as of 4"
        );
        assert!(with(get(Some("z"), 9)).unwrap().contains("never set"));
        let lost = vec![set("a", config(None, 3)), set("b", config(None, 6))];
        assert!(why(lost).unwrap().contains("a was set at 3"));
        assert!(with(wait(6, Some("b"), 9)).unwrap().contains("nothing new"));
    }
}
