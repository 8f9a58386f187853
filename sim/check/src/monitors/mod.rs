//! Objects for which there is a faster way than search: near-linear monitors, each exact, on histories in which every
//! value goes in at most once.
//!
//! A model says that it is such an object ([`Model::object`]) and what its operations do to it ([`Model::action`]). Whatever a
//! monitor cannot take, such as a value that was written twice or an operation of another kind, is left to the search.
//! Each monitor says why it is right; the tests compare each with the search, for published ones were not.
//!
//! All of them look at *clusters*: what goes in under a value, and what comes out under it again. Time is counted in
//! events, and operations take effect in the *gaps* between them: gap `g` is the time between the events `g - 1` and
//! `g`. An operation called by the event `c` that returns with the event `r` takes effect in one of the gaps `c + 1..=r`.

mod clusters;
mod mutex;
mod priority_queue;
mod queue;
mod register;
mod stack;
mod witness;

use crate::Model;
use crate::linearizable::Entry;
use clusters::Clusters;
use witness::smallest;

/// An object that has a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Reads see the last write.
    Register,
    /// First in, first out.
    Queue,
    /// Last in, first out.
    Stack,
    /// What has the least priority comes out first.
    PriorityQueue,
    /// One holder at a time.
    Mutex,
}

/// What an operation does to an [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Writes a register, or puts something into a container.
    Put {
        /// What.
        value: Datum<'a>,
        /// Where in a priority queue: the least comes out first. Otherwise without meaning.
        priority: i64,
    },
    /// Read a register and saw its first state, in which nothing had been written.
    ReadNothing,
    /// Read this from a register.
    Read(Datum<'a>),
    /// Took this out of a container.
    Took(Datum<'a>),
    /// Would have taken something out, but there was nothing.
    TookNothing,
    /// Took something out, or found nothing: the answer is unknown.
    Take,
    /// Waits for the mutex and takes it, for this owner.
    Acquire(Datum<'a>),
    /// This owner gives the mutex back. Impossible if it does not hold it.
    Release(Datum<'a>),
}

/// A value, or an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum<'a> {
    /// A number.
    Number(i64),
    /// A text.
    Text(&'a str),
}

/// What a monitor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Monitored {
    /// The operations have a legal order.
    Valid,
    /// They have none, and neither have those with these indices among them alone.
    Invalid(Vec<usize>),
}

/// Why a monitor says no: some clusters and operations without a value that have no legal order alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Suspects {
    clusters: Vec<u32>,
    nothings: Vec<u32>,
}

/// What the monitor of the model's object says of operations that come in order of invocation; nothing if it has none, or
/// cannot take them.
pub(crate) fn monitor<M: Model>(model: &M, entries: &[Entry<'_, M>]) -> Option<Monitored> {
    let object = model.object()?;
    let clusters = match object {
        Object::Mutex => mutex::clusters(model, entries)?,
        _ => Clusters::collect(model, entries, object == Object::Register)?,
    };
    let Err(suspects) = clusters.judge(object) else {
        return Some(Monitored::Valid);
    };
    // What an unknown operation took may be just what is missing.
    if !clusters.takes.is_empty() {
        let is_legal = object == Object::Queue && clusters.with_takes().judge(object).is_ok();
        return is_legal.then_some(Monitored::Valid);
    }
    let suspects = smallest(&clusters, object, suspects);
    Some(Monitored::Invalid(clusters.operations(&suspects)))
}

impl Clusters {
    /// Whether there is a legal order.
    fn judge(&self, object: Object) -> Result<(), Suspects> {
        self.judge_each()?;
        match object {
            Object::Register | Object::Mutex => register::judge(self),
            Object::Queue => queue::judge(self),
            Object::Stack => stack::judge(self),
            Object::PriorityQueue => priority_queue::judge(self),
        }
    }
}
