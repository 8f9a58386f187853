//! Linearizability of a history as it happens: events are consumed one by one, and what is settled is forgotten.
//!
//! After each event the checker knows all *configurations* that the object can be in: its state, and which of the open operations have
//! taken effect. They take effect as late as possible, when an operation returns that is only legal after them
//! (just-in-time linearization, Lowe 2017). With no configuration left, the history up to here is not linearizable, and
//! neither is any longer one. Time and memory depend on how many operations are open at a time, and not on the length of
//! the history; but one of unknown outcome, other than a read, stays open for ever.
//!
//! An answer comes later than the effect. So a configuration keeps, of each open operation that has taken effect, the state in
//! which it did, and of each open read the states that have passed since its call.

use crate::{Event, Footprint, HistoryError, Model, Pairing, ProcessId, What};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::fmt;

/// A checker that is fed with events; see the [module](self).
pub struct Online<'a, M: Model<Key: Clone>> {
    model: &'a M,
    configurations_max: usize,
    pairing: Pairing,
    events: usize,
    /// By process, the object and the place of its open operation.
    open: BTreeMap<ProcessId, (Option<M::Key>, u32)>,
    objects: BTreeMap<Option<M::Key>, Object<M>>,
    progress: Progress,
}

/// What is known after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So far, there is a legal order.
    Valid,
    /// There is none any more.
    Invalid(Stop),
    /// There were more configurations than were allowed, or an answer decided on the state after an operation, which cannot be
    /// known before it comes.
    Unknown(Stop),
}

/// Where a checker stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The index of the event.
    pub event: usize,
    /// Whose event.
    pub process: ProcessId,
    /// The key in words; nothing if the model cannot be split.
    pub key: Option<String>,
    /// The operation that returned with it, in words: `get x -> 1`.
    pub operation: String,
}

/// An event that cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// The history makes no sense.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Keys that were apart so far belong together from now on.
    #[error(
        "event {event}: process {process} asks for several keys at once, which cannot be checked as it happens"
    )]
    Joint {
        /// The index of the event, from 0.
        event: usize,
        /// Whose event.
        process: ProcessId,
    },
}

struct Object<M: Model> {
    /// Open operations by place. Places are used again.
    places: Vec<Option<Open<M::Op>>>,
    configurations: Vec<Configuration<M::State>>,
    /// Operations so far, for the order of calls.
    called: u64,
}

struct Open<Op> {
    op: Op,
    called: u64,
    is_read_only: bool,
    is_unknown: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<S> {
    state: S,
    /// The operations that have taken effect, reads aside, with the state before; without it, if nobody waits for the answer.
    done: BTreeMap<u32, Option<S>>,
    /// By open read: the states since its call.
    passed: BTreeMap<u32, Vec<S>>,
}

// Not derived: a derive would ask for `M: Debug`.
impl<M: Model<Key: Clone>> fmt::Debug for Online<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Online")
            .field("events", &self.events)
            .field("remembered", &self.remembered())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl<'a, M: Model<Key: Clone>> Online<'a, M> {
    /// A checker that gives up when it would have to know more than this many configurations of one object at a time.
    pub fn new(model: &'a M, configurations_max: usize) -> Self {
        Online {
            model,
            configurations_max,
            pairing: Pairing::default(),
            events: 0,
            open: BTreeMap::new(),
            objects: BTreeMap::new(),
            progress: Progress::Valid,
        }
    }

    /// Consumes the next event. After the first answer that is not [`Progress::Valid`], that answer does not change any
    /// more.
    ///
    /// # Errors
    /// If the event cannot come now, or joins keys that were apart.
    pub fn push(&mut self, event: Event<M::Op, M::Ret>) -> Result<&Progress, OnlineError> {
        let Event { process, what, .. } = event;
        let index = self.events;
        self.pairing.next(index, process, &what)?;
        self.events += 1;
        if self.progress != Progress::Valid {
            return Ok(&self.progress);
        }
        match what {
            What::Invoke(op) => {
                let (model, event) = (self.model, index);
                let key = match model.footprint(&op) {
                    Footprint::Whole => None,
                    Footprint::Key(key) => Some(key.clone()),
                    Footprint::Several(_) => return Err(OnlineError::Joint { event, process }),
                };
                if self
                    .objects
                    .keys()
                    .next()
                    .is_some_and(|other| other.is_some() != key.is_some())
                {
                    return Err(OnlineError::Joint { event, process });
                }
                let object = self.objects.entry(key.clone());
                let object = object.or_insert_with(|| Object::new(model.initial()));
                let place = object.invoke(model, op);
                self.open.insert(process, (key, place));
            }
            What::Ok(ret) => self.complete(index, process, Some(&ret)),
            What::Fail | What::Info => {
                if let Some((key, place)) = self.open.remove(&process)
                    && let Some(object) = self.objects.get_mut(&key)
                {
                    let is_fail = matches!(what, What::Fail);
                    let words = object.describe(self.model, place, None);
                    if is_fail {
                        object.fail(place);
                    } else {
                        object.forget(place);
                    }
                    if object.configurations.is_empty() {
                        let key = key.map(|key| key.to_string());
                        self.progress = Progress::Invalid(Stop {
                            event: index,
                            process,
                            key,
                            operation: words,
                        });
                    }
                }
            }
        }
        Ok(&self.progress)
    }

    /// How much is remembered: configurations, and operations that may still take effect.
    pub fn remembered(&self) -> usize {
        let objects = self.objects.values();
        let counts = objects
            .map(|object| object.configurations.len() + object.places.iter().flatten().count());
        counts.sum()
    }

    fn complete(&mut self, event: usize, process: ProcessId, ret: Option<&M::Ret>) {
        let Some((key, place)) = self.open.remove(&process) else {
            return;
        };
        let (Some(object), Some(ret)) = (self.objects.get_mut(&key), ret) else {
            return;
        };
        let operation = object.describe(self.model, place, Some(ret));
        let is_known = object.complete(self.model, place, ret, self.configurations_max);
        let stop = |key: Option<M::Key>| Stop {
            event,
            process,
            key: key.map(|key| key.to_string()),
            operation,
        };
        if !is_known {
            self.progress = Progress::Unknown(stop(key));
        } else if object.configurations.is_empty() {
            self.progress = Progress::Invalid(stop(key));
        }
    }
}

impl<M: Model> Object<M> {
    fn new(initial: M::State) -> Self {
        Object {
            places: Vec::new(),
            configurations: vec![Configuration {
                state: initial,
                done: BTreeMap::new(),
                passed: BTreeMap::new(),
            }],
            called: 0,
        }
    }

    fn describe(&self, model: &M, place: u32, ret: Option<&M::Ret>) -> String {
        let open = self.places[place as usize].as_ref();
        open.map_or_else(String::new, |open| model.describe(&open.op, ret))
    }

    fn invoke(&mut self, model: &M, op: M::Op) -> u32 {
        let is_read_only = model.is_read_only(&op, None);
        self.called += 1;
        let open = Open {
            op,
            called: self.called,
            is_read_only,
            is_unknown: false,
        };
        let place = self
            .places
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.places.push(None);
                self.places.len() - 1
            });
        self.places[place] = Some(open);
        if is_read_only {
            for configuration in &mut self.configurations {
                let now = vec![configuration.state.clone()];
                configuration.passed.insert(place as u32, now);
            }
        }
        place as u32
    }

    /// The operation did not happen.
    fn fail(&mut self, place: u32) {
        self.configurations
            .retain(|configuration| !configuration.done.contains_key(&place));
        self.close(place);
    }

    /// Nobody waits for the answer any more.
    fn forget(&mut self, place: u32) {
        let Some(open) = &mut self.places[place as usize] else {
            return;
        };
        open.is_unknown = true;
        if open.is_read_only {
            self.close(place);
            return;
        }
        for configuration in &mut self.configurations {
            if let Some(before) = configuration.done.get_mut(&place) {
                *before = None;
            }
        }
        self.clean_up();
    }

    fn close(&mut self, place: u32) {
        self.places[place as usize] = None;
        for configuration in &mut self.configurations {
            configuration.done.remove(&place);
            configuration.passed.remove(&place);
        }
        self.clean_up();
    }

    /// Forgets operations of unknown outcome that have taken effect in every configuration, and what is there twice.
    fn clean_up(&mut self) {
        for (place, open) in (0..).zip(&mut self.places) {
            let is_done =
                |configuration: &Configuration<M::State>| configuration.done.contains_key(&place);
            if open.as_ref().is_some_and(|open| open.is_unknown)
                && self.configurations.iter().all(is_done)
            {
                *open = None;
                for configuration in &mut self.configurations {
                    configuration.done.remove(&place);
                }
            }
        }
        let mut known = FxHashSet::default();
        self.configurations
            .retain(|configuration| known.insert(configuration.clone()));
    }

    /// The operation answered. Whether everything is known that can be.
    fn complete(&mut self, model: &M, place: u32, ret: &M::Ret, configurations_max: usize) -> bool {
        let mut after: Vec<Configuration<M::State>> = Vec::new();
        let mut known: FxHashSet<Configuration<M::State>> = FxHashSet::default();
        let mut todo = std::mem::take(&mut self.configurations);
        let Some(open) = &self.places[place as usize] else {
            return true;
        };
        while let Some(mut configuration) = todo.pop() {
            if let Some(before) = configuration.done.get(&place) {
                let Some(before) = before else { continue };
                let Some(next) = model.step(before, &open.op, Some(ret)) else {
                    continue;
                };
                if model.step(before, &open.op, None) != Some(next) {
                    return false;
                }
                after.push(configuration);
                continue;
            }
            if let Some(passed) = configuration.passed.get(&place) {
                let mut passed = passed.iter();
                if passed.any(|state| model.step(state, &open.op, Some(ret)).is_some()) {
                    configuration.passed.remove(&place);
                    after.push(configuration);
                    continue;
                }
            } else if let Some(next) = model.step(&configuration.state, &open.op, Some(ret)) {
                after.push(configuration.clone().moved_to(next));
            }
            for (other, _) in (0..).zip(&self.places).filter(|(other, _)| *other != place) {
                if let Some(next) = self.take_effect(model, &configuration, other)
                    && known.insert(next.clone())
                {
                    todo.push(next);
                }
            }
            if known.len().max(after.len()) > configurations_max {
                return false;
            }
        }
        self.configurations = after;
        self.close(place);
        true
    }

    /// The configuration after an open operation has taken effect that has not yet; nothing if there is no point in it.
    fn take_effect(
        &self,
        model: &M,
        configuration: &Configuration<M::State>,
        place: u32,
    ) -> Option<Configuration<M::State>> {
        let open = self.places[place as usize].as_ref()?;
        if open.is_read_only || configuration.done.contains_key(&place) {
            return None;
        }
        // Of equal ones of unknown outcome, the first called goes first.
        let is_earlier = |(other, earlier): (u32, &Option<Open<M::Op>>)| {
            earlier.as_ref().is_some_and(|earlier| {
                earlier.is_unknown
                    && earlier.called < open.called
                    && earlier.op == open.op
                    && !configuration.done.contains_key(&other)
            })
        };
        if open.is_unknown && (0..).zip(&self.places).any(is_earlier) {
            return None;
        }
        let next = model.step(&configuration.state, &open.op, None)?;
        if open.is_unknown && next == configuration.state {
            return None;
        }
        let before = (!open.is_unknown).then(|| configuration.state.clone());
        let mut after = configuration.clone().moved_to(next);
        after.done.insert(place, before);
        Some(after)
    }
}

impl<S: Clone + PartialEq> Configuration<S> {
    fn moved_to(mut self, state: S) -> Self {
        for passed in self.passed.values_mut() {
            if !passed.contains(&state) {
                passed.push(state.clone());
            }
        }
        self.state = state;
        self
    }
}
