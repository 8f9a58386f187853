//! Leases (C. Gray and D. Cheriton, "Leases", SOSP 1989; etcd's "Lease API"): none ends early, and none lives on for long.
//!
//! A client may rely on a lease for its time to live, counted from when it *sent* the request (to grant it, or to keep it
//! alive) that was then answered: the service cannot have started to count before that. The service may have started as late as
//! when the answer came, or the request was given up, and must have ended the lease a time to live and a bound later. Clocks may
//! drift: a promise of so much time is kept if it is kept by a clock that is too fast by the drift allowed.
//!
//! A service that cannot act (without a leader, say) ends nothing; when it can again, it may give every lease its whole
//! time to live anew, as etcd's new leader does.
//!
//! Time: O(n log n).

use crate::verdict::seconds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much faster or slower than true time the service's clocks may go, in millionths.
    pub drift_ppm_max: u64,
    /// How long after its time a lease may be there.
    pub late_ns_max: u64,
    /// When the trace ends.
    pub end_ns: u64,
}

/// The number of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}

/// A request, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// When it was sent.
    pub sent_ns: u64,
    /// When it was answered, or after which it cannot have any effect; nothing if it may still have one.
    pub done_ns: Option<u64>,
    /// Whether it was answered: yes, it is done.
    pub answered: bool,
}

/// What happened, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A client asked for a lease.
    Grant {
        /// Which.
        lease: LeaseId,
        /// How long it lives.
        ttl_ns: u64,
        /// The request.
        request: Request,
    },
    /// A client asked to keep it alive.
    KeepAlive {
        /// Which.
        lease: LeaseId,
        /// The request.
        request: Request,
    },
    /// A client asked to end it.
    Revoke {
        /// Which.
        lease: LeaseId,
        /// The request.
        request: Request,
    },
    /// The service ended it, and removed what was attached to it.
    Ended {
        /// Which.
        lease: LeaseId,
        /// When.
        time_ns: u64,
    },
    /// Somebody asked for a key that is attached to it.
    Looked {
        /// Which.
        lease: LeaseId,
        /// When it asked.
        asked_ns: u64,
        /// When it was answered, from the state at some time in between.
        answered_ns: u64,
        /// Whether the key was there.
        there: bool,
    },
    /// The service could not act.
    Outage {
        /// From then on.
        from_ns: u64,
        /// Until then; nothing if it never could again.
        to_ns: Option<u64>,
    },
}

/// What is wrong with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It ended before its time, and nobody had asked for that.
    #[error("{lease} ended at {}, but the request sent at {} and answered keeps it until {}", seconds(*.time_ns), seconds(*.sent_ns), seconds(*.until_ns))]
    Early {
        /// Which.
        lease: LeaseId,
        /// When.
        time_ns: u64,
        /// When the request was sent that kept it alive last.
        sent_ns: u64,
        /// What a client could rely on.
        until_ns: u64,
    },
    /// A key attached to it was not there, within its time.
    #[error("a key of {lease} was not there between {} and {}, but the request sent at {} and answered keeps it until {}", seconds(*.asked_ns), seconds(*.answered_ns), seconds(*.sent_ns), seconds(*.until_ns))]
    KeyGone {
        /// Which.
        lease: LeaseId,
        /// When somebody asked.
        asked_ns: u64,
        /// When it was answered.
        answered_ns: u64,
        /// When the request was sent that kept it alive last.
        sent_ns: u64,
        /// What a client could rely on.
        until_ns: u64,
    },
    /// It was not ended when its time was long over.
    #[error("{lease} should have ended by {}, but {}", seconds(*.due_ns), Ended(*.ended_ns))]
    Late {
        /// Which.
        lease: LeaseId,
        /// When it should have ended at the latest.
        due_ns: u64,
        /// When it ended, if it did.
        ended_ns: Option<u64>,
    },
    /// A key attached to it outlived it.
    #[error("a key of {lease} was there when asked for at {}, but it had ended at {}", seconds(*.asked_ns), seconds(*.ended_ns))]
    Outlived {
        /// Which.
        lease: LeaseId,
        /// When somebody asked.
        asked_ns: u64,
        /// When it had ended, or its revocation was answered.
        ended_ns: u64,
    },
    /// It was kept alive after it had ended.
    #[error("{lease} ended at {}, but a request sent at {} was answered as if it had kept it alive", seconds(*.ended_ns), seconds(*.sent_ns))]
    Undead {
        /// Which.
        lease: LeaseId,
        /// When it had ended, or its revocation was answered.
        ended_ns: u64,
        /// When the request was sent.
        sent_ns: u64,
    },
    /// It ended, but nobody had asked for it.
    #[error("{lease} ended at {}, but was not asked for before", seconds(*.time_ns))]
    Unknown {
        /// Which.
        lease: LeaseId,
        /// When.
        time_ns: u64,
    },
}

struct Ended(Option<u64>);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ended_ns) => write!(f, "ended at {}", seconds(ended_ns)),
            None => f.write_str("never did"),
        }
    }
}

/// Everything that is known of one lease.
#[derive(Default)]
struct Lease {
    ttl_ns: u64,
    granted: Option<Request>,
    /// Its grant, too.
    renewals: Vec<Request>,
    revocations: Vec<Request>,
    ended_ns: Option<u64>,
    looks: Vec<(u64, u64, bool)>,
}

/// Everything that is wrong, lease by lease.
pub fn check(settings: &Settings, events: &[Event]) -> Vec<Violation> {
    let mut leases: BTreeMap<LeaseId, Lease> = BTreeMap::new();
    let mut outages: Vec<(u64, u64)> = Vec::new();
    for event in events {
        match *event {
            Event::Grant {
                lease,
                ttl_ns,
                request,
            } => {
                let lease = leases.entry(lease).or_default();
                lease.ttl_ns = ttl_ns;
                lease.granted = Some(request);
                lease.renewals.push(request);
            }
            Event::KeepAlive { lease, request } => {
                leases.entry(lease).or_default().renewals.push(request);
            }
            Event::Revoke { lease, request } => {
                leases.entry(lease).or_default().revocations.push(request);
            }
            Event::Ended { lease, time_ns } => {
                let ended_ns = &mut leases.entry(lease).or_default().ended_ns;
                *ended_ns = Some(ended_ns.map_or(time_ns, |before| before.min(time_ns)));
            }
            Event::Looked {
                lease,
                asked_ns,
                answered_ns,
                there,
            } => {
                let looks = &mut leases.entry(lease).or_default().looks;
                looks.push((asked_ns, answered_ns, there));
            }
            Event::Outage { from_ns, to_ns } => outages.push((from_ns, to_ns.unwrap_or(u64::MAX))),
        }
    }
    outages.sort_unstable();
    let mut found = Vec::new();
    for (id, mut lease) in leases {
        lease
            .renewals
            .sort_unstable_by_key(|request| request.sent_ns);
        lease.check(id, settings, &outages, &mut found);
    }
    found
}

impl Lease {
    fn check(
        &self,
        lease: LeaseId,
        settings: &Settings,
        outages: &[(u64, u64)],
        found: &mut Vec<Violation>,
    ) {
        if self.granted.is_none() {
            found.extend(
                self.ended_ns
                    .map(|time_ns| Violation::Unknown { lease, time_ns }),
            );
            return;
        }
        if let Some(time_ns) = self.ended_ns
            && let Some((sent_ns, until_ns)) = self.promise(settings, time_ns, time_ns)
        {
            found.push(Violation::Early {
                lease,
                time_ns,
                sent_ns,
                until_ns,
            });
        }
        self.check_late(lease, settings, outages, found);
        let revoked = self.revocations.iter().filter(|request| request.answered);
        let over_ns = revoked
            .filter_map(|request| request.done_ns)
            .chain(self.ended_ns)
            .min();
        for &(asked_ns, answered_ns, there) in &self.looks {
            if there {
                let ended_ns = over_ns.filter(|over_ns| *over_ns < asked_ns);
                found.extend(ended_ns.map(|ended_ns| Violation::Outlived {
                    lease,
                    asked_ns,
                    ended_ns,
                }));
            } else if let Some((sent_ns, until_ns)) = self.promise(settings, asked_ns, answered_ns)
            {
                found.push(Violation::KeyGone {
                    lease,
                    asked_ns,
                    answered_ns,
                    sent_ns,
                    until_ns,
                });
            }
        }
        let undead = self.renewals.iter().filter(|request| request.answered);
        let undead = undead.filter_map(|request| {
            let ended_ns = over_ns.filter(|over_ns| *over_ns < request.sent_ns)?;
            Some(Violation::Undead {
                lease,
                ended_ns,
                sent_ns: request.sent_ns,
            })
        });
        found.extend(undead);
    }

    /// What keeps it alive from one moment to another, and until when: a request that had been answered by the first
    /// moment, if nobody had asked for its end by the second.
    fn promise(&self, settings: &Settings, from_ns: u64, to_ns: u64) -> Option<(u64, u64)> {
        let asked_to_end = |request: &Request| request.sent_ns <= to_ns;
        if self.revocations.iter().any(asked_to_end) {
            return None;
        }
        let answered = |request: &&Request| {
            request.answered && request.done_ns.is_some_and(|done_ns| done_ns <= from_ns)
        };
        let last = self.renewals.iter().rev().find(answered)?;
        // By a clock that is too fast.
        let kept_ns = drifted(self.ttl_ns, 1_000_000, 1_000_000 + settings.drift_ppm_max);
        let until_ns = last.sent_ns.saturating_add(kept_ns);
        (to_ns < until_ns).then_some((last.sent_ns, until_ns))
    }

    fn check_late(
        &self,
        lease: LeaseId,
        settings: &Settings,
        outages: &[(u64, u64)],
        found: &mut Vec<Violation>,
    ) {
        let slow_ppm = 1_000_000_u64.saturating_sub(settings.drift_ppm_max).max(1);
        let lives_ns = drifted(self.ttl_ns, 1_000_000, slow_ppm);
        let is_granted = self.granted.is_some_and(|request| request.answered);
        let ended_ns = self.ended_ns.unwrap_or(u64::MAX);
        // What was sent after the end did not put it off.
        let renewals = self
            .renewals
            .iter()
            .filter(|request| request.sent_ns <= ended_ns);
        let latest = renewals
            .map(|request| request.done_ns)
            .try_fold(0, |latest, done_ns| Some(latest.max(done_ns?)));
        // Who knows when a request that is still on its way comes.
        let (Some(latest), true) = (latest, is_granted) else {
            return;
        };
        let revoked = self.revocations.iter().filter(|request| request.answered);
        let revoked_ns = revoked.filter_map(|request| request.done_ns).min();
        let bound = |since_ns: u64| {
            since_ns
                .saturating_add(lives_ns)
                .saturating_add(settings.late_ns_max)
        };
        // That it is revoked, the service knows at once.
        let mut due_ns = revoked_ns.map_or(bound(latest), |revoked_ns| {
            bound(latest).min(revoked_ns.saturating_add(settings.late_ns_max))
        });
        for &(from_ns, to_ns) in outages {
            if from_ns <= due_ns && to_ns >= latest {
                due_ns = due_ns.max(bound(to_ns));
            }
        }
        if due_ns < ended_ns.min(settings.end_ns) {
            found.push(Violation::Late {
                lease,
                due_ns,
                ended_ns: self.ended_ns,
            });
        }
    }
}

/// A time by another clock.
fn drifted(time_ns: u64, numerator: u64, denominator: u64) -> u64 {
    let time = u128::from(time_ns) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(time).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
