//! Operations, answers and states in words.

use super::op::{Action, Op, Query, Relation, Span, Target, Transaction};
use super::ret::{Answer, Item, Ret};
use super::store::{Held, Store};
use super::{Key, Value};
use crate::Touched;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// So many keys of a state are shown.
const KEYS_MAX: usize = 6;

fn or_absent(value: Option<&Value>) -> &str {
    value.map_or("absent", |value| value)
}

fn list<T>(items: &[T], words: impl Fn(&T) -> String) -> String {
    items.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn span(span: &Span) -> String {
    match &span.to {
        Some(to) => format!("{}..{to}", span.from),
        None => format!("{}..", span.from),
    }
}

fn query(query: &Query) -> String {
    match query {
        Query::Get { key } => format!("get {key}"),
        Query::Range {
            span: keys,
            limit,
            count_only,
        } => {
            let what = if *count_only { "count" } else { "range" };
            let limit = limit.map_or(String::new(), |limit| format!(" (at most {limit})"));
            format!("{what} {}{limit}", span(keys))
        }
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Read(of) => query(of),
        Action::Put { key, value } => format!("put {key} = {value}"),
        Action::Delete { key } => format!("delete {key}"),
        Action::DeleteRange(keys) => format!("delete {}", span(keys)),
    }
}

fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Greater => ">",
        Relation::Less => "<",
    }
}

fn transaction(transaction: &Transaction) -> String {
    let compare = list(&transaction.compare, |compare| {
        let is = relation(compare.is);
        let key = &compare.key;
        match &compare.target {
            Target::Value(value) => format!("{key} {is} {value}"),
            Target::Version(version) => format!("version of {key} {is} {version}"),
            Target::CreateRevision(revision) => format!("creation of {key} {is} {revision}"),
            Target::ModRevision(revision) => format!("modification of {key} {is} {revision}"),
            Target::Exists(exists) => format!("existence of {key} {is} {exists}"),
        }
    });
    let actions = |actions| format!("[{}]", list(actions, action));
    let (then, otherwise) = (actions(&transaction.then), actions(&transaction.otherwise));
    match (compare.is_empty(), transaction.otherwise.is_empty()) {
        (true, _) => format!("transaction {then}"),
        (false, true) => format!("transaction if {compare} then {then}"),
        (false, false) => format!("transaction if {compare} then {then} else {otherwise}"),
    }
}

fn operation(op: &Op) -> String {
    match op {
        Op::One(of) => action(of),
        Op::CompareAndSet {
            key,
            expected,
            value,
        } => {
            let expected = or_absent(expected.as_ref());
            format!("compare-and-set {key} from {expected} to {value}")
        }
        Op::Transaction(of) => transaction(of),
        Op::Stale(of) => format!("stale {}", query(of)),
        Op::At(of, revision) => format!("{} at revision {revision}", query(of)),
    }
}

fn item(item: &Item) -> String {
    let mut about = Vec::new();
    if let Some(version) = item.version {
        about.push(format!("version {version}"));
    }
    if let Some(revision) = item.create_revision {
        about.push(format!("created at {revision}"));
    }
    if let Some(revision) = item.mod_revision {
        about.push(format!("modified at {revision}"));
    }
    if about.is_empty() {
        return item.value.to_string();
    }
    format!("{} ({})", item.value, about.join(", "))
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Value(None) => "absent".to_owned(),
        Answer::Value(Some(of)) => item(of),
        Answer::Range { entries, count } => {
            let mut words = list(entries, |(key, of)| format!("{key} = {}", item(of)));
            words = format!("[{words}]");
            if let Some(count) = count {
                let _ = write!(words, " of {count}");
            }
            words
        }
        Answer::Written => "written".to_owned(),
        Answer::Deleted(deleted) => format!("{deleted} deleted"),
        Answer::Swapped(swapped) => swapped.to_string(),
        Answer::Transaction { succeeded, answers } => {
            format!("{succeeded} [{}]", list(answers, self::answer))
        }
        Answer::Compacted => "compacted".to_owned(),
    }
}

/// See [`crate::Model::describe`].
pub(super) fn describe(op: &Op, ret: Option<&Ret>) -> String {
    let mut words = operation(op);
    let Some(ret) = ret else { return words };
    let is_put = matches!(op, Op::One(Action::Put { .. }));
    if !is_put || ret.answer != Answer::Written {
        let _ = write!(words, " -> {}", answer(&ret.answer));
    }
    if let Some(revision) = ret.revision {
        let _ = write!(words, " at revision {revision}");
    }
    words
}

/// See [`crate::Model::needs`].
pub(super) fn needs(op: &Op, ret: &Ret) -> String {
    let of = match (op, &ret.answer) {
        (
            Op::One(Action::Read(Query::Get { key }))
            | Op::Stale(Query::Get { key })
            | Op::At(Query::Get { key }, _),
            Answer::Value(value),
        ) => match value {
            Some(of) => format!("{key} = {}", item(of)),
            None => format!("{key} absent"),
        },
        (Op::CompareAndSet { key, expected, .. }, Answer::Swapped(swapped)) => {
            match (expected, swapped) {
                (Some(value), true) => format!("{key} = {value}"),
                (Some(value), false) => format!("{key} other than {value}"),
                (None, true) => format!("{key} absent"),
                (None, false) => format!("{key} present"),
            }
        }
        (Op::One(Action::Delete { key }), Answer::Deleted(0)) => format!("{key} absent"),
        (Op::One(Action::Delete { key }), Answer::Deleted(1)) => format!("{key} present"),
        (_, Answer::Written) => "another revision".to_owned(),
        (_, said) => format!("what makes it answer {}", answer(said)),
    };
    let revision = match op {
        Op::At(_, revision) => Some(*revision),
        _ => ret.revision,
    };
    match revision {
        Some(revision) => format!("{of} (revision {revision})"),
        None => of,
    }
}

/// See [`crate::Model::describe_state`].
pub(super) fn describe_state(key: Option<&Key>, store: &Store, revisions: bool) -> String {
    let mut words = if revisions {
        format!("revision {}: ", store.revision)
    } else {
        String::new()
    };
    if let Some(key) = key {
        let value = store.keys.get(key).map(|held| &held.value);
        let _ = write!(words, "{key} is {}", or_absent(value));
        return words;
    }
    if store.keys.is_empty() {
        words.push_str("every key is absent");
        return words;
    }
    let shown: Vec<_> = store.keys.iter().take(KEYS_MAX).collect();
    words.push_str(&list(&shown, |(key, held)| {
        format!("{key} is {}", held.value)
    }));
    let more = store.keys.len().saturating_sub(KEYS_MAX);
    if more > 0 {
        let _ = write!(words, " and {more} more");
    }
    words
}

/// The keys that an operation touches, with everything that is known of them.
pub(super) fn describe_touched(op: &Op, store: &Store) -> String {
    let mut keys: BTreeMap<&Key, Option<&Held>> = BTreeMap::new();
    for touched in op.touched() {
        match touched {
            Touched::Key(key) => {
                keys.insert(key, store.keys.get(key));
            }
            Touched::Range(from, to) => {
                let range = Span {
                    from: from.clone(),
                    to: to.cloned(),
                };
                let held = store.keys.iter().filter(|(key, _)| range.contains(key));
                keys.extend(held.map(|(key, held)| (key, Some(held))));
            }
        }
    }
    if keys.is_empty() {
        return "none of its keys is there".to_owned();
    }
    let more = keys.len().saturating_sub(KEYS_MAX);
    let shown: Vec<_> = keys.into_iter().take(KEYS_MAX).collect();
    let mut words = list(&shown, |(key, held)| match held {
        None => format!("{key} is absent"),
        Some(held) => format!(
            "{key} is {} (version {}, created at {}, modified at {})",
            held.value, held.version, held.create_revision, held.mod_revision
        ),
    });
    if more > 0 {
        let _ = write!(words, " and {more} more");
    }
    words
}
