//! What comes to the port of the peers that no peer would send.

use super::cluster::{Cluster, PATIENCE};
use bytes::BytesMut;
use hyper::Method;
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use splitbrain_core::NodeId;
use splitbrain_hosts::{Frame, FrameCodec, Hello};
use splitbrain_protocols::raft::{self, Request};
use splitbrain_protocols::{kv, service};
use splitbrain_server::request::Connection;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::codec::Encoder as _;

/// Bytes in the place of a message.
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Of a tuple there are only the elements, without their number.
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

/// A request with five million transactions, each within the one before, as far as the frame has room.
fn deep() -> Raw {
    let op = kv::Op::Leases;
    let request = raft::Message::Request(Request::Read { nonce: 1, op });
    let mut bytes = postcard::to_stdvec(&service::Message::Raft(request)).unwrap();
    // The operation is the last of it, and a single byte.
    bytes.pop();
    // A transaction; nothing to compare; one thing to do.
    bytes.extend([7, 0, 1].repeat(5_000_000));
    Raw(bytes)
}

#[tokio::test]
async fn a_request_that_is_nested_without_end_closes_its_connection_and_harms_nothing_else() {
    let mut cluster = Cluster::new(1, "");
    cluster.start(0);
    cluster.caught_up(0).await;
    let stranger = NodeId::from_index(5000);
    let mut codec = FrameCodec::new(16 << 20);
    let mut bytes = BytesMut::new();
    let hello = Hello {
        cluster: "test".into(),
        nodes: vec![stranger],
    };
    codec.encode(&Frame::Hello(hello), &mut bytes).unwrap();
    let deep = Frame::Message {
        from: stranger,
        to: NodeId::from_index(0),
        message: deep(),
    };
    codec.encode(&deep, &mut bytes).unwrap();
    let mut stream = TcpStream::connect(cluster.peer(0)).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // It may be reset, too.
    let _ = closed.expect("the connection is closed");

    // It is closed before it is said.
    let said = async {
        while cluster.said(0).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        cluster.said(0)
    };
    let said = timeout(PATIENCE, said).await.expect("it is said");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("what no message may"), "{said}");
    let mut connection = Connection::to(&cluster.http()[0]).await.unwrap();
    // By HTTP neither.
    let levels = 20_000;
    let op = "{\"transaction\": {\"then\": [".repeat(levels) + "\"leases\"" + &"]}}".repeat(levels);
    let answer = connection.ask(Method::POST, "/v1/operations", op).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.body);
    let written = connection.ask(Method::PUT, "/v1/keys/a", "1".to_owned());
    assert_eq!(written.await.unwrap().status, 204);
}
