//! The transactional checker against an oracle that shares nothing with it: all orders of all subsets, on small
//! histories with lies, unknown outcomes, stale reads, and answers that say more or less of versions and revisions.

use proptest::prelude::*;
use splitbrain_check::models::transactional::{
    Action, Answer, Compare, Item, Op, Query, Relation, Ret, Span, Target, Transaction,
};
use splitbrain_check::transactional::{Settings, Violation, check};
use splitbrain_check::{Budget, History, Operation, Outcome, ProcessId, Verdict, jsonl};
use std::collections::BTreeMap;

const FIRST: u64 = 1;

#[derive(Clone, Default, PartialEq)]
struct Store {
    revision: u64,
    /// Value, version, creation, modification.
    keys: BTreeMap<String, (String, u64, u64, u64)>,
}

impl Store {
    fn new() -> Store {
        Store {
            revision: FIRST,
            ..Store::default()
        }
    }

    fn item(&self, key: &str) -> Option<Item> {
        let (value, version, created, modified) = self.keys.get(key)?;
        Some(Item {
            value: value.as_str().into(),
            version: Some(*version),
            create_revision: Some(*created),
            mod_revision: Some(*modified),
        })
    }

    fn in_span(&self, span: &Span) -> Vec<String> {
        let keys = self.keys.keys().filter(|key| {
            key.as_str() >= &*span.from && span.to.as_ref().is_none_or(|to| key.as_str() < &**to)
        });
        keys.cloned().collect()
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Get { key } => Answer::Value(self.item(key)),
            Query::Range {
                span,
                limit,
                count_only,
            } => {
                let keys = self.in_span(span);
                let count = Some(keys.len() as u64);
                let limit = limit.map_or(keys.len(), |limit| limit as usize);
                let shown = if *count_only { 0 } else { limit };
                let entries = keys.iter().take(shown);
                let entries = entries.map(|key| (key.as_str().into(), self.item(key).unwrap()));
                Answer::Range {
                    entries: entries.collect(),
                    count,
                }
            }
        }
    }

    /// The answer, and whether anything changed.
    fn act(&mut self, action: &Action, revision: u64) -> (Answer, bool) {
        match action {
            Action::Read(query) => (self.query(query), false),
            Action::Put { key, value } => {
                let (version, created) = match self.keys.get(&**key) {
                    Some((_, version, created, _)) => (version + 1, *created),
                    None => (1, revision),
                };
                let held = (value.to_string(), version, created, revision);
                self.keys.insert(key.to_string(), held);
                (Answer::Written, true)
            }
            Action::Delete { key } => {
                let existed = self.keys.remove(&**key).is_some();
                (Answer::Deleted(u64::from(existed)), existed)
            }
            Action::DeleteRange(span) => {
                let keys = self.in_span(span);
                for key in &keys {
                    self.keys.remove(key);
                }
                (Answer::Deleted(keys.len() as u64), !keys.is_empty())
            }
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let held = self.keys.get(&*compare.key);
        let ordering = match &compare.target {
            Target::Value(value) => match held {
                Some(held) => held.0.as_str().cmp(value),
                None => return false,
            },
            Target::Version(other) => held.map_or(0, |held| held.1).cmp(other),
            Target::CreateRevision(other) => held.map_or(0, |held| held.2).cmp(other),
            Target::ModRevision(other) => held.map_or(0, |held| held.3).cmp(other),
            Target::Exists(other) => held.is_some().cmp(other),
        };
        match compare.is {
            Relation::Equal => ordering.is_eq(),
            Relation::NotEqual => ordering.is_ne(),
            Relation::Greater => ordering.is_gt(),
            Relation::Less => ordering.is_lt(),
        }
    }

    /// Nothing if it cannot be done now: a read at a revision that is not the current one.
    fn execute(&mut self, op: &Op) -> Option<Ret> {
        let next = self.revision + 1;
        let (answer, changed) = match op {
            Op::One(action) => self.act(action, next),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let current = self.keys.get(&**key).map(|held| held.0.as_str());
                let swaps = current == expected.as_deref();
                if swaps {
                    let (key, value) = (key.clone(), value.clone());
                    self.act(&Action::Put { key, value }, next);
                }
                (Answer::Swapped(swaps), swaps)
            }
            Op::Transaction(transaction) => {
                let succeeded = transaction
                    .compare
                    .iter()
                    .all(|compare| self.holds(compare));
                let actions = if succeeded {
                    &transaction.then
                } else {
                    &transaction.otherwise
                };
                let done: Vec<_> = actions
                    .iter()
                    .map(|action| self.act(action, next))
                    .collect();
                let changed = done.iter().any(|(_, changed)| *changed);
                let answers = done.into_iter().map(|(answer, _)| answer).collect();
                (Answer::Transaction { succeeded, answers }, changed)
            }
            Op::Stale(query) => (self.query(query), false),
            Op::At(query, revision) => {
                if *revision != self.revision {
                    return None;
                }
                (self.query(query), false)
            }
        };
        if changed {
            self.revision = next;
        }
        let revision = Some(self.revision);
        Some(Ret { revision, answer })
    }
}

fn item_fits(said: &Item, truth: &Item) -> bool {
    let fits = |said: Option<u64>, truth| said.is_none() || said == truth;
    said.value == truth.value
        && fits(said.version, truth.version)
        && fits(said.create_revision, truth.create_revision)
        && fits(said.mod_revision, truth.mod_revision)
}

fn answer_fits(said: &Answer, truth: &Answer) -> bool {
    match (said, truth) {
        (Answer::Value(Some(said)), Answer::Value(Some(truth))) => item_fits(said, truth),
        (
            Answer::Range {
                entries: said,
                count,
            },
            Answer::Range {
                entries: truth,
                count: counted,
            },
        ) => {
            said.len() == truth.len()
                && (count.is_none() || count == counted)
                && said
                    .iter()
                    .zip(truth)
                    .all(|(said, truth)| said.0 == truth.0 && item_fits(&said.1, &truth.1))
        }
        (
            Answer::Transaction {
                succeeded: said,
                answers,
            },
            Answer::Transaction {
                succeeded: truth,
                answers: true_answers,
            },
        ) => {
            said == truth
                && answers.len() == true_answers.len()
                && answers
                    .iter()
                    .zip(true_answers)
                    .all(|(said, truth)| answer_fits(said, truth))
        }
        _ => said == truth,
    }
}

fn ret_fits(op: &Op, said: &Ret, truth: &Ret) -> bool {
    let revision = match (op, said.revision) {
        (_, None) => true,
        (Op::At(_, revision), Some(said)) => said >= *revision,
        (_, said) => said == truth.revision,
    };
    revision && answer_fits(&said.answer, &truth.answer)
}

struct Bare {
    op: Op,
    ret: Option<Ret>,
    called: usize,
    returned: Option<usize>,
}

fn has_order(operations: &[Bare], done: &mut Vec<bool>, store: &Store) -> bool {
    let open = |i: &usize| !done[*i];
    let returns = (0..operations.len()).filter(open);
    let Some(first_return) = returns.filter_map(|i| operations[i].returned).min() else {
        return true;
    };
    for i in 0..operations.len() {
        if done[i] || operations[i].called > first_return {
            continue;
        }
        let mut next = store.clone();
        let Some(truth) = next.execute(&operations[i].op) else {
            continue;
        };
        let op = &operations[i].op;
        if operations[i]
            .ret
            .as_ref()
            .is_none_or(|said| ret_fits(op, said, &truth))
        {
            done[i] = true;
            let found = has_order(operations, done, &next);
            done[i] = false;
            if found {
                return true;
            }
        }
    }
    false
}

fn is_old(op: &Op) -> bool {
    matches!(op, Op::Stale(_) | Op::At(..))
}

fn bare(operation: &Operation<&Op, &Ret>) -> Option<Bare> {
    let (ret, returned) = match operation.outcome {
        Outcome::Ok(ret) => (Some(ret.clone()), operation.completed.map(|at| at.event)),
        Outcome::Info => (None, None),
        Outcome::Fail => return None,
    };
    Some(Bare {
        op: operation.op.clone(),
        ret,
        called: if is_old(operation.op) {
            0
        } else {
            operation.invoked.event
        },
        returned,
    })
}

fn oracle(history: &History<Op, Ret>, with_old: bool) -> bool {
    let operations = history.operations().expect("well-formed");
    let operations: Vec<Bare> = operations
        .iter()
        .filter(|operation| with_old || !is_old(operation.op))
        .filter_map(bare)
        .collect();
    has_order(
        &operations,
        &mut vec![false; operations.len()],
        &Store::new(),
    )
}

/// Who moves, and five choices.
type Move = (usize, u8, u8, u8, u8, u8);

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let byte = any::<u8>;
    prop::collection::vec((0..4_usize, byte(), byte(), byte(), byte(), byte()), 1..24)
}

fn key(choice: u8) -> &'static str {
    ["x", "y", "z"][usize::from(choice) % 3]
}

fn span(choice: u8) -> Span {
    let (from, to) = [
        ("x", Some("z")),
        ("y", None),
        ("x", Some("y")),
        ("z", Some("x")),
    ][usize::from(choice / 4) % 4];
    Span {
        from: from.into(),
        to: to.map(Into::into),
    }
}

fn value(choice: u8) -> &'static str {
    ["1", "2"][usize::from(choice / 8) % 2]
}

fn query(a: u8, b: u8) -> Query {
    match a % 4 {
        0 => Query::Range {
            span: span(b),
            limit: (a / 4).is_multiple_of(2).then_some(u64::from(b) % 3),
            count_only: (a / 8).is_multiple_of(4),
        },
        _ => Query::get(key(b)),
    }
}

fn action(a: u8, b: u8) -> Action {
    match a % 8 {
        0 | 1 => Action::Read(query(a / 8, b)),
        2 => Action::Delete { key: key(b).into() },
        3 => Action::DeleteRange(span(b)),
        _ => Action::Put {
            key: key(b).into(),
            value: value(b).into(),
        },
    }
}

/// `revisions`: whether comparisons and reads may be about revisions.
fn op(revisions: bool, choices: Move) -> Op {
    let (_, kind, b, c, d, e) = choices;
    match kind % 16 {
        0..3 => Op::One(Action::Read(query(b, c))),
        3..8 => Op::One(action(b, c)),
        8 | 9 => Op::CompareAndSet {
            key: key(b).into(),
            expected: (c % 3 != 0).then(|| value(d).into()),
            value: value(c).into(),
        },
        10 | 11 => Op::Stale(query(b, c)),
        12 if revisions => Op::At(query(b, c), FIRST + u64::from(d) % 4),
        _ => {
            let number = u64::from(c) % 4;
            let target = match b % 5 {
                0 => Target::Value(value(c).into()),
                1 => Target::Version(number),
                2 if revisions => Target::CreateRevision(number),
                3 if revisions => Target::ModRevision(number),
                _ => Target::Exists(c % 2 == 0),
            };
            let is = [
                Relation::Equal,
                Relation::NotEqual,
                Relation::Greater,
                Relation::Less,
            ][usize::from(d) % 4];
            let compare = Compare {
                key: key(c / 4).into(),
                is,
                target,
            };
            let compare = (b % 16 != 15).then_some(compare);
            Op::Transaction(Transaction {
                compare: compare.into_iter().collect(),
                then: vec![action(d, e), action(e, d)][..usize::from(e) % 3].to_vec(),
                otherwise: vec![action(c, e)][..usize::from(d) % 2].to_vec(),
            })
        }
    }
}

/// What an answer says besides values.
#[derive(Clone, Copy, Debug)]
enum Says {
    Everything,
    Revision,
    SometimesTheRevision,
    Versions,
    Nothing,
}

fn strip(answer: &mut Answer, says: Says) {
    let strip_item = |item: &mut Item| {
        if !matches!(says, Says::Everything) {
            (item.create_revision, item.mod_revision) = (None, None);
        }
        if !matches!(says, Says::Everything | Says::Versions) {
            item.version = None;
        }
    };
    match answer {
        Answer::Value(item) => item.iter_mut().for_each(strip_item),
        Answer::Range { entries, .. } => {
            entries
                .iter_mut()
                .map(|(_, item)| item)
                .for_each(strip_item);
        }
        Answer::Transaction { answers, .. } => {
            for answer in answers {
                strip(answer, says);
            }
        }
        _ => {}
    }
}

fn lie(ret: &mut Ret, b: u8) {
    match (b % 3, &mut ret.answer) {
        (0, _) => {
            ret.revision = ret
                .revision
                .map(|revision| revision.saturating_add_signed([1, -1, 2][usize::from(b / 3) % 3]));
        }
        (_, Answer::Value(item @ Some(_))) if b.is_multiple_of(2) => *item = None,
        (_, Answer::Value(item)) => *item = Some(Item::plain(value(b))),
        (_, Answer::Range { entries, count }) => {
            entries.pop();
            *count = None;
        }
        (_, Answer::Deleted(deleted)) => *deleted ^= 1,
        (_, Answer::Swapped(swapped)) => *swapped = !*swapped,
        (_, Answer::Transaction { succeeded, .. }) => *succeeded = !*succeeded,
        (_, Answer::Written | Answer::Compacted) => {
            ret.revision = ret.revision.map(|revision| revision + 1);
        }
    }
}

/// As for the key-value model: operations take effect when they complete, but an answer may be a lie, and an effect
/// may be lost or late. A stale read sees some earlier state.
fn play(says: Says, moves: &[Move]) -> History<Op, Ret> {
    let mut history = History::new();
    let mut clients: Vec<(u64, Option<Op>)> = (0..4).map(|id| (id, None)).collect();
    let mut states = vec![Store::new()];
    let mut late = Vec::new();
    let mut invoked = 0;
    let revisions = matches!(
        says,
        Says::Everything | Says::Revision | Says::SometimesTheRevision
    );
    for (time, &step) in (0..).zip(moves) {
        let (client, a, b, c, ..) = step;
        let (id, open) = &mut clients[client];
        let process = ProcessId(*id);
        let Some(current) = open.take() else {
            if invoked < 7 {
                invoked += 1;
                let op = op(revisions, step);
                history.invoke(time, process, op.clone());
                *open = Some(op);
            }
            continue;
        };
        let mut store = states.last().expect("never empty").clone();
        if c % 4 == 0
            && let Some(op) = late.pop()
        {
            store.execute(&op);
            states.push(store.clone());
        }
        match a % 16 {
            0 => history.fail(time, process),
            1..5 => {
                history.info(time, process);
                *id += 4;
                late.push(current);
            }
            kind => {
                let truth = match &current {
                    Op::Stale(_) => states[usize::from(b) % states.len()]
                        .clone()
                        .execute(&current),
                    Op::At(..) => {
                        let answers = states
                            .iter()
                            .rev()
                            .map(|state| state.clone().execute(&current));
                        answers.flatten().next()
                    }
                    _ => store.execute(&current),
                };
                let Some(mut ret) = truth else {
                    history.fail(time, process);
                    continue;
                };
                strip(&mut ret.answer, says);
                let silent = matches!(says, Says::Versions | Says::Nothing)
                    || matches!(says, Says::SometimesTheRevision) && c % 3 == 0;
                if silent {
                    ret.revision = None;
                }
                if kind >= 14 {
                    lie(&mut ret, b);
                }
                history.ok(time, process, ret);
                states.push(store);
            }
        }
    }
    history
}

fn compare(says: Says, moves: &[Move]) -> Result<(), TestCaseError> {
    let history = play(says, moves);
    let verdict = check(&history, &Settings::default(), Budget::default()).expect("well-formed");
    match verdict {
        Verdict::Valid => prop_assert!(oracle(&history, true), "{history:#?}"),
        Verdict::Invalid(why) => {
            prop_assert!(!oracle(&history, true), "{why}\n{history:#?}");
            // What is blamed on old reads is not the fault of the others.
            match why {
                Violation::NotLinearizable(_) => prop_assert!(!oracle(&history, false)),
                Violation::NotAnOldState(_) | Violation::NoSuchState { .. } => {
                    prop_assert!(oracle(&history, false));
                }
                _ => {}
            }
        }
        Verdict::Unknown(reason) => prop_assert!(false, "{reason}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn full_answers_are_as_brute_force_says(moves in moves()) {
        compare(Says::Everything, &moves)?;
    }

    #[test]
    fn revisions_of_the_store_alone_are_as_brute_force_says(moves in moves()) {
        compare(Says::Revision, &moves)?;
    }

    #[test]
    fn some_revisions_are_as_brute_force_says(moves in moves()) {
        compare(Says::SometimesTheRevision, &moves)?;
    }

    #[test]
    fn versions_are_as_brute_force_says(moves in moves()) {
        compare(Says::Versions, &moves)?;
    }

    #[test]
    fn values_alone_are_as_brute_force_says(moves in moves()) {
        compare(Says::Nothing, &moves)?;
    }

    #[test]
    fn what_is_written_is_read_back(moves in moves()) {
        let history = play(Says::Everything, &moves);
        let mut bytes = Vec::new();
        jsonl::write(&history, &mut bytes).expect("memory does not fail");
        prop_assert_eq!(&jsonl::read(&*bytes).expect("just written"), &history);
    }
}
