//! A service registry: who is there is found, and who is not is not.
//!
//! A registry with heartbeats is a failure detector (T. Chandra and S. Toueg, "Unreliable failure detectors for reliable
//! distributed systems", JACM 1996): *complete*, if the dead disappear, and *accurate*, if the living do not. With a time to live, as
//! Consul's TTL checks and Eureka's leases have it, both can be asked for with bounds:
//!
//! * **Found**: an instance whose heartbeats are answered, each within the time to live of the one before it, is in every
//!   look-up, once it has been so for as long as news may take.
//! * **Gone**: after its last heartbeat, an instance is in no look-up when the time to live, the delay of the news and a bound are over.
//! * **Gone for good**: once its deregistration was answered, an instance is in no look-up after the delay of news, unless it registers again.
//!   A heartbeat is no registration.
//! * **Real**: nobody is found who had not asked to be registered.
//!
//! What a client has in a cache, and says so, is as old as it says. Active checks by the registry are heartbeats, too: a check that passed was
//! sent and answered. A check that failed, or maintenance, is a deregistration from the look-ups that want only the passing; whoever
//! checks these feeds it as one, and the next check that passed as a registration.
//!
//! Time: O((e + l i) log e) for `e` events and `l` look-ups of services with `i` instances.

use crate::verdict::seconds;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The name of a service, or of an instance: unique among those of its service.
pub type Name = Arc<str>;

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an instance is there after a heartbeat.
    pub ttl_ns: u64,
    /// How long news may take until all look-ups know them; 0 if they are linearizable.
    pub news_ns_max: u64,
    /// How long after its time to live an instance may still be there, the news apart.
    pub late_ns_max: u64,
}

/// What happened, in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An instance asked the registry for something.
    Asked {
        /// Of which service.
        service: Name,
        /// Which instance.
        instance: Name,
        /// What for.
        request: Request,
        /// When it was sent.
        sent_ns: u64,
        /// When it was answered, or after which it cannot have any effect; nothing if it may still have one.
        done_ns: Option<u64>,
        /// Whether it was answered: yes, it is done.
        answered: bool,
    },
    /// A client looked for the instances of a service.
    LookedUp {
        /// Which.
        service: Name,
        /// When it asked.
        asked_ns: u64,
        /// When it was answered.
        answered_ns: u64,
        /// Whom it found.
        found: BTreeSet<Name>,
        /// How old the answer may be, as it says; 0 if it comes from the registry.
        age_ns: u64,
    },
}

/// What an instance asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To be found from now on.
    Register,
    /// Not to be forgotten.
    Heartbeat,
    /// Not to be found any more.
    Deregister,
}

/// What is wrong with a look-up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An instance that was well was not found.
    #[error("{service}: {instance} was not found by the look-up at {}, although its heartbeats were answered from {} on, and the last one keeps it until {}", seconds(*.asked_ns), seconds(*.since_ns), seconds(*.until_ns))]
    NotFound {
        /// Of which service.
        service: Name,
        /// Which.
        instance: Name,
        /// When somebody looked.
        asked_ns: u64,
        /// Since when it had been well.
        since_ns: u64,
        /// Until when it was.
        until_ns: u64,
    },
    /// An instance was found that had been silent for long.
    #[error("{service}: {instance} was found by the look-up at {}, but has been silent since {}, and should have gone by {}", seconds(*.asked_ns), seconds(*.silent_ns), seconds(*.due_ns))]
    NotGone {
        /// Of which service.
        service: Name,
        /// Which.
        instance: Name,
        /// When somebody looked.
        asked_ns: u64,
        /// When its last request, before, was over.
        silent_ns: u64,
        /// When it should have been gone.
        due_ns: u64,
    },
    /// An instance came back, or never went, after it had deregistered.
    #[error("{service}: {instance} was found by the look-up at {}, but had deregistered by {}", seconds(*.asked_ns), seconds(*.deregistered_ns))]
    CameBack {
        /// Of which service.
        service: Name,
        /// Which.
        instance: Name,
        /// When somebody looked.
        asked_ns: u64,
        /// When its deregistration was answered.
        deregistered_ns: u64,
    },
    /// An instance was found that had not asked for it.
    #[error("{service}: {instance} was found by the look-up at {}, but had not registered", seconds(*.asked_ns))]
    NeverThere {
        /// Of which service.
        service: Name,
        /// Which.
        instance: Name,
        /// When somebody looked.
        asked_ns: u64,
    },
}

/// A request of an instance.
#[derive(Clone, Copy)]
struct Message {
    request: Request,
    sent_ns: u64,
    done_ns: Option<u64>,
    answered: bool,
}

/// An instance, and what is known of it.
#[derive(Default)]
struct Instance {
    /// In order of sending.
    requests: Vec<Message>,
    /// When it was certainly registered and had certainly been heard of: from an answer to the end of a time to live.
    well: Vec<(u64, u64)>,
}

type Instances = BTreeMap<Name, Instance>;

/// A look-up.
struct LookUp<'a> {
    service: &'a Name,
    asked_ns: u64,
    answered_ns: u64,
    /// The earliest moment whose state it may show.
    since_ns: u64,
    found: &'a BTreeSet<Name>,
}

/// Everything that is wrong, look-up by look-up.
pub fn check(settings: &Settings, events: &[Event]) -> Vec<Violation> {
    let mut services: BTreeMap<&Name, Instances> = BTreeMap::new();
    for event in events {
        if let Event::Asked {
            service,
            instance,
            request,
            sent_ns,
            done_ns,
            answered,
        } = event
        {
            let instances = services.entry(service).or_default();
            instances
                .entry(instance.clone())
                .or_default()
                .requests
                .push(Message {
                    request: *request,
                    sent_ns: *sent_ns,
                    done_ns: *done_ns,
                    answered: *answered,
                });
        }
    }
    for instance in services.values_mut().flat_map(BTreeMap::values_mut) {
        instance.requests.sort_by_key(|sent| sent.sent_ns);
        instance.find_well(settings);
    }
    let none = Instances::new();
    let mut violations = Vec::new();
    for event in events {
        if let Event::LookedUp {
            service,
            asked_ns,
            answered_ns,
            found,
            age_ns,
        } = event
        {
            let look_up = LookUp {
                service,
                asked_ns: *asked_ns,
                answered_ns: *answered_ns,
                since_ns: asked_ns.saturating_sub(settings.news_ns_max.saturating_add(*age_ns)),
                found,
            };
            let instances = services.get(service).unwrap_or(&none);
            look_up.check(settings, instances, &mut violations);
        }
    }
    violations
}

impl LookUp<'_> {
    fn check(&self, settings: &Settings, instances: &Instances, violations: &mut Vec<Violation>) {
        let (service, asked_ns) = (self.service.clone(), self.asked_ns);
        for (name, instance) in instances {
            if let Some((since_ns, until_ns)) =
                instance.well_during(self.since_ns, self.answered_ns)
                && !self.found.contains(name)
            {
                violations.push(Violation::NotFound {
                    service: service.clone(),
                    instance: name.clone(),
                    asked_ns,
                    since_ns,
                    until_ns,
                });
            }
        }
        for name in self.found {
            let wrong = match instances.get(name) {
                None => Some(self.never_there(name)),
                Some(instance) => self.wrongly_found(settings, name, instance),
            };
            violations.extend(wrong);
        }
    }

    fn never_there(&self, name: &Name) -> Violation {
        Violation::NeverThere {
            service: self.service.clone(),
            instance: name.clone(),
            asked_ns: self.asked_ns,
        }
    }

    /// Why the instance cannot have been there at any moment that the look-up may show.
    fn wrongly_found(
        &self,
        settings: &Settings,
        name: &Name,
        instance: &Instance,
    ) -> Option<Violation> {
        let before = instance
            .requests
            .partition_point(|sent| sent.sent_ns <= self.answered_ns);
        let before = &instance.requests[..before];
        let Some(registered) = before
            .iter()
            .rposition(|sent| sent.request == Request::Register)
        else {
            return Some(self.never_there(name));
        };
        let deregistered = before
            .iter()
            .filter(|sent| sent.request == Request::Deregister && sent.answered);
        let gone = deregistered.filter_map(|sent| Some((sent.done_ns?, sent.sent_ns)));
        // A registration that was sent before the deregistration was answered may have come after it.
        let may_be_later = |done_ns: u64| {
            let mut registrations = before[..=registered].iter().rev();
            registrations.any(|sent| {
                sent.request == Request::Register
                    && sent
                        .done_ns
                        .is_none_or(|registered_ns| registered_ns > done_ns)
            })
        };
        let gone = gone.filter(|&(done_ns, sent_ns)| {
            done_ns < self.since_ns
                && before[registered].sent_ns < sent_ns
                && !may_be_later(done_ns)
        });
        if let Some((deregistered_ns, _)) = gone.max() {
            return Some(Violation::CameBack {
                service: self.service.clone(),
                instance: name.clone(),
                asked_ns: self.asked_ns,
                deregistered_ns,
            });
        }
        let beats = before
            .iter()
            .filter(|sent| sent.request != Request::Deregister);
        // Nobody knows when what is still on its way comes.
        let silent_ns = beats
            .map(|sent| sent.done_ns)
            .try_fold(0, |last, done_ns| Some(last.max(done_ns?)))?;
        let due_ns = silent_ns
            .saturating_add(settings.ttl_ns)
            .saturating_add(settings.late_ns_max);
        (due_ns < self.since_ns).then(|| Violation::NotGone {
            service: self.service.clone(),
            instance: name.clone(),
            asked_ns: self.asked_ns,
            silent_ns,
            due_ns: due_ns.saturating_add(self.asked_ns - self.since_ns),
        })
    }
}

impl Instance {
    /// Joins the times for which each answered request vouches. From a deregistration on, nothing does until it is
    /// registered again.
    fn find_well(&mut self, settings: &Settings) {
        let mut registered = false;
        // Until then, a deregistration may come.
        let mut doubtful_ns = 0;
        for sent in &self.requests {
            match sent.request {
                Request::Deregister => {
                    registered = false;
                    doubtful_ns = doubtful_ns.max(sent.done_ns.unwrap_or(u64::MAX));
                    if let Some((_, until_ns)) = self.well.last_mut() {
                        *until_ns = sent.sent_ns.min(*until_ns);
                    }
                    continue;
                }
                Request::Register => registered |= sent.answered && sent.sent_ns >= doubtful_ns,
                Request::Heartbeat => {}
            }
            let (Some(done_ns), true) = (sent.done_ns, sent.answered && registered) else {
                continue;
            };
            let until_ns = sent.sent_ns.saturating_add(settings.ttl_ns);
            match self.well.last_mut() {
                Some((_, last_ns)) if done_ns <= *last_ns => *last_ns = until_ns.max(*last_ns),
                _ if done_ns < until_ns => self.well.push((done_ns, until_ns)),
                _ => {}
            }
        }
    }

    /// The time for which it was well, if that contains all this.
    fn well_during(&self, from_ns: u64, to_ns: u64) -> Option<(u64, u64)> {
        let later = self
            .well
            .partition_point(|(since_ns, _)| *since_ns <= from_ns);
        let (since_ns, until_ns) = *self.well.get(later.checked_sub(1)?)?;
        (to_ns < until_ns).then_some((since_ns, until_ns))
    }
}

#[cfg(test)]
mod tests;
