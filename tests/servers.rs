//! Three real processes on loopback: killed, paused, with a full disk and a damaged journal, while clients use them. What the
//! clients saw must be linearizable, and nothing that was acknowledged may be lost. Also what `splitbrain node` and `splitbrain client` say
//! when something is wrong.
//!
//! `SPLITBRAIN_KILLS=200 cargo test -p splitbrain-server --test servers killed` kills as often as that.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "law 1 is for what happens inside a run; this is the world outside, which has clocks"
)]

mod servers {
    mod cluster;
    mod command_line;
    mod faults;
    mod load;
    mod peer_port;
    mod readme;
    mod registry;
    mod tools;
}
