//! The key-value store and the registry over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/keys/KEY` | the value; 404 if there is no such key |
//! | `PUT /v1/keys/KEY`, the value as the body | 204 |
//! | `DELETE /v1/keys/KEY` | 204; 404 if there was no such key |
//! | `POST /v1/operations`, an operation as it stands in scenarios, in JSON | what it came to, in JSON |
//! | `GET /v1/services` | the services that there are, in JSON |
//! | `GET /v1/services/SERVICE` | its instances, in JSON: see [`registry::LookUp`] for what may be asked of them |
//! | `PUT /v1/services/SERVICE/ID`, a [`registry::Registration`] in JSON | registered |
//! | `DELETE /v1/services/SERVICE/ID` | 204; 404 if there was no such instance |
//! | `POST /v1/services/SERVICE/ID/heartbeat` | 204; 404 if it is not registered (any more), and must register anew |
//! | `PUT`, `DELETE /v1/services/SERVICE/ID/maintenance` | 204: it is out of service from now on, or in service again |
//! | `GET /v1/status` | what the server is doing, in JSON |
//! | `GET /metrics` | numbers, for Prometheus |
//!
//! An operation that certainly did not happen is answered with 503, one of which nobody knows whether it did with 504, and one that the
//! store refuses with 409; each with a sentence.

use crate::registry;
use crate::service::{Failure, Service};
use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use splitbrain_core::{Node as _, NodeId};
use splitbrain_protocols::kv;
use splitbrain_protocols::service::Peer;
use std::io;
use std::sync::{Arc, PoisonError};
use tokio::net::TcpListener;

/// The longest body, key and value included, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers requests until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let key = get(get_key).put(put_key).delete(delete_key);
    let instance = put(registry::register).delete(registry::deregister);
    let maintenance = put(registry::begin_maintenance).delete(registry::end_maintenance);
    let router = Router::new()
        .route("/v1/keys/{*key}", key)
        .route("/v1/operations", post(operation))
        .route("/v1/services", get(registry::services))
        .route("/v1/services/{service}", get(registry::look_up))
        .route("/v1/services/{service}/{id}", instance)
        .route(
            "/v1/services/{service}/{id}/heartbeat",
            post(registry::heartbeat),
        )
        .route("/v1/services/{service}/{id}/maintenance", maintenance)
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(service);
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}

pub(crate) type Shared = State<Arc<Service>>;

async fn get_key(State(service): Shared, Path(key): Path<String>) -> Result<String, Failure> {
    match service.perform(kv::Op::Get { key: key.into() }).await? {
        kv::Ret::Value(Some(value)) => Ok(value.to_string()),
        _ => Err(Failure::Missing("key")),
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
        _ => Err(Failure::Missing("key")),
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
        let raft = server.raft();
        Some(Status {
            node,
            role: peer.role(),
            leader: raft.leader(),
            term: raft.term().0,
            commit_index: raft.commit_index().0,
            applied: raft.last_applied().0,
            keys: server.store().len(),
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
