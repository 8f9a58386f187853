//! Operations by the value that they put, read or took.

use super::{Action, Datum, Suspects};
use crate::Model;
use crate::linearizable::Entry;
use rustc_hash::FxHashMap;

/// Later than all events.
pub(super) const NEVER: u32 = u32::MAX;

/// When an operation is open: the events that call it and with which it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) called: u32,
    /// [`NEVER`] if it does not return, but must have taken effect.
    pub(super) returned: u32,
}

/// What happened to one value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cluster {
    pub(super) priority: i64,
    /// What put it there. Nothing for what a register is at first, and for what nobody put.
    pub(super) put: Option<Span>,
    /// What took it, if that is known.
    pub(super) took: Option<Span>,
    /// Whether it is the value that a register has at first.
    pub(super) initial: bool,
    /// The first return of what read it.
    first_read_return: Option<u32>,
    /// The last call of what read it.
    last_read_call: Option<u32>,
    /// Whether two operations took it.
    took_twice: bool,
}

impl Cluster {
    /// The first return of all that it was put, read and taken by.
    pub(super) fn first_return(&self) -> u32 {
        let took = self.took.map(|span| span.returned);
        let put = if self.initial {
            Some(0)
        } else {
            self.put.map(|span| span.returned)
        };
        let returns = [put, took, self.first_read_return];
        returns.into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// The last call of all that it was put, read and taken by.
    pub(super) fn last_call(&self) -> u32 {
        let calls = [self.put, self.took].map(|span| span.map(|span| span.called));
        let calls = calls.into_iter().chain([self.last_read_call]);
        calls.flatten().max().unwrap_or(0)
    }

    /// Where the value certainly is there: from the first event to before the second. Empty if they are not in this
    /// order.
    pub(super) fn inside(&self) -> (u32, u32) {
        let put = self.put.map_or(NEVER, |span| span.returned);
        let took = self.took.map_or(NEVER, |span| span.called);
        (put, took)
    }
}

/// All operations, by value. Clusters are numbered in order of their first operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    pub(super) all: Vec<Cluster>,
    /// What found nothing.
    pub(super) nothings: Vec<Span>,
    /// The calls of what may have taken something out, but whose answer is unknown.
    pub(super) takes: Vec<u32>,
    /// By operation: what it belongs to.
    owners: Vec<Owner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Its cluster.
    Cluster(u32),
    /// Its place among the nothings.
    Nothing(u32),
    /// It need not take effect, and is not needed.
    LeftOut,
}

impl Clusters {
    /// `None` if a value is put twice, or an operation is none of the object's.
    pub(super) fn collect<M: Model>(
        model: &M,
        entries: &[Entry<'_, M>],
        is_register: bool,
    ) -> Option<Clusters> {
        let mut clusters = Clusters::default();
        let mut numbers: FxHashMap<Option<Datum<'_>>, u32> = FxHashMap::default();
        clusters.owners.reserve(entries.len());
        for entry in entries {
            if entry.returned.is_none() && entry.is_read_only(model) {
                clusters.owners.push(Owner::LeftOut);
                continue;
            }
            // An answer that is known to a call that need not have come: a prefix was cut off here.
            if entry.returned.is_none() && entry.ret.is_some() {
                return None;
            }
            let span = Span {
                called: entry.called + 1,
                returned: entry.returned.map_or(NEVER, |returned| returned + 1),
            };
            let action = model.action(entry.op, entry.ret)?;
            let value = match action {
                Action::Put { value, .. } => Some(value),
                Action::Read(value) if is_register => Some(value),
                Action::Took(value) if !is_register => Some(value),
                Action::ReadNothing if is_register => None,
                Action::TookNothing if !is_register => {
                    clusters.add_nothing(span);
                    continue;
                }
                Action::Take if !is_register && entry.returned.is_none() => {
                    clusters.takes.push(span.called);
                    clusters.owners.push(Owner::LeftOut);
                    continue;
                }
                _ => return None,
            };
            let number = *numbers.entry(value).or_insert(clusters.all.len() as u32);
            let cluster = clusters.cluster(number);
            match action {
                Action::Put { priority, .. } => {
                    if cluster.put.replace(span).is_some() {
                        return None;
                    }
                    cluster.priority = priority;
                }
                Action::Took(_) => {
                    let before = cluster.took.replace(span);
                    cluster.took_twice |= before.is_some();
                }
                _ => {
                    cluster.initial = value.is_none();
                    cluster.add_read(span);
                }
            }
            clusters.owners.push(Owner::Cluster(number));
        }
        clusters.leave_out_unseen();
        Some(clusters)
    }

    /// The cluster of this number, which may be the next one.
    pub(super) fn cluster(&mut self, number: u32) -> &mut Cluster {
        let number = number as usize;
        if number == self.all.len() {
            self.all.push(Cluster::default());
        }
        &mut self.all[number]
    }

    /// The next operation belongs to this.
    pub(super) fn own(&mut self, owner: Owner) {
        self.owners.push(owner);
    }

    fn add_nothing(&mut self, span: Span) {
        let number = self.nothings.len() as u32;
        self.owners.push(Owner::Nothing(number));
        self.nothings.push(span);
    }

    /// A put of unknown outcome whose value nobody saw need not have happened; the others must.
    pub(super) fn leave_out_unseen(&mut self) {
        let unseen: Vec<bool> = self.all.iter().map(Cluster::is_unseen).collect();
        for owner in &mut self.owners {
            if matches!(owner, Owner::Cluster(number) if unseen[*number as usize]) {
                *owner = Owner::LeftOut;
            }
        }
        for (cluster, unseen) in self.all.iter_mut().zip(unseen) {
            if unseen {
                *cluster = Cluster::default();
            }
        }
    }

    /// The same, with all that may have been taken out taken, as far as there are values that nobody is known to have taken: in the
    /// order of their returns, by the earliest call first. Whatever is legal so is legal without knowing it.
    ///
    /// To take a value that stays otherwise never makes a *queue* wrong, as the take is open to the end; it only frees those behind
    /// it. The first of two values must be out earlier or at the same time as the second, so that the earliest calls are
    /// spent where they are needed most. Only for the sake of what found nothing could another choice be better.
    pub(super) fn with_takes(&self) -> Clusters {
        let stays = |cluster: &&mut Cluster| cluster.put.is_some() && cluster.took.is_none();
        let mut taken = self.clone();
        let mut staying: Vec<&mut Cluster> = taken.all.iter_mut().filter(stays).collect();
        staying.sort_by_key(|cluster| cluster.put.map(|put| put.returned));
        // Operations come in order of invocation, and so do these.
        for (cluster, &called) in staying.into_iter().zip(&self.takes) {
            cluster.took = Some(Span {
                called,
                returned: NEVER,
            });
        }
        taken.takes = Vec::new();
        taken
    }

    /// A value comes from its put, once, and not before it was put.
    pub(super) fn judge_each(&self) -> Result<(), Suspects> {
        let wrong = |cluster: &Cluster| {
            let came = [
                cluster.took.map(|span| span.returned),
                cluster.first_read_return,
            ];
            let came = came.into_iter().flatten().min();
            cluster.took_twice
                || came.is_some_and(|came| {
                    !cluster.initial && cluster.put.is_none_or(|put| came < put.called)
                })
        };
        match self.all.iter().position(wrong) {
            Some(number) => Err(Suspects {
                clusters: vec![number as u32],
                nothings: Vec::new(),
            }),
            None => Ok(()),
        }
    }

    /// The clusters that there is something to say about.
    pub(super) fn seen(&self) -> impl Iterator<Item = (u32, &Cluster)> {
        let numbered = (0..).zip(&self.all);
        numbered.filter(|(_, cluster)| {
            cluster.put.is_some() || cluster.took.is_some() || cluster.first_read_return.is_some()
        })
    }

    /// Only these clusters and nothings, under their old numbers; of the others nothing is known.
    pub(super) fn only(&self, suspects: &Suspects) -> Clusters {
        let mut only = Clusters::default();
        for &number in &suspects.clusters {
            only.all.push(self.all[number as usize]);
        }
        for &number in &suspects.nothings {
            only.nothings.push(self.nothings[number as usize]);
        }
        only
    }

    /// The indices of the operations of the suspects, in order.
    pub(super) fn operations(&self, suspects: &Suspects) -> Vec<usize> {
        let (mut clusters, mut nothings) = (suspects.clusters.clone(), suspects.nothings.clone());
        clusters.sort_unstable();
        nothings.sort_unstable();
        let suspect = |(_, owner): &(usize, &Owner)| match owner {
            Owner::Cluster(number) => clusters.binary_search(number).is_ok(),
            Owner::Nothing(number) => nothings.binary_search(number).is_ok(),
            Owner::LeftOut => false,
        };
        let suspects = self.owners.iter().enumerate().filter(suspect);
        suspects.map(|(index, _)| index).collect()
    }
}

impl Cluster {
    fn add_read(&mut self, span: Span) {
        let first = self.first_read_return.unwrap_or(NEVER);
        self.first_read_return = Some(first.min(span.returned));
        let last = self.last_read_call.unwrap_or(0);
        self.last_read_call = Some(last.max(span.called));
    }

    fn is_unseen(&self) -> bool {
        self.put.is_some_and(|put| put.returned == NEVER)
            && self.took.is_none()
            && self.first_read_return.is_none()
    }
}
