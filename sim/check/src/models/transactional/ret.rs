//! What the store answers, and its JSON form.

use super::{Key, Value};
use serde::{Deserialize, Deserializer, Serialize};

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RetForm", into = "RetForm")]
pub struct Ret {
    /// The revision of the store at that time, where the system gives it: of a write that changed something, its own; of
    /// a read, that of the state that was read (of [`Op::At`](super::Op::At), that of the store when it was read).
    pub revision: Option<u64>,
    /// What it said.
    pub answer: Answer,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To a get: the key, nothing if it was absent.
    Value(Option<Item>),
    /// To a range.
    Range {
        /// The keys, in order.
        entries: Vec<(Key, Item)>,
        /// How many there are without the limit, where the system says so.
        count: Option<u64>,
    },
    /// To a put.
    Written,
    /// To a delete: how many keys were there, and are no more.
    Deleted(u64),
    /// To a compare-and-set: whether the key was as expected, and is now written.
    Swapped(bool),
    /// To a transaction.
    Transaction {
        /// Whether the comparisons held.
        succeeded: bool,
        /// The answers to the actions that were done, in order.
        answers: Vec<Answer>,
    },
    /// To a read at a revision: it is too old, and forgotten.
    Compacted,
}

/// A key's value, and where the system gives it, how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// How many times it was written since it was last created.
    pub version: Option<u64>,
    /// The revision that created it.
    pub create_revision: Option<u64>,
    /// The revision that last wrote it.
    pub mod_revision: Option<u64>,
}

impl Item {
    /// Nothing but a value.
    pub fn plain(value: &str) -> Item {
        Item {
            value: value.into(),
            version: None,
            create_revision: None,
            mod_revision: None,
        }
    }
}

impl Answer {
    /// The items that it contains, with their keys where it has them.
    pub(crate) fn items(&self) -> Vec<&Item> {
        match self {
            Answer::Value(item) => item.iter().collect(),
            Answer::Range { entries, .. } => entries.iter().map(|(_, item)| item).collect(),
            Answer::Transaction { answers, .. } => answers.iter().flat_map(Answer::items).collect(),
            Answer::Written | Answer::Deleted(_) | Answer::Swapped(_) | Answer::Compacted => {
                Vec::new()
            }
        }
    }
}

/// The JSON form of an answer: which fields are there says which kind it is.
#[expect(
    clippy::option_option,
    reason = "a field that is `null` is not one that is missing"
)]
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<Option<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mod_revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<EntryForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swapped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    succeeded: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<RetForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compacted: Option<bool>,
}

/// A key of a range.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    key: Key,
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mod_revision: Option<u64>,
}

/// A field that may be missing: `null` is a value, and not the same as missing.
#[expect(clippy::option_option, reason = "as above")]
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<Value>>, D::Error> {
    Option::deserialize(d).map(Some)
}

impl From<EntryForm> for (Key, Item) {
    fn from(form: EntryForm) -> (Key, Item) {
        let item = Item {
            value: form.value,
            version: form.version,
            create_revision: form.create_revision,
            mod_revision: form.mod_revision,
        };
        (form.key, item)
    }
}

impl From<(Key, Item)> for EntryForm {
    fn from((key, item): (Key, Item)) -> EntryForm {
        EntryForm {
            key,
            value: item.value,
            version: item.version,
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
        }
    }
}

impl From<Answer> for RetForm {
    fn from(answer: Answer) -> RetForm {
        let mut form = RetForm::default();
        match answer {
            Answer::Value(None) => form.value = Some(None),
            Answer::Value(Some(item)) => {
                form.value = Some(Some(item.value));
                form.version = item.version;
                form.create_revision = item.create_revision;
                form.mod_revision = item.mod_revision;
            }
            Answer::Range { entries, count } => {
                form.entries = Some(entries.into_iter().map(EntryForm::from).collect());
                form.count = count;
            }
            Answer::Written => {}
            Answer::Deleted(deleted) => form.deleted = Some(deleted),
            Answer::Swapped(swapped) => form.swapped = Some(swapped),
            Answer::Transaction { succeeded, answers } => {
                form.succeeded = Some(succeeded);
                form.answers = Some(answers.into_iter().map(RetForm::from).collect());
            }
            Answer::Compacted => form.compacted = Some(true),
        }
        form
    }
}

impl From<Ret> for RetForm {
    fn from(ret: Ret) -> RetForm {
        RetForm {
            revision: ret.revision,
            ..RetForm::from(ret.answer)
        }
    }
}

impl TryFrom<RetForm> for Ret {
    type Error = &'static str;

    fn try_from(mut form: RetForm) -> Result<Ret, Self::Error> {
        Ok(Ret {
            revision: form.revision.take(),
            answer: Answer::try_from(form)?,
        })
    }
}

impl TryFrom<RetForm> for Answer {
    type Error = &'static str;

    fn try_from(form: RetForm) -> Result<Answer, Self::Error> {
        let kinds = [
            form.value.is_some(),
            form.entries.is_some(),
            form.deleted.is_some(),
            form.swapped.is_some(),
            form.succeeded.is_some(),
            form.compacted.is_some(),
        ];
        if kinds.into_iter().filter(|there| *there).count() > 1 {
            return Err(
                "expected at most one of `value`, `entries`, `deleted`, `swapped`, `succeeded` and `compacted`",
            );
        }
        if form.revision.is_some() {
            return Err("an answer within a transaction has no `revision` of its own");
        }
        let about_item = [form.version, form.create_revision, form.mod_revision];
        if about_item.iter().any(Option::is_some) && !matches!(form.value, Some(Some(_))) {
            return Err("`version`, `create_revision` and `mod_revision` belong to a `value`");
        }
        if form.count.is_some() && form.entries.is_none() {
            return Err("`count` belongs to `entries`");
        }
        if form.succeeded.is_some() != form.answers.is_some() {
            return Err("expected both or none of `succeeded` and `answers`");
        }
        if form.compacted == Some(false) {
            return Err("`compacted` can only be true");
        }
        if let (Some(succeeded), Some(answers)) = (form.succeeded, form.answers) {
            let answers: Result<_, _> = answers.into_iter().map(Answer::try_from).collect();
            return answers.map(|answers| Answer::Transaction { succeeded, answers });
        }
        Ok(
            match (form.value, form.entries, form.deleted, form.swapped) {
                (Some(value), ..) => Answer::Value(value.map(|value| Item {
                    value,
                    version: form.version,
                    create_revision: form.create_revision,
                    mod_revision: form.mod_revision,
                })),
                (_, Some(entries), ..) => Answer::Range {
                    entries: entries.into_iter().map(Into::into).collect(),
                    count: form.count,
                },
                (_, _, Some(deleted), _) => Answer::Deleted(deleted),
                (.., Some(swapped)) => Answer::Swapped(swapped),
                _ if form.compacted.is_some() => Answer::Compacted,
                _ => Answer::Written,
            },
        )
    }
}
