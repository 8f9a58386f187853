//! The models by name, and what the operations of files are in each: one row a model.

use super::dictionary::{Answer, Call, Dictionary, Fail, Keys, Word};
use super::elle;
use super::reading::{JudgeError, Reading, Typed, Wrong};
use crate::models::{cas_register, key_value, register, strings, transactional};
use crate::{Budget, History, Verdict};

/// A model that histories can be checked against, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What it is called on a command line. Two rows may be the same model of histories that are written differently.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    pub(super) dictionary: &'static Dictionary,
    begin: fn(&'static Dictionary, Fail) -> Box<dyn Reading>,
}

impl Known {
    /// Begins to read a history of this model.
    pub fn begin(&self, fail: Fail) -> Box<dyn Reading> {
        (self.begin)(self.dictionary, fail)
    }
}

/// All of them. Where the model is to be guessed, it is the first that knows every event.
pub const CATALOG: &[Known] = &[
    Known {
        name: "register",
        about: "one integer: read, write",
        dictionary: &REGISTER,
        begin: |dictionary, fail| Typed::begin(register::Register, dictionary, fail),
    },
    Known {
        name: "cas-register",
        about: "one integer: read, write, compare-and-set",
        dictionary: &CAS_REGISTER,
        begin: |dictionary, fail| Typed::begin(cas_register::CasRegister, dictionary, fail),
    },
    Known {
        name: "key-value",
        about: "strings by keys, absent at first: get, put, delete, compare-and-set",
        dictionary: &KEY_VALUE,
        begin: |dictionary, fail| Typed::begin(key_value::KeyValue, dictionary, fail),
    },
    Known {
        name: "strings",
        about: "strings by keys, empty at first: get, put, append",
        dictionary: &STRINGS,
        begin: |dictionary, fail| Typed::begin(strings::Strings, dictionary, fail),
    },
    Known {
        name: "key-value",
        about: "one string, absent at first: read, write, compare-and-set",
        dictionary: &ONE_VALUE,
        begin: |dictionary, fail| Typed::begin(key_value::KeyValue, dictionary, fail),
    },
    Known {
        name: "store",
        about: "a store like etcd's: transactions, ranges, revisions (only as jsonl)",
        dictionary: &STORE,
        begin: |dictionary, fail| {
            Typed::with(dictionary, fail, judge_store, |history| {
                transactional::Transactional::of(history, 1)
            })
        },
    },
    Known {
        name: "list-append",
        about: "transactions that append to lists and read them: strictly serializable",
        dictionary: &LIST_APPEND,
        begin: elle::lists,
    },
    Known {
        name: "rw-register",
        about: "transactions that write and read registers: strictly serializable",
        dictionary: &RW_REGISTER,
        begin: elle::registers,
    },
];

const READ: Word = Word {
    names: &["read", "r", "get"],
    f: "read",
    call: Call::Nothing,
    answer: Answer::Value,
};
const WRITE: Word = Word {
    names: &["write", "w", "put", "set"],
    f: "write",
    call: Call::Value,
    answer: Answer::Nothing,
};
const COMPARE_AND_SET: Word = Word {
    names: &["cas", "compare_and_set", "compare-and-set"],
    f: "compare_and_set",
    call: Call::Change,
    answer: Answer::Whether("swapped"),
};
const GET: Word = Word {
    f: "get",
    names: &["get", "read", "r"],
    ..READ
};
const PUT: Word = Word {
    f: "put",
    names: &["put", "write", "w", "set"],
    ..WRITE
};
const DELETE: Word = Word {
    names: &["delete", "remove"],
    f: "delete",
    call: Call::Nothing,
    answer: Answer::Said("deleted"),
};
const APPEND: Word = Word {
    names: &["append"],
    f: "append",
    call: Call::Value,
    answer: Answer::Nothing,
};

const REGISTER: Dictionary = Dictionary {
    model: "register",
    keys: Keys::None,
    text: false,
    words: &[READ, WRITE],
};
const CAS_REGISTER: Dictionary = Dictionary {
    model: "cas-register",
    keys: Keys::None,
    text: false,
    words: &[READ, WRITE, COMPARE_AND_SET],
};
const KEY_VALUE: Dictionary = Dictionary {
    model: "key-value",
    keys: Keys::Given,
    text: true,
    words: &[GET, PUT, DELETE, COMPARE_AND_SET],
};
const STRINGS: Dictionary = Dictionary {
    model: "strings",
    keys: Keys::Given,
    text: true,
    words: &[GET, PUT, APPEND],
};
const ONE_VALUE: Dictionary = Dictionary {
    model: "key-value",
    keys: Keys::One("value"),
    text: true,
    words: &[GET, PUT, COMPARE_AND_SET],
};
/// It has no words: what it does has more structure than foreign files have names for.
const STORE: Dictionary = Dictionary {
    model: "store",
    keys: Keys::None,
    text: false,
    words: &[],
};

/// What transactions do is in their value.
const LIST_APPEND: Dictionary = Dictionary {
    model: "list-append",
    ..STORE
};
const RW_REGISTER: Dictionary = Dictionary {
    model: "rw-register",
    ..STORE
};

fn judge_store(
    _: &transactional::Transactional,
    history: &History<transactional::Op, transactional::Ret>,
    budget: Budget,
) -> Result<Verdict<Wrong>, JudgeError> {
    use crate::transactional::{Settings, Violation, check};
    Ok(match check(history, &Settings::default(), budget)? {
        Verdict::Valid => Verdict::Valid,
        Verdict::Unknown(reason) => Verdict::Unknown(reason),
        Verdict::Invalid(violation) => {
            let what = violation.to_string();
            let counterexample = match violation {
                Violation::NotLinearizable(why) | Violation::NotAnOldState(why) => Some(why),
                _ => None,
            };
            Verdict::Invalid(Wrong {
                what,
                counterexample,
            })
        }
    })
}
