//! Keeping a connection to a peer.

use super::Shared;
use super::connection::{self, Broken};
use super::outbox::Outbox;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_core::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

/// Connects to the peer, again and again, for ever.
pub(super) async fn keep_connected<M: Serialize + DeserializeOwned + Send + 'static>(
    shared: Arc<Shared<M>>,
    peer: NodeId,
    address: String,
    outbox: Arc<Outbox<M>>,
) {
    let settings = &shared.settings;
    let (least, most) = (settings.backoff_ms_min.max(1), settings.backoff_ms_max);
    let mut backoff_ms = least;
    loop {
        match connect(&shared, peer, &address).await {
            Ok(connection) => {
                info!("connected");
                backoff_ms = least;
                let broken = connection.run(&shared, &outbox).await;
                shared.metrics.broken.inc();
                // What waited was sent to the process at the other end, and if that has gone, to no other.
                shared.metrics.lost.inc_by(outbox.clear());
                broken.log();
            }
            Err(error) => debug!(%error, "cannot connect"),
        }
        sleep(Duration::from_millis(backoff_ms)).await;
        backoff_ms = backoff_ms.saturating_mul(2).min(most).max(least);
    }
}

async fn connect<M: Serialize + DeserializeOwned>(
    shared: &Shared<M>,
    peer: NodeId,
    address: &str,
) -> Result<connection::Connection<M>, Broken> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        let connection = connection::greet(shared, stream).await?;
        if connection.nodes().contains(&peer) {
            Ok(connection)
        } else {
            Err(Broken::Stranger(peer))
        }
    };
    let connected = timeout(shared.handshake(), connecting).await;
    connected.unwrap_or(Err(Broken::Silent))
}
