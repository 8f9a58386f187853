//! The models by name, and what the operations of files are in each: one row a model.

use super::dictionary::{Answer, Call, Dictionary, Fail, Keys, Word};
use super::elle;
use super::reading::{JudgeError, Reading, Typed, Wrong};
use crate::models::{
    cas_register, counter, fenced_lock, key_value, lease, mutex, priority_queue, queue, register,
    set, stack, strings, transactional,
};
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
        name: "queue",
        about: "numbers, first in, first out: enqueue, dequeue",
        dictionary: &QUEUE,
        begin: |dictionary, fail| Typed::begin(queue::Queue, dictionary, fail),
    },
    Known {
        name: "stack",
        about: "numbers, last in, first out: push, pop",
        dictionary: &STACK,
        begin: |dictionary, fail| Typed::begin(stack::Stack, dictionary, fail),
    },
    Known {
        name: "priority-queue",
        about: "numbers, the least comes out first: insert, delete-min",
        dictionary: &PRIORITY_QUEUE,
        begin: |dictionary, fail| Typed::begin(priority_queue::PriorityQueue, dictionary, fail),
    },
    Known {
        name: "set",
        about: "a set of numbers: add, remove, contains, read",
        dictionary: &SET,
        begin: |dictionary, fail| Typed::begin(set::Set, dictionary, fail),
    },
    Known {
        name: "counter",
        about: "a number to add to: add, read",
        dictionary: &COUNTER,
        begin: |dictionary, fail| Typed::begin(counter::Counter, dictionary, fail),
    },
    // Before the mutex, which asks for less.
    Known {
        name: "fenced-lock",
        about: "a lock whose holders get ever greater numbers: acquire, release",
        dictionary: &FENCED_LOCK,
        begin: |dictionary, fail| Typed::begin(fenced_lock::FencedLock, dictionary, fail),
    },
    Known {
        name: "mutex",
        about: "a lock that one owner holds at a time: acquire, release",
        dictionary: &MUTEX,
        begin: |dictionary, fail| Typed::begin(mutex::Mutex, dictionary, fail),
    },
    Known {
        name: "lease",
        about: "a lock that is lost in time: acquire, renew, release, expire",
        dictionary: &LEASE,
        begin: |dictionary, fail| Typed::begin(lease::Lease, dictionary, fail),
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
    answer: Answer::As("value"),
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

/// What puts something in.
const fn puts(names: &'static [&'static str], f: &'static str) -> Word {
    Word {
        names,
        f,
        call: Call::Value,
        answer: Answer::Nothing,
    }
}

/// What takes something out, or says that there was nothing.
const fn takes(names: &'static [&'static str], f: &'static str) -> Word {
    Word { names, f, ..READ }
}

/// What somebody asks for, who can be refused.
const fn owned(names: &'static [&'static str], f: &'static str) -> Word {
    Word {
        names,
        f,
        call: Call::Owner,
        answer: Answer::Whether("done"),
    }
}

const ACQUIRE: Word = owned(&["acquire", "lock"], "acquire");
const RELEASE: Word = owned(&["release", "unlock"], "release");

/// Numbers, without keys.
const fn numbers(model: &'static str, words: &'static [Word]) -> Dictionary {
    Dictionary {
        model,
        keys: Keys::None,
        text: false,
        words,
    }
}

const QUEUE: Dictionary = numbers(
    "queue",
    &[
        puts(&["enqueue", "enq"], "enqueue"),
        takes(&["dequeue", "deq"], "dequeue"),
    ],
);
const STACK: Dictionary = numbers("stack", &[puts(&["push"], "push"), takes(&["pop"], "pop")]);
const PRIORITY_QUEUE: Dictionary = numbers(
    "priority-queue",
    &[
        puts(&["insert"], "insert"),
        takes(&["delete-min", "delete_min"], "delete_min"),
    ],
);
const SET: Dictionary = numbers(
    "set",
    &[
        puts(&["add"], "add"),
        puts(&["remove"], "remove"),
        Word {
            names: &["contains"],
            f: "contains",
            call: Call::Value,
            answer: Answer::Said("found"),
        },
        Word {
            answer: Answer::As("values"),
            ..READ
        },
    ],
);
const COUNTER: Dictionary = numbers("counter", &[puts(&["add"], "add"), READ]);
const FENCED_LOCK: Dictionary = numbers(
    "fenced-lock",
    &[
        Word {
            answer: Answer::As("fence"),
            ..ACQUIRE
        },
        RELEASE,
    ],
);
const MUTEX: Dictionary = numbers("mutex", &[ACQUIRE, RELEASE]);
const LEASE: Dictionary = numbers(
    "lease",
    &[
        ACQUIRE,
        owned(&["renew"], "renew"),
        RELEASE,
        owned(&["expire"], "expire"),
    ],
);

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
