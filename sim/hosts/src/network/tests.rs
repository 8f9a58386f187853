use super::*;
use crate::frame::{Frame, FrameCodec, Hello};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Encoder;

type TestNetwork = Network<String>;
type TestInbox = Inbox<String>;

const A: NodeId = NodeId::from_index(0);
const B: NodeId = NodeId::from_index(1);
const GUEST: NodeId = NodeId::from_index(9);

fn settings() -> NetworkSettings {
    NetworkSettings {
        cluster: "test".into(),
        frame_bytes_max: 1000,
        handshake_ms: 200,
        backoff_ms_max: 20,
        ..NetworkSettings::default()
    }
}

async fn port() -> (TcpListener, String) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn start(
    listener: TcpListener,
    node: NodeId,
    peers: &[(NodeId, &str)],
    settings: NetworkSettings,
) -> (TestNetwork, TestInbox) {
    let peers = peers
        .iter()
        .map(|(id, address)| (*id, (*address).to_owned()));
    let mut registry = Registry::default();
    let (network, inboxes) =
        Network::start(listener, &[node], peers.collect(), settings, &mut registry);
    let [inbox] = inboxes.try_into().expect("one node has one inbox");
    (network, inbox)
}

async fn next(inbox: &mut TestInbox) -> Option<Arrived<String>> {
    let soon = Duration::from_secs(10);
    timeout(soon, inbox.recv())
        .await
        .expect("a message in time")
}

fn frame(frame: &Frame<String>) -> BytesMut {
    let mut bytes = BytesMut::new();
    FrameCodec::new(1 << 20).encode(frame, &mut bytes).unwrap();
    bytes
}

fn hello(cluster: &str, node: NodeId) -> BytesMut {
    frame(&Frame::Hello(Hello {
        cluster: cluster.into(),
        nodes: vec![node],
    }))
}

fn message(from: NodeId, text: &str) -> BytesMut {
    let message = text.to_owned();
    frame(&Frame::Message {
        from,
        to: A,
        message,
    })
}

/// Sends this, and waits for the other side to close the connection.
async fn closed_after(address: &str, sent: &[BytesMut]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for bytes in sent {
        stream.write_all(bytes).await.unwrap();
    }
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // It may be reset, too.
    let _ = read.expect("the connection is closed");
}

#[tokio::test]
async fn messages_go_both_ways_and_to_guests_along_their_own_connection() {
    let (at_a, address_a) = port().await;
    let (at_b, address_b) = port().await;
    let (at_guest, _) = port().await;
    let (a, mut inbox_a) = start(at_a, A, &[(B, &address_b)], settings());
    let (b, mut inbox_b) = start(at_b, B, &[(A, &address_a)], settings());
    let (guest, mut inbox_guest) = start(at_guest, GUEST, &[(A, &address_a)], settings());
    // What is sent before there is a connection waits for it.
    a.send(A, B, "to b".into());
    b.send(B, A, "to a".into());
    assert_eq!(next(&mut inbox_b).await, Some((A, "to b".into())));
    assert_eq!(next(&mut inbox_a).await, Some((B, "to a".into())));
    guest.send(GUEST, A, "who leads?".into());
    assert_eq!(next(&mut inbox_a).await, Some((GUEST, "who leads?".into())));
    a.send(A, GUEST, "I do".into());
    assert_eq!(next(&mut inbox_guest).await, Some((A, "I do".into())));
    a.send(A, A, "myself".into());
    assert_eq!(next(&mut inbox_a).await, Some((A, "myself".into())));
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let (at_a, _) = port().await;
    let (at_b, address_b) = port().await;
    let (a, _inbox) = start(at_a, A, &[(B, &address_b)], settings());
    let (b, mut inbox_b) = start(at_b, B, &[], settings());
    a.send(A, B, "first".into());
    assert_eq!(next(&mut inbox_b).await, Some((A, "first".into())));
    drop((b, inbox_b));
    // The port is free again as soon as the tasks have noticed.
    let again = async {
        loop {
            match listen(address_b.parse().unwrap()).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let at_b = timeout(Duration::from_secs(10), again).await.unwrap();
    let (_b, mut inbox_b) = start(at_b, B, &[], settings());
    let second = async {
        // Some may go to the connection that has not been seen to be broken, and are lost with it.
        loop {
            a.send(A, B, "second".into());
            tokio::select! {
                biased;
                arrived = inbox_b.recv() => return arrived,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    let arrived = timeout(Duration::from_secs(10), second).await.unwrap();
    assert_eq!(arrived, Some((A, "second".into())));
}

#[tokio::test]
async fn what_is_no_frame_closes_its_connection_and_harms_no_other() {
    let (at_a, address) = port().await;
    let (_a, mut inbox) = start(at_a, A, &[], settings());
    let mut good = TcpStream::connect(&address).await.unwrap();
    good.write_all(&hello("test", B)).await.unwrap();
    good.write_all(&message(B, "before")).await.unwrap();
    assert_eq!(next(&mut inbox).await, Some((B, "before".into())));

    let mut flipped = message(GUEST, "x");
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let too_long = message(GUEST, &"x".repeat(1001));
    let junk = BytesMut::from(&[0xff; 64][..]);
    for sent in [
        vec![junk.clone()],
        vec![message(GUEST, "no hello")],
        vec![hello("another", GUEST), message(GUEST, "x")],
        vec![hello("test", GUEST), hello("test", GUEST)],
        vec![hello("test", GUEST), message(B, "forged")],
        vec![hello("test", GUEST), flipped],
        vec![hello("test", GUEST), too_long],
        vec![hello("test", GUEST), junk],
        vec![], // says nothing in time
    ] {
        closed_after(&address, &sent).await;
    }
    good.write_all(&message(B, "after")).await.unwrap();
    assert_eq!(next(&mut inbox).await, Some((B, "after".into())));
}

#[tokio::test]
async fn who_answers_at_the_address_of_another_is_not_taken_for_it() {
    let (at_a, _) = port().await;
    let (at_guest, address) = port().await;
    let (a, _inbox) = start(at_a, A, &[(B, &address)], settings());
    let (_guest, mut inbox_guest) = start(at_guest, GUEST, &[], settings());
    a.send(A, B, "for b only".into());
    let nothing = timeout(Duration::from_millis(200), inbox_guest.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}
