//! Every message that servers and clients of the coordination service send each other comes through a frame as it was sent, or not at
//! all: whatever is cut off or damaged, and whoever has damaged it.

mod raft;
mod store;

use super::tests::sealed;
use super::{FRAME_BYTES_MAX, Frame, FrameCodec, HEADER_BYTES};
use bytes::BytesMut;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use splitbrain_core::NodeId;
use splitbrain_protocols::kv::watch::{Event, EventKind};
use splitbrain_protocols::raft::Message as Raft;
use splitbrain_protocols::service::{
    Events, KeepAlive, KeepAliveReply, Kept, Message, NoWatch, StaleRead, StaleReadReply, Unwatch,
    Watch, WatchAck, WatchRefused,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{key_value, keys, lease, op, ret, revision};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Small ones, which take a byte, and those that take all that there are.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, any::<u64>(), Just(u64::MAX)]
}

fn id() -> impl Strategy<Value = NodeId> {
    (0..2000_usize).prop_map(NodeId::from_index)
}

fn option<T: std::fmt::Debug + Clone>(
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some)
}

fn some<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(of, 0..4)
}

fn of_watches() -> impl Strategy<Value = Message> {
    let watch = (number(), keys(), option(revision()));
    let kind = prop_oneof![Just(EventKind::Put), Just(EventKind::Delete)];
    let event = (kind, key_value(), option(key_value()));
    let event = event.prop_map(|(kind, key_value, previous)| {
        Arc::new(Event {
            kind,
            key_value,
            previous,
        })
    });
    let events = (number(), revision(), revision(), some(event));
    let why = prop_oneof![
        revision().prop_map(NoWatch::Compacted),
        Just(NoWatch::NoLeader),
        Just(NoWatch::Busy),
    ];
    prop_oneof![
        watch.prop_map(|(watch, keys, after)| {
            let keys = keys.into();
            Message::Watch(Watch { watch, keys, after })
        }),
        (number(), revision())
            .prop_map(|(watch, through)| Message::WatchAck(WatchAck { watch, through })),
        number().prop_map(|watch| Message::Unwatch(Unwatch { watch })),
        events.prop_map(|(watch, after, through, events)| {
            Message::Events(Events {
                watch,
                after,
                through,
                events,
            })
        }),
        (number(), why).prop_map(|(watch, why)| Message::WatchRefused(WatchRefused { watch, why })),
    ]
}

fn of_leases_and_reads() -> impl Strategy<Value = Message> {
    let kept = prop_oneof![
        Just(Kept::Alive),
        Just(Kept::Gone),
        option(id()).prop_map(Kept::NotLeader),
    ];
    prop_oneof![
        (number(), op()).prop_map(|(nonce, op)| Message::StaleRead(StaleRead { nonce, op })),
        (number(), ret(), revision()).prop_map(|(nonce, ret, revision)| {
            Message::StaleReadReply(StaleReadReply {
                nonce,
                ret,
                revision,
            })
        }),
        (lease(), number())
            .prop_map(|(lease, nonce)| Message::KeepAlive(KeepAlive { lease, nonce })),
        (lease(), number(), kept).prop_map(|(lease, nonce, kept)| {
            Message::KeepAliveReply(KeepAliveReply { lease, nonce, kept })
        }),
    ]
}

/// Any message, each kind about as often as any other.
fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        7 => raft::votes().prop_map(Message::Raft),
        4 => raft::replication().prop_map(Message::Raft),
        2 => raft::requests().prop_map(Message::Raft),
        4 => of_leases_and_reads(),
        5 => of_watches(),
    ]
}

/// How many kinds of messages there are.
const KINDS: usize = 22;

/// Which kind it is. The compiler asks for one that is new, and [`KINDS`] and [`message`] then want it, too.
fn kind(message: &Message) -> usize {
    match message {
        Message::Raft(Raft::RequestPreVote(_)) => 0,
        Message::Raft(Raft::RequestPreVoteReply(_)) => 1,
        Message::Raft(Raft::RequestVote(_)) => 2,
        Message::Raft(Raft::RequestVoteReply(_)) => 3,
        Message::Raft(Raft::AppendEntries(_)) => 4,
        Message::Raft(Raft::AppendEntriesReply(_)) => 5,
        Message::Raft(Raft::InstallSnapshot(_)) => 6,
        Message::Raft(Raft::InstallSnapshotReply(_)) => 7,
        Message::Raft(Raft::TimeoutNow(_)) => 8,
        Message::Raft(Raft::ReadIndex(_)) => 9,
        Message::Raft(Raft::ReadIndexReply(_)) => 10,
        Message::Raft(Raft::Request(_)) => 11,
        Message::Raft(Raft::Reply(_)) => 12,
        Message::StaleRead(_) => 13,
        Message::StaleReadReply(_) => 14,
        Message::KeepAlive(_) => 15,
        Message::KeepAliveReply(_) => 16,
        Message::Watch(_) => 17,
        Message::WatchAck(_) => 18,
        Message::Unwatch(_) => 19,
        Message::Events(_) => 20,
        Message::WatchRefused(_) => 21,
    }
}

#[test]
fn every_kind_of_message_is_drawn() {
    let mut runner = TestRunner::deterministic();
    let drawn: BTreeSet<usize> = (0..1000)
        .map(|_| {
            kind(
                &message()
                    .new_tree(&mut runner)
                    .expect("nothing is rejected")
                    .current(),
            )
        })
        .collect();
    assert!(drawn.into_iter().eq(0..KINDS));
}

fn codec() -> FrameCodec<Message> {
    FrameCodec::new(FRAME_BYTES_MAX)
}

fn encoded(frame: &Frame<Message>) -> BytesMut {
    let mut bytes = BytesMut::new();
    codec().encode(frame, &mut bytes).expect("it is short");
    bytes
}

proptest! {
    #![proptest_config(crate::testing::cases())]

    #[test]
    fn a_message_arrives_as_it_was_sent_or_not_at_all(
        message in message(),
        (from, to) in (id(), id()),
        cut in any::<proptest::sample::Index>(),
        bit in any::<proptest::sample::Index>(),
    ) {
        let frame = Frame::Message { from, to, message };
        let whole = encoded(&frame);

        // A part of it says nothing yet, and the rest of it then all.
        let cut = cut.index(whole.len());
        let mut arrived = BytesMut::from(&whole[..cut]);
        prop_assert!(matches!(codec().decode(&mut arrived), Ok(None)));
        arrived.extend_from_slice(&whole[cut..]);
        let read = codec().decode(&mut arrived).expect("it is sound");
        prop_assert_eq!(read.as_ref(), Some(&frame));
        prop_assert!(arrived.is_empty());

        // If nothing more comes, it was none.
        let mut arrived = BytesMut::from(&whole[..cut]);
        prop_assert!(matches!(codec().decode_eof(&mut arrived), Ok(None)));

        // Damaged on its way, it is refused, or waits for what its length now says.
        let bit = bit.index(8 * whole.len());
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!matches!(codec().decode(&mut damaged), Ok(Some(_))));
    }

    /// Who sends nonsense seals it well. It is read as something or refused, and what it was read as can be passed on.
    #[test]
    fn what_was_damaged_before_it_was_sealed_is_read_or_refused(
        message in message(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), 1..=u8::MAX), 0..4),
        cut in option(any::<proptest::sample::Index>()),
    ) {
        let (from, to) = (NodeId::from_index(0), NodeId::from_index(1));
        let frame = Frame::Message { from, to, message };
        let mut content = encoded(&frame)[HEADER_BYTES..].to_vec();
        for (at, with) in &damage {
            let at = at.index(content.len());
            content[at] ^= with;
        }
        if let Some(cut) = cut {
            content.truncate(cut.index(content.len()));
        }
        match codec().decode(&mut sealed(&content)) {
            Ok(Some(read)) => {
                let again = codec().decode(&mut encoded(&read)).expect("it is sound");
                prop_assert_eq!(again, Some(read));
            }
            Ok(None) => prop_assert!(false, "it is whole"),
            Err(_) => prop_assert!(cut.is_some() || !damage.is_empty()),
        }
    }
}
