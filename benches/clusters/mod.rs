//! Raft without a kernel: servers, a queue of messages between them, and nothing else. What is measured is what the
//! servers do.
//!
//! Two kinds of cluster do the same work. Each server of [`Ours`] is one of this repository, and each one of `RaftRs` (with
//! the feature `peer`) one of the crate `raft` (tikv/raft-rs) with its storage in memory. On both sides
//!
//! * messages are structs in queues, which nobody encodes, and arrive in the order in which they were sent;
//! * a disk is a vector in memory, and durable as soon as it is written;
//! * a client's request is there, encoded, when the clock starts, what it says is shared by all servers and never copied, and
//!   answers are made and dropped;
//! * every server applies what is committed to an ordered map behind a table of client sessions;
//! * a round ends when all is quiet and every server has applied everything.

mod ours;
#[cfg(feature = "peer")]
mod peer;

pub use ours::Ours;
#[cfg(feature = "peer")]
pub use peer::{Every, Merged, RaftRs};

use splitbrain_protocols::kv::{Key, Op, Value};

/// Servers that pass each other messages.
pub trait Cluster: Sized {
    /// What to call it in a table.
    const NAME: &'static str;

    /// A cluster of that many servers, one of which leads, with an open session and a first commit, so that all servers
    /// follow.
    fn elected(servers: usize) -> Self;

    /// Makes this many requests that [`commit`](Cluster::commit) can take.
    fn prepare(&mut self, requests: usize);

    /// Hands the leader that many of the prepared requests before it hears anything else, and delivers messages until
    /// every server, except for one that is cut off, has applied them.
    fn commit(&mut self, requests: usize);

    /// The leader speaks to its followers, which answer.
    fn heartbeat(&mut self);

    /// Loses all messages from and to the last server, a follower.
    fn cut_off(&mut self);

    /// Lets the last server catch up.
    fn catch_up(&mut self);

    /// Counts bytes from now on, which costs time.
    fn meter(&mut self);

    /// What has been done so far.
    fn counts(&self) -> Counts;

    /// How many entries each server has applied, and what its store then holds, as far as the last key goes.
    fn applied(&self) -> Vec<(u64, Option<String>)>;
}

/// What the servers of a cluster have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that a server was told of: requests, messages, timers, and syncs where it is told of them.
    pub steps: u64,
    /// Messages from server to server.
    pub messages: u64,
    /// What they take on a wire, if a message and an entry take 32 bytes whatever they say, on either side.
    pub bytes: u64,
}

impl Counts {
    /// What was done since then.
    #[must_use]
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            steps: self.steps - earlier.steps,
            messages: self.messages - earlier.messages,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// How many keys the requests write to.
const KEYS: usize = 64;

/// The puts that clients ask for, in turn: 8 bytes of key and 32 of value.
fn puts() -> Vec<Op> {
    let put = |number: usize| {
        let key = Key::from(format!("key-{number:04}"));
        Op::put(key, Value::from(format!("{number:032}")))
    };
    (0..KEYS).map(put).collect()
}

/// The key that [`Cluster::applied`] asks for.
fn last_key() -> Key {
    let last = puts().pop();
    last.and_then(|op| op.key().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits_everywhere<C: Cluster>() {
        for servers in [1, 3, 5] {
            let mut cluster = C::elected(servers);
            cluster.meter();
            let before = cluster.applied()[0].0;
            cluster.prepare(2 * KEYS);
            for batch in [1, KEYS - 1, KEYS] {
                cluster.commit(batch);
            }
            cluster.heartbeat();
            let value = Some(format!("{:032}", KEYS - 1));
            let after = (before + 2 * KEYS as u64, value);
            assert_eq!(cluster.applied(), vec![after; servers], "{}", C::NAME);
            assert!(servers == 1 || cluster.counts().bytes > 0);
        }
    }

    fn catches_up<C: Cluster>() {
        let mut cluster = C::elected(3);
        cluster.cut_off();
        cluster.prepare(1000);
        (0..10).for_each(|_| cluster.commit(100));
        let behind = cluster.applied();
        assert!(behind[2].0 + 1000 <= behind[0].0, "{}: {behind:?}", C::NAME);
        cluster.catch_up();
        let level = cluster.applied();
        assert_eq!(level, vec![level[0].clone(); 3], "{}", C::NAME);
    }

    #[test]
    fn our_servers_commit_everywhere_and_catch_up() {
        commits_everywhere::<Ours>();
        catches_up::<Ours>();
    }

    #[cfg(feature = "peer")]
    #[test]
    fn their_servers_do_so_too() {
        commits_everywhere::<RaftRs<Every>>();
        catches_up::<RaftRs<Every>>();
        commits_everywhere::<RaftRs<Merged>>();
        catches_up::<RaftRs<Merged>>();
    }
}
