//! What requests have done for them: by a client of the store that is free, or by the server's own knowledge.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use prometheus_client::registry::Registry;
use serde::Serialize;
use splitbrain_core::{NodeId, Outcome};
use splitbrain_hosts::Handle;
use splitbrain_protocols::service::{Op, Peer, Ret};
use splitbrain_protocols::{kv, service};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// How long a request waits for a client that is free.
const PATIENCE: Duration = Duration::from_secs(1);

/// What requests need.
pub(crate) struct Service {
    pub(crate) node: NodeId,
    pub(crate) server: Handle<Peer>,
    /// Where clients go that are free again.
    free: mpsc::UnboundedSender<Handle<Peer>>,
    clients: Mutex<mpsc::UnboundedReceiver<Handle<Peer>>>,
    /// Waits for changes, of many things at once.
    watcher: Handle<Peer>,
    pub(crate) registry: std::sync::Mutex<Registry>,
}

impl Service {
    pub(crate) fn new(
        node: NodeId,
        server: Handle<Peer>,
        watcher: Handle<Peer>,
        free: mpsc::UnboundedSender<Handle<Peer>>,
        clients: mpsc::UnboundedReceiver<Handle<Peer>>,
        registry: Registry,
    ) -> Service {
        Service {
            node,
            server,
            free,
            clients: Mutex::new(clients),
            watcher,
            registry: std::sync::Mutex::new(registry),
        }
    }

    /// Has an operation done on the store.
    pub(crate) async fn perform(&self, op: kv::Op) -> Result<kv::Ret, Failure> {
        let client = async { self.clients.lock().await.recv().await };
        let Ok(Some(client)) = timeout(PATIENCE, client).await else {
            return Err(Failure::NotDone("all clients of this server are busy"));
        };
        // Whoever asks may go away while it waits. Then the client must be given back all the same, but only when it is free again.
        let free = self.free.clone();
        let performed = tokio::spawn(async move {
            let outcome = client.invoke(Op::Kv(op)).await;
            // If nobody takes it, the server has stopped.
            let _ = free.send(client);
            outcome
        });
        match performed.await {
            Ok(Outcome::Ok(Ret::Kv(kv::Ret::Refused(refusal)))) => Err(Failure::Refused(refusal)),
            Ok(Outcome::Ok(Ret::Kv(ret))) => Ok(ret),
            Ok(Outcome::Fail(why)) => Err(Failure::NotDone(why)),
            Ok(Outcome::Ok(_) | Outcome::Info) | Err(_) => Err(Failure::Unknown),
        }
    }

    /// Waits until some keys have changed after a revision, or the time is up, or what changed is forgotten.
    pub(crate) async fn wait_for_change(
        &self,
        keys: service::WatchKeys,
        after: kv::Revision,
        wait: Duration,
    ) -> Result<(), Failure> {
        let op = Op::Changes {
            keys,
            after: Some(after),
            wait_ms: wait.as_millis() as u64,
        };
        match self.watcher.invoke(op).await {
            Outcome::Ok(_) => Ok(()),
            Outcome::Fail(why) => Err(Failure::NotDone(why)),
            Outcome::Info => Err(Failure::NotDone("the server has ended")),
        }
    }

    /// Looks at the server between two of its events.
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&service::Server) -> R + Send + 'static,
    ) -> Result<R, Failure> {
        let looked = self.server.look(|peer| peer.server().map(look)).await;
        looked
            .flatten()
            .ok_or(Failure::NotDone("the server has ended"))
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It did not happen, and will not.
    NotDone(&'static str),
    /// Nobody knows whether it happened, or will.
    Unknown,
    /// The store does not do it.
    Refused(kv::Refusal),
    /// Others have changed the same, again and again.
    Contended,
    /// There is nothing of the kind.
    Missing(&'static str),
    Malformed(String),
}

#[derive(Serialize)]
struct Sentence {
    error: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Failure::NotDone(why) => (StatusCode::SERVICE_UNAVAILABLE, why.to_owned()),
            Failure::Unknown => (
                StatusCode::GATEWAY_TIMEOUT,
                "nobody knows whether it took effect, or will".to_owned(),
            ),
            Failure::Refused(refusal) => (StatusCode::CONFLICT, refusal.to_string()),
            Failure::Contended => (
                StatusCode::CONFLICT,
                "others have changed the same meanwhile".to_owned(),
            ),
            Failure::Missing(what) => (StatusCode::NOT_FOUND, format!("there is no such {what}")),
            Failure::Malformed(why) => (StatusCode::BAD_REQUEST, why),
        };
        (status, Json(Sentence { error })).into_response()
    }
}
