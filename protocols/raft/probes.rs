//! The probes: what must happen in some run for the rest of this folder to have been tested at all.

/// What may happen to servers, then what may happen to clients. `probe!` takes its texts from here.
pub(super) const PROBES: &[&str] = &[
    // Elections
    "an election ended without a winner",
    "a vote was refused: another candidate had it",
    "a vote was refused: the candidate's log was behind",
    "a reply to an earlier candidacy was ignored",
    "a candidate gave way",
    "a leader was deposed",
    // Replication
    "a deposed leader was refused",
    "a follower refused entries that did not follow on its log",
    "a leader went back by more than one entry at once",
    "a conflicting tail was truncated",
    "entries came that were there already",
    "a reply to an earlier term's entries was ignored",
    // Commitment
    "a commit index was learnt from a heartbeat",
    "a commit index beyond the last new entry was not followed",
    "a majority had an entry of an earlier term, which was not committed for that",
    "an entry of an earlier term was committed indirectly",
    // Restarts
    "a server restarted with entries in its log",
    "a server compacted its journal",
    // Sessions
    "a retry was committed, and performed no second time",
    "an operation was committed after its client went on",
    "a deposed leader turned waiting clients away",
    // Clients
    "a client was sent on to the leader",
    "nobody could tell a client who leads",
    "a client asked the next server in turn",
    "a client gave up an operation that may have taken effect",
    "a client gave up an operation that was never sent",
    "a client ignored an answer that it did not wait for",
];
