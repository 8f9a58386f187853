//! The key-value store over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/keys/KEY` | the value; 404 if there is no such key |
//! | `PUT /v1/keys/KEY`, the value as the body | 204 |
//! | `DELETE /v1/keys/KEY` | 204; 404 if there was no such key |
//! | `POST /v1/operations`, an operation as it stands in scenarios, in JSON | what it came to, in JSON |
//! | `GET /v1/status` | what the server is doing, in JSON |
//! | `GET /metrics` | numbers, for Prometheus |
//!
//! An operation that certainly did not happen is answered with 503, one of which nobody knows whether it did with 504, and one that the
//! store refuses with 409; each with a sentence.

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use splitbrain_core::{Node as _, NodeId, Outcome};
use splitbrain_hosts::Handle;
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{Op, Peer, Ret};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// The longest body, key and value included, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a request waits for a client that is free.
const PATIENCE: Duration = Duration::from_secs(1);

/// What requests need.
pub(super) struct Service {
    node: NodeId,
    server: Handle<Peer>,
    /// Where clients go that are free again.
    free: mpsc::UnboundedSender<Handle<Peer>>,
    clients: Mutex<mpsc::UnboundedReceiver<Handle<Peer>>>,
    registry: std::sync::Mutex<Registry>,
}

impl Service {
    pub(super) fn new(
        node: NodeId,
        server: Handle<Peer>,
        free: mpsc::UnboundedSender<Handle<Peer>>,
        clients: mpsc::UnboundedReceiver<Handle<Peer>>,
        registry: Registry,
    ) -> Service {
        Service {
            node,
            server,
            free,
            clients: Mutex::new(clients),
            registry: std::sync::Mutex::new(registry),
        }
    }

    async fn perform(&self, op: kv::Op) -> Result<kv::Ret, Failure> {
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
            Ok(Outcome::Ok(Ret::Changed(_) | Ret::Transferred) | Outcome::Info) | Err(_) => {
                Err(Failure::Unknown)
            }
        }
    }
}

/// Why a request has no answer.
enum Failure {
    /// It did not happen, and will not.
    NotDone(&'static str),
    /// Nobody knows whether it happened, or will.
    Unknown,
    /// The store does not do it.
    Refused(kv::Refusal),
    NoSuchKey,
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
            Failure::NoSuchKey => (StatusCode::NOT_FOUND, "there is no such key".to_owned()),
            Failure::Malformed(why) => (StatusCode::BAD_REQUEST, why),
        };
        (status, Json(Sentence { error })).into_response()
    }
}

/// Answers requests until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let key = get(get_key).put(put_key).delete(delete_key);
    let router = Router::new()
        .route("/v1/keys/{*key}", key)
        .route("/v1/operations", post(operation))
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service);
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}

type Shared = State<Arc<Service>>;

async fn get_key(State(service): Shared, Path(key): Path<String>) -> Result<String, Failure> {
    match service.perform(kv::Op::Get { key: key.into() }).await? {
        kv::Ret::Value(Some(value)) => Ok(value.to_string()),
        _ => Err(Failure::NoSuchKey),
    }
}

async fn put_key(
    State(service): Shared,
    Path(key): Path<String>,
    value: String,
) -> Result<StatusCode, Failure> {
    service.perform(kv::Op::put(key, value)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_key(
    State(service): Shared,
    Path(key): Path<String>,
) -> Result<StatusCode, Failure> {
    match service.perform(kv::Op::Delete { key: key.into() }).await? {
        kv::Ret::Deleted(true) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Failure::NoSuchKey),
    }
}

async fn operation(
    State(service): Shared,
    op: Result<Json<kv::Op>, JsonRejection>,
) -> Result<Json<kv::Ret>, Failure> {
    let Json(op) = op.map_err(|rejection| Failure::Malformed(rejection.body_text()))?;
    Ok(Json(service.perform(op).await?))
}

#[derive(Serialize)]
struct Status {
    node: NodeId,
    role: &'static str,
    leader: Option<NodeId>,
    term: u64,
    commit_index: u64,
    applied: u64,
    keys: usize,
}

async fn status(State(service): Shared) -> Result<Json<Status>, Failure> {
    let node = service.node;
    let look = move |peer: &Peer| {
        let server = peer.server()?;
        Some(Status {
            node,
            role: peer.role(),
            leader: server.leader(),
            term: server.term().0,
            commit_index: server.commit_index().0,
            applied: server.last_applied().0,
            keys: server.machine().store().len(),
        })
    };
    let status = service.server.look(look).await.flatten();
    status
        .map(Json)
        .ok_or(Failure::NotDone("the server has ended"))
}

async fn metrics(State(service): Shared) -> impl IntoResponse {
    let mut text = String::new();
    let registry = service.registry.lock();
    let registry = registry.unwrap_or_else(PoisonError::into_inner);
    let written = encode(&mut text, &registry);
    let status = match written {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (status, [(header::CONTENT_TYPE, form)], text)
}
