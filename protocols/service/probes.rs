//! Every place of which it must be known whether a test ever comes there.

use crate::raft;
use splitbrain_core::{Node, concatenated};

pub(super) const PROBES: &[&str] = &[
    "a client asked the next server to keep a lease alive",
    "a client found a gap in its watch",
    "a client lost a lease that nobody kept alive",
    "a client was refused what it had got in the meantime",
    "a client was told that what it watches for was compacted",
    "a client went on with its watch at another server",
    "a lease that was kept alive had been written down",
    "a lease was granted too late to be relied on",
    "a leader found that a lease had run out",
    "a leader wrote down how much remained of a lease",
    "a new leader began with what remained of a lease",
    "a request to keep a lease alive came too late",
    "a server dropped a watch that nobody spoke of any more",
    "a server refused a watch, as it knew of no leader",
    "a watch began behind the server and caught up from history",
    "a watch waited, as its client had not taken what was sent",
    "a watch was ahead of the server",
];

const COUNT: usize = PROBES.len() + <raft::Peer as Node>::PROBES.len();

/// Those, and the ones of Raft.
pub(super) const ALL: [&str; COUNT] = concatenated(&[PROBES, <raft::Peer as Node>::PROBES]);
