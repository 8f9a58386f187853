//! Every place of which it must be known whether a test ever comes there.

use crate::service;
use splitbrain_core::{Node, concatenated};

pub(super) const PROBES: &[&str] = &[
    "a client did not use a lock that it had lost",
    "a client lost what it held",
    "a client lost its place while it waited",
    "a client was woken by its predecessor",
    "a client waited for too long, and left the line",
    "a holder asked the resource again",
    "a resource refused an old token",
];

const COUNT: usize = PROBES.len() + <service::Peer as Node>::PROBES.len();

/// Those, and the ones of the service.
pub(super) const ALL: [&str; COUNT] = concatenated(&[PROBES, <service::Peer as Node>::PROBES]);
