//! One connection: the greeting, and then messages both ways.

use super::Shared;
use super::outbox::Outbox;
use crate::frame::{Frame, FrameCodec, FrameError, Hello};
use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_core::NodeId;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_util::codec::{Encoder, FramedRead};
use tracing::{info, warn};

/// What the first frame may take: names only.
const HELLO_BYTES_MAX: usize = 64 << 10;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the other side has closed it")]
    Closed,
    #[error("the other side has not said who it is in time")]
    Silent,
    #[error("the other side has not said who it is before anything else")]
    NoHello,
    #[error("the other side belongs to another cluster, `{0}`")]
    OtherCluster(String),
    #[error("{0} is not at the other end")]
    Stranger(NodeId),
    #[error("the other side speaks for {0}, which is not there")]
    Forged(NodeId),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Broken {
    /// The one line that the log has of it: a warning, unless connections are expected to end so.
    pub(super) fn log(&self) {
        match self {
            Broken::Closed | Broken::Io(_) | Broken::Frame(FrameError::Io(_)) => {
                info!(why = %self, "disconnected");
            }
            _ => warn!(why = %self, "connection closed"),
        }
    }
}

/// A connection to a process that has said who it is.
pub(super) struct Connection<M> {
    reader: FramedRead<OwnedReadHalf, FrameCodec<M>>,
    writer: OwnedWriteHalf,
    nodes: BTreeSet<NodeId>,
}

/// Says who is here, and hears who is there.
pub(super) async fn greet<M: Serialize + DeserializeOwned>(
    shared: &Shared<M>,
    stream: TcpStream,
) -> Result<Connection<M>, Broken> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let settings = &shared.settings;
    let hello = Frame::Hello(Hello {
        cluster: settings.cluster.clone(),
        nodes: shared.local.keys().copied().collect(),
    });
    let mut bytes = BytesMut::new();
    FrameCodec::<M>::new(HELLO_BYTES_MAX).encode(&hello, &mut bytes)?;
    writer.write_all(&bytes).await?;
    let mut reader = FramedRead::new(reader, FrameCodec::new(HELLO_BYTES_MAX));
    let hello = match reader.next().await {
        None => return Err(Broken::Closed),
        Some(Ok(Frame::Hello(hello))) => hello,
        Some(Ok(Frame::Message { .. })) => return Err(Broken::NoHello),
        Some(Err(error)) => return Err(error.into()),
    };
    if hello.cluster != settings.cluster {
        return Err(Broken::OtherCluster(hello.cluster));
    }
    *reader.decoder_mut() = FrameCodec::new(settings.frame_bytes_max);
    Ok(Connection {
        reader,
        writer,
        nodes: hello.nodes.into_iter().collect(),
    })
}

/// A connection that somebody else has made.
pub(super) async fn serve<M: Serialize + DeserializeOwned>(
    shared: Arc<Shared<M>>,
    stream: TcpStream,
) {
    let greeted = timeout(shared.handshake(), greet(&shared, stream)).await;
    let broken = match greeted.unwrap_or(Err(Broken::Silent)) {
        Ok(connection) => {
            let outbox = Arc::new(Outbox::new(shared.settings.queue_max));
            shared.welcome(&connection.nodes, &outbox);
            let broken = connection.run(&shared, &outbox).await;
            shared.farewell(&outbox);
            shared.metrics.lost.inc_by(outbox.clear());
            broken
        }
        Err(broken) => broken,
    };
    shared.metrics.broken.inc();
    broken.log();
}

impl<M: Serialize + DeserializeOwned> Connection<M> {
    /// The nodes at the other end.
    pub(super) fn nodes(&self) -> &BTreeSet<NodeId> {
        &self.nodes
    }

    /// Sends what is in the outbox and delivers what arrives, until the connection ends.
    pub(super) async fn run(self, shared: &Shared<M>, outbox: &Outbox<M>) -> Broken {
        let Connection {
            reader,
            writer,
            nodes,
        } = self;
        tokio::select! {
            biased;
            broken = receive(shared, reader, &nodes) => broken,
            broken = send(shared, writer, outbox) => broken,
        }
    }
}

async fn receive<M: DeserializeOwned>(
    shared: &Shared<M>,
    mut reader: FramedRead<OwnedReadHalf, FrameCodec<M>>,
    nodes: &BTreeSet<NodeId>,
) -> Broken {
    loop {
        let (from, to, message) = match reader.next().await {
            Some(Ok(Frame::Message { from, to, message })) => (from, to, message),
            Some(Ok(Frame::Hello(_))) => return Broken::NoHello,
            Some(Err(error)) => return error.into(),
            None => return Broken::Closed,
        };
        if !nodes.contains(&from) {
            return Broken::Forged(from);
        }
        shared.metrics.received.inc();
        // A node that does not keep up holds back the connection, and so the sender.
        let delivered = match shared.local.get(&to) {
            Some(inbox) => inbox.send((from, message)).await.is_ok(),
            None => false,
        };
        if !delivered {
            shared.metrics.lost.inc();
        }
    }
}

async fn send<M: Serialize>(
    shared: &Shared<M>,
    mut writer: OwnedWriteHalf,
    outbox: &Outbox<M>,
) -> Broken {
    /// So much is written at once, if there is as much.
    const CHUNK_BYTES: usize = 256 << 10;
    let mut codec = FrameCodec::<M>::new(shared.settings.frame_bytes_max);
    let mut bytes = BytesMut::new();
    loop {
        let mut messages = outbox.take().await;
        while !messages.is_empty() {
            while bytes.len() < CHUNK_BYTES
                && let Some((from, to, message)) = messages.pop_front()
            {
                let frame = Frame::Message { from, to, message };
                if let Err(error) = codec.encode(&frame, &mut bytes) {
                    // The node at the other end could not take it, however often it were sent.
                    warn!(%from, %to, %error, "a message cannot be sent");
                    shared.metrics.lost.inc();
                }
            }
            if let Err(error) = writer.write_all(&bytes).await {
                return error.into();
            }
            bytes.clear();
        }
    }
}
