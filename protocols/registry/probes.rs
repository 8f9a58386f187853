//! Every place of which it must be known whether a test ever comes there.

use crate::service;
use splitbrain_core::{Node, concatenated};

pub(super) const PROBES: &[&str] = &[
    "a breaker opened",
    "a breaker refused a call",
    "a cache was read anew, as the changes after it were compacted",
    "a call found nobody to go to",
    "a call was made again, somewhere else",
    "a call was not made again, as the retry budget was used up",
    "a call was served from a stale cache",
    "a server said by DNS that it could not tell",
    "an answer of DNS was cut off, and asked for again without a limit",
    "an instance found that it was not registered any more",
    "an instance found that its entry had been written by another incarnation",
    "an instance had more to do than it could and refused a call",
    "an instance registered anew, as it had lost its lease",
    "an instance was ejected as an outlier",
    "the registry found that an instance was well",
    "the registry found that an instance was not well",
    "the registry had been away and judged nobody for it",
    "the registry removed an instance that had been critical for long",
    "the registry wrote down for how long an instance had been critical",
];

const COUNT: usize = PROBES.len() + <service::Peer as Node>::PROBES.len();

/// Those, and the ones of the service.
pub(super) const ALL: [&str; COUNT] = concatenated(&[PROBES, <service::Peer as Node>::PROBES]);

const OWN_ROLES: &[&str] = &["instance", "proxy"];
const ROLES_COUNT: usize = OWN_ROLES.len() + <service::Peer as Node>::ROLES.len();

/// What nodes may be doing.
pub(super) const ROLES: [&str; ROLES_COUNT] =
    concatenated(&[OWN_ROLES, <service::Peer as Node>::ROLES]);
