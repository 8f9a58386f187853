//! The probes: what must happen in some run for the rest of this folder to have been tested at all.

/// What may happen to servers, then what may happen to clients. `probe!` takes its texts from here.
pub(super) const PROBES: &[&str] = &[
    // Elections
    "an election ended without a winner",
    "a vote was refused: another candidate had it",
    "a candidate let another one go first, whose log was ahead",
    "a vote was refused: the candidate's log was behind",
    "a reply to an earlier candidacy was ignored",
    "a candidate gave way",
    "a leader was deposed",
    "an election was lost",
    "a vote was refused: the voter had lost entries",
    "a vote was refused: an earlier term may have a lease",
    "a candidate was ignored: there is a leader",
    "a pre-vote was refused: there is a leader",
    "a pre-vote was lost",
    "a later term was learnt from a refused pre-vote",
    "a leader stepped down, as no quorum answered",
    // Leadership transfer
    "leadership was transferred",
    "a transfer of leadership was given up",
    "a server started an election at its leader's wish",
    // Members
    "a new server became a learner first",
    "a joint configuration was committed",
    "a change of members was completed",
    "a change of members was given up",
    "a change of members was refused by a new leader",
    "a change of members was refused: another one was under way",
    "a leader that was removed stepped down",
    // Snapshots
    "a server took a snapshot",
    "a leader sent a snapshot in place of entries",
    "a snapshot came of what was there already",
    "a chunk of a snapshot came twice or too early",
    "a snapshot was installed below a log that goes on",
    "a snapshot replaced a log",
    "a server restarted from a snapshot",
    // Reads
    "a read was answered by lease",
    "a read was answered after a round",
    "a read was answered by a follower",
    "a read waited for the leader's first commit",
    "a follower had to apply more before it could answer a read",
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
    "a server found that it had lost entries",
    "what a server had lost came back",
    // Sessions
    "a retry was committed, and performed no second time",
    "an operation was committed after its client went on",
    "a deposed leader turned waiting clients away",
    "a leader had no time for a client",
    "a session expired",
    "an operation of a session that had expired was refused",
    "a client learnt that its session had expired",
    // Clients
    "a client was sent on to the leader",
    "nobody could tell a client who leads",
    "a client asked the next server in turn",
    "a client gave up an operation that may have taken effect",
    "a client gave up an operation that was never sent",
    "a client ignored an answer that it did not wait for",
];
