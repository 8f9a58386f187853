//! The models by name, and what the operations of files are in each: one row a model.

use super::consistency::{Consistency, OF_REGISTERS, OF_TRANSACTIONS};
use super::dictionary::{Answer, Call, Dictionary, Fail, Keys, Word};
use super::reading::Reading;
use super::{elle, judges};
use crate::models::{
    cas_register, counter, fenced_lock, key_value, lease, list_append, mutex, priority_queue,
    queue, register, set, stack, strings,
};

/// A model that histories can be checked against, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What it is called on a command line. Two rows may be the same model of histories that are written differently.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What its histories can be held to; the first is what they are held to if nobody says.
    pub levels: &'static [Consistency],
    pub(super) dictionary: &'static Dictionary,
    begin: fn(&'static Known, Fail) -> Box<dyn Reading>,
}

impl Known {
    /// Begins to read a history of this model.
    pub fn begin(&'static self, fail: Fail) -> Box<dyn Reading> {
        (self.begin)(self, fail)
    }
}

/// Operations one by one.
const OPERATIONS: &[Consistency] = &[Consistency::Linearizable, Consistency::Sequential];
const LINEARIZABLE: &[Consistency] = &[Consistency::Linearizable];
const LAW: &[Consistency] = &[Consistency::Law];

/// All of them. Where the model is to be guessed, it is the first that knows every event.
pub const CATALOG: &[Known] = &[
    Known {
        name: "register",
        about: "one integer: read, write",
        levels: OPERATIONS,
        dictionary: &REGISTER,
        begin: |known, fail| judges::model(register::Register, known, fail),
    },
    Known {
        name: "cas-register",
        about: "one integer: read, write, compare-and-set",
        levels: OPERATIONS,
        dictionary: &CAS_REGISTER,
        begin: |known, fail| judges::model(cas_register::CasRegister, known, fail),
    },
    Known {
        name: "key-value",
        about: "strings by keys, absent at first: get, put, delete, compare-and-set",
        levels: OPERATIONS,
        dictionary: &KEY_VALUE,
        begin: |known, fail| judges::model(key_value::KeyValue, known, fail),
    },
    // Before the strings, which take a list for a text.
    Known {
        name: "lists",
        about: "lists of numbers by keys, empty at first: append, read",
        levels: OPERATIONS,
        dictionary: &LISTS,
        begin: |known, fail| judges::model(list_append::ListAppend, known, fail),
    },
    Known {
        name: "strings",
        about: "strings by keys, empty at first: get, put, append",
        levels: OPERATIONS,
        dictionary: &STRINGS,
        begin: |known, fail| judges::model(strings::Strings, known, fail),
    },
    Known {
        name: "key-value",
        about: "the same, and append: get, put, append, delete, compare-and-set",
        levels: OPERATIONS,
        dictionary: &ALL_OF_KEY_VALUE,
        begin: |known, fail| judges::model(key_value::KeyValue, known, fail),
    },
    Known {
        name: "key-value",
        about: "one string, absent at first: read, write, compare-and-set",
        levels: OPERATIONS,
        dictionary: &ONE_VALUE,
        begin: |known, fail| judges::model(key_value::KeyValue, known, fail),
    },
    Known {
        name: "queue",
        about: "numbers, first in, first out: enqueue, dequeue",
        levels: OPERATIONS,
        dictionary: &QUEUE,
        begin: |known, fail| judges::model(queue::Queue, known, fail),
    },
    Known {
        name: "stack",
        about: "numbers, last in, first out: push, pop",
        levels: OPERATIONS,
        dictionary: &STACK,
        begin: |known, fail| judges::model(stack::Stack, known, fail),
    },
    Known {
        name: "priority-queue",
        about: "numbers, the least comes out first: insert, delete-min",
        levels: OPERATIONS,
        dictionary: &PRIORITY_QUEUE,
        begin: |known, fail| judges::model(priority_queue::PriorityQueue, known, fail),
    },
    Known {
        name: "set",
        about: "a set of numbers: add, remove, contains, read",
        levels: OPERATIONS,
        dictionary: &SET,
        begin: |known, fail| judges::model(set::Set, known, fail),
    },
    Known {
        name: "counter",
        about: "a number to add to: add, read",
        levels: OPERATIONS,
        dictionary: &COUNTER,
        begin: |known, fail| judges::model(counter::Counter, known, fail),
    },
    // Before the mutex, which asks for less.
    Known {
        name: "fenced-lock",
        about: "a lock whose holders get ever greater numbers: acquire, release",
        levels: OPERATIONS,
        dictionary: &FENCED_LOCK,
        begin: |known, fail| judges::model(fenced_lock::FencedLock, known, fail),
    },
    Known {
        name: "mutex",
        about: "a lock that one owner holds at a time: acquire, release",
        levels: OPERATIONS,
        dictionary: &MUTEX,
        begin: |known, fail| judges::model(mutex::Mutex, known, fail),
    },
    Known {
        name: "lease",
        about: "a lock that is lost in time: acquire, renew, release, expire",
        levels: OPERATIONS,
        dictionary: &LEASE,
        begin: |known, fail| judges::model(lease::Lease, known, fail),
    },
    Known {
        name: "semaphore",
        about: "permits that owners take and give back (--permits): acquire, release",
        levels: OPERATIONS,
        dictionary: &SEMAPHORE,
        begin: judges::semaphore,
    },
    Known {
        name: "store",
        about: "a store like etcd's: transactions, ranges, revisions (only as jsonl)",
        levels: LINEARIZABLE,
        dictionary: &STORE,
        begin: judges::store,
    },
    Known {
        name: "list-append",
        about: "transactions that append to lists and read them: strictly serializable",
        levels: OF_TRANSACTIONS,
        dictionary: &LIST_APPEND,
        begin: elle::lists,
    },
    Known {
        name: "rw-register",
        about: "transactions that write and read registers: strictly serializable",
        levels: OF_REGISTERS,
        dictionary: &RW_REGISTER,
        begin: elle::registers,
    },
    Known {
        name: "unique-ids",
        about: "no identifier is given twice: generate",
        levels: LAW,
        dictionary: &UNIQUE_IDS,
        begin: judges::ids,
    },
    Known {
        name: "bank",
        about: "the sum of all accounts is always the same: transfer, read",
        levels: LAW,
        dictionary: &BANK,
        begin: judges::bank,
    },
    Known {
        name: "total-queue",
        about: "what goes in comes out, once, in any order: enqueue, dequeue, drain",
        levels: LAW,
        dictionary: &TOTAL_QUEUE,
        begin: judges::queue,
    },
    Known {
        name: "set-full",
        about: "what was added is seen from then on: add, read",
        levels: LAW,
        dictionary: &SET_FULL,
        begin: judges::set,
    },
    Known {
        name: "counter-bounds",
        about: "a read is between what must and what may have been added: add, read",
        levels: LAW,
        dictionary: &COUNTER_BOUNDS,
        begin: judges::counter,
    },
    Known {
        name: "recency",
        about: "how stale reads of registers are, and for how long: write, read",
        levels: LAW,
        dictionary: &RECENCY,
        begin: judges::recency,
    },
    Known {
        name: "log",
        about: "logs with offsets, as Kafka's: send, poll, assign (only as jsonl)",
        levels: LAW,
        dictionary: &LOG,
        begin: judges::log,
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
    call: Call::As("value"),
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
    call: Call::As("value"),
    answer: Answer::Nothing,
};

/// What puts something in.
const fn puts(names: &'static [&'static str], f: &'static str) -> Word {
    Word {
        names,
        f,
        call: Call::As("value"),
        answer: Answer::Nothing,
    }
}

/// The same, called an element.
const fn element(names: &'static [&'static str], f: &'static str) -> Word {
    Word {
        call: Call::As("element"),
        ..puts(names, f)
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
            call: Call::As("value"),
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

/// A lock has one permit, unless the file says more.
const SEMAPHORE: Dictionary = numbers(
    "semaphore",
    &[
        Word {
            call: Call::Permits,
            ..ACQUIRE
        },
        Word {
            call: Call::Permits,
            ..RELEASE
        },
    ],
);
const LISTS: Dictionary = Dictionary {
    model: "lists",
    keys: Keys::Given,
    text: false,
    words: &[
        APPEND,
        Word {
            answer: Answer::As("values"),
            ..READ
        },
    ],
};
const ALL_OF_KEY_VALUE: Dictionary = Dictionary {
    words: &[GET, PUT, APPEND, DELETE, COMPARE_AND_SET],
    ..KEY_VALUE
};

const UNIQUE_IDS: Dictionary = numbers(
    "unique-ids",
    &[Word {
        answer: Answer::As("id"),
        ..takes(&["generate"], "generate")
    }],
);
const BANK: Dictionary = numbers(
    "bank",
    &[
        Word {
            call: Call::Fields,
            ..puts(&["transfer"], "transfer")
        },
        Word {
            answer: Answer::Pairs("balances"),
            ..READ
        },
    ],
);
const TOTAL_QUEUE: Dictionary = numbers(
    "total-queue",
    &[
        element(&["enqueue", "enq"], "enqueue"),
        Word {
            answer: Answer::As("element"),
            ..takes(&["dequeue", "deq"], "dequeue")
        },
        Word {
            answer: Answer::As("elements"),
            ..takes(&["drain"], "drain")
        },
    ],
);
const SET_FULL: Dictionary = numbers(
    "set-full",
    &[
        element(&["add"], "add"),
        Word {
            answer: Answer::As("elements"),
            ..READ
        },
    ],
);
const COUNTER_BOUNDS: Dictionary = numbers(
    "counter-bounds",
    &[
        Word {
            call: Call::As("amount"),
            ..puts(&["add"], "add")
        },
        READ,
    ],
);
const RECENCY: Dictionary = Dictionary {
    model: "recency",
    keys: Keys::Given,
    text: false,
    words: &[WRITE, READ],
};
/// What is sent and polled at once has more structure than this reads from foreign files.
const LOG: Dictionary = Dictionary {
    model: "log",
    ..STORE
};
