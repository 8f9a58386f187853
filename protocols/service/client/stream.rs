//! The client's side of a watch: what it has got, in order and without a gap, and whom to ask for more.
//!
//! Where a watch stands is for the client to know. It says so to whatever server it talks to, again and again, so that no
//! server must remember it, and takes only what follows what it has got: whatever is lost, doubled or late on the way
//! makes no difference.

use super::super::message::Events;
use super::super::op::WatchKeys;
use crate::kv::Revision;
use splitbrain_core::{OpId, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A watch of one client.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Names it towards servers: a random number.
    pub(super) watch: u64,
    pub(super) keys: Arc<WatchKeys>,
    /// What has been handed out: every change up to here. Nothing, as long as it is not known from where it is watched.
    taken: Option<Revision>,
    /// What has been got from a server and not handed out: each goes on where the one before ends, and the first where
    /// `taken` ends.
    got: VecDeque<Events>,
    /// The server that is asked, as an index into all servers.
    pub(super) server: usize,
    /// When that server was last heard of, or first asked.
    pub(super) heard_at: Time,
    /// When to say again where it stands.
    pub(super) ask_at: Time,
    /// Who waits for changes, and until when.
    pub(super) waiting: Option<(OpId, Time)>,
    /// When somebody last waited.
    pub(super) used_at: Time,
}

/// What became of what a server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// It follows what there is.
    Next,
    /// It was got before.
    Old,
    /// Something before it is missing.
    Gap,
}

impl Stream {
    pub(super) fn new(
        watch: u64,
        keys: Arc<WatchKeys>,
        after: Option<Revision>,
        server: usize,
        now: Time,
    ) -> Stream {
        Stream {
            watch,
            keys,
            taken: after,
            got: VecDeque::new(),
            server,
            heard_at: now,
            ask_at: now,
            waiting: None,
            used_at: now,
        }
    }

    /// Up to where everything has been handed out.
    pub(super) fn taken(&self) -> Option<Revision> {
        self.taken
    }

    /// Up to where everything has been got.
    pub(super) fn through(&self) -> Option<Revision> {
        self.got
            .back()
            .map_or(self.taken, |last| Some(last.through))
    }

    /// A server has sent something.
    pub(super) fn receive(&mut self, events: Events) -> Got {
        match self.through() {
            // The first word on where it begins.
            None => {
                self.taken = Some(events.after);
            }
            Some(through) if events.after > through => return Got::Gap,
            Some(through) if events.after < through || events.through == through => {
                // What is sent again after a loss may begin before what was got since, and end behind it; it will come once
                // more from where this ends.
                return Got::Old;
            }
            Some(_) => {}
        }
        self.got.push_back(events);
        Got::Next
    }

    /// Hands out the oldest that was got.
    pub(super) fn take(&mut self) -> Option<Events> {
        let mut events = self.got.pop_front()?;
        // What says only that there was nothing is handed out with what follows.
        while events.events.is_empty()
            && let Some(next) = self.got.pop_front()
        {
            events = Events {
                after: events.after,
                ..next
            };
        }
        self.taken = Some(events.through);
        Some(events)
    }

    /// Whether there is any change to be handed out.
    pub(super) fn has_changes(&self) -> bool {
        self.got.iter().any(|events| !events.events.is_empty())
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self, idle: Duration) -> Time {
        let waits_until = self.waiting.map(|(_, until)| until);
        let soonest = waits_until.unwrap_or(self.used_at + idle);
        soonest.min(self.ask_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::watch::Event;
    use crate::kv::{KeyRange, Op, Store};

    fn stream(after: Option<u64>) -> Stream {
        let keys = Arc::new(KeyRange::all());
        Stream::new(9, keys, after.map(Revision), 0, Time::ZERO)
    }

    fn changes(count: usize) -> Vec<Arc<Event>> {
        let mut store = Store::keeping(99);
        for nth in 0..count {
            store.apply(&Op::put("k", nth.to_string()));
        }
        let changes = store.changes_since(Revision::FIRST.next());
        let event = |change| Arc::new(Event::of(change, false));
        changes.unwrap().map(event).collect()
    }

    fn events(after: u64, through: u64, count: usize) -> Events {
        Events {
            watch: 9,
            after: Revision(after),
            through: Revision(through),
            events: changes(count),
        }
    }

    #[test]
    fn only_what_follows_is_taken() {
        let mut stream = stream(Some(5));
        assert_eq!(stream.receive(events(7, 8, 1)), Got::Gap);
        assert_eq!(stream.receive(events(5, 7, 1)), Got::Next);
        assert_eq!(stream.receive(events(5, 7, 1)), Got::Old);
        assert_eq!(stream.receive(events(5, 9, 1)), Got::Old);
        assert_eq!(stream.receive(events(7, 7, 0)), Got::Old);
        assert_eq!(stream.receive(events(7, 8, 1)), Got::Next);
        assert_eq!(stream.through(), Some(Revision(8)));
        assert_eq!(stream.taken(), Some(Revision(5)));
        assert_eq!(stream.take().unwrap().through, Revision(7));
        assert_eq!(stream.take(), Some(events(7, 8, 1)));
        assert_eq!((stream.take(), stream.taken()), (None, Some(Revision(8))));
    }

    #[test]
    fn where_it_begins_is_what_the_first_server_says() {
        let mut stream = stream(None);
        assert_eq!((stream.through(), stream.has_changes()), (None, false));
        assert_eq!(stream.receive(events(4, 4, 0)), Got::Next);
        assert_eq!(stream.receive(events(2, 2, 0)), Got::Old);
        assert_eq!(stream.through(), Some(Revision(4)));
    }

    #[test]
    fn what_says_nothing_is_handed_out_with_what_follows() {
        let mut stream = stream(Some(5));
        stream.receive(events(5, 6, 0));
        stream.receive(events(6, 8, 0));
        assert!(!stream.has_changes());
        stream.receive(events(8, 9, 1));
        stream.receive(events(9, 10, 1));
        assert!(stream.has_changes());
        assert_eq!(stream.take(), Some(events(5, 9, 1)));
        assert_eq!(stream.take(), Some(events(9, 10, 1)));
    }
}
