//! A client of etcd over its HTTP gateway, which has the gRPC interface in JSON (`/v3/kv/range`, `put` and `txn`; keys and values are
//! base64 there, and numbers are texts).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use splitbrain_check::models::key_value::{Op, Ret};
use splitbrain_server::request::{Connection, RequestError};
use thiserror::Error;

/// What came of an operation.
#[derive(Debug)]
pub(crate) enum Came {
    Ok(Ret),
    /// It certainly did not happen, and will not.
    Not,
    /// It may have happened, or will.
    Unknown,
}

/// An answer that no etcd gives to what was asked.
#[derive(Debug, Error)]
#[error("{server}: asked {path} for {asked}, and was answered with {status}: {body}")]
pub struct Nonsense {
    /// Who was asked.
    pub server: String,
    /// Where.
    pub path: &'static str,
    /// For what.
    pub asked: String,
    /// The status, as of HTTP.
    pub status: u16,
    /// The answer.
    pub body: String,
}

/// A connection to one server.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: String,
    connection: Connection,
}

/// What is of interest in any answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    kvs: Vec<Found>,
    succeeded: bool,
}

#[derive(Debug, Deserialize)]
struct Found {
    /// Left out if it is empty.
    #[serde(default)]
    value: String,
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

impl Gateway {
    /// Connects; nothing if nobody is there.
    pub(crate) async fn to(server: &str) -> Option<Gateway> {
        let connection = Connection::to(server).await.ok()?;
        Some(Gateway {
            server: server.to_owned(),
            connection,
        })
    }

    /// Has an operation done. The connection is of no more use if it did not come to an answer.
    ///
    /// # Errors
    /// If the answer is none.
    pub(crate) async fn ask(&mut self, op: &Op, stale_reads: bool) -> Result<Came, Nonsense> {
        let (path, asked) = request(op, stale_reads);
        let is_read = matches!(op, Op::Get { .. });
        let asked = asked.to_string();
        let sent = self.connection.ask(Method::POST, path, asked.clone());
        let answer = match sent.await {
            Ok(answer) => answer,
            Err(RequestError::NotSent { .. }) => return Ok(Came::Not),
            // A read changes nothing, whatever became of it.
            Err(RequestError::NoAnswer { .. }) if is_read => return Ok(Came::Not),
            Err(RequestError::NoAnswer { .. }) => return Ok(Came::Unknown),
        };
        let came = match answer.status {
            200 => came(op, &answer.body),
            // There is no leader, another one than before, or no time left. Some of that is said before, and some after a write was
            // proposed.
            500..=599 if is_read => Some(Came::Not),
            500..=599 => Some(Came::Unknown),
            _ => None,
        };
        came.ok_or_else(|| Nonsense {
            server: self.server.clone(),
            path,
            asked,
            status: answer.status,
            body: answer.body,
        })
    }
}

/// Where an operation is asked for, and how.
fn request(op: &Op, stale_reads: bool) -> (&'static str, Json) {
    let key = encoded(op.key());
    match op {
        Op::Get { .. } => (
            "/v3/kv/range",
            json!({"key": key, "serializable": stale_reads}),
        ),
        Op::Put { value, .. } => ("/v3/kv/put", json!({"key": key, "value": encoded(value)})),
        Op::CompareAndSet {
            expected, value, ..
        } => {
            let compare = match expected {
                Some(expected) => {
                    json!({"key": key, "target": "VALUE", "result": "EQUAL", "value": encoded(expected)})
                }
                // A key that is not there was created at no revision.
                None => {
                    json!({"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"})
                }
            };
            let put = json!({"request_put": {"key": key, "value": encoded(value)}});
            (
                "/v3/kv/txn",
                json!({"compare": [compare], "success": [put]}),
            )
        }
        Op::Append { .. } | Op::Delete { .. } => unreachable!("no client asks for it"),
    }
}

/// What an answer says; nothing, if it makes no sense.
fn came(op: &Op, body: &str) -> Option<Came> {
    let answer: Answer = serde_json::from_str(body).ok()?;
    let ret = match op {
        Op::Get { .. } => Ret::Value(match &answer.kvs[..] {
            [] => None,
            [found] => {
                let value = BASE64_STANDARD.decode(&found.value).ok()?;
                Some(String::from_utf8(value).ok()?.into())
            }
            _ => return None,
        }),
        Op::CompareAndSet { .. } => Ret::Swapped(answer.succeeded),
        _ => Ret::Written,
    };
    Some(Came::Ok(ret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Op {
        Op::Get { key: "k".into() }
    }

    #[test]
    fn operations_are_asked_for_in_the_words_of_etcd() {
        let (path, asked) = request(&get(), true);
        assert_eq!(path, "/v3/kv/range");
        assert_eq!(asked, json!({"key": "aw==", "serializable": true}));
        let swap = |expected: Option<&str>| Op::CompareAndSet {
            key: "k".into(),
            expected: expected.map(Into::into),
            value: "v".into(),
        };
        let put = json!([{"request_put": {"key": "aw==", "value": "dg=="}}]);
        for (expected, compare) in [
            (
                Some("k"),
                json!({"key": "aw==", "target": "VALUE", "result": "EQUAL", "value": "aw=="}),
            ),
            (
                None,
                json!({"key": "aw==", "target": "CREATE", "result": "EQUAL", "create_revision": "0"}),
            ),
        ] {
            let (path, asked) = request(&swap(expected), false);
            assert_eq!(path, "/v3/kv/txn");
            assert_eq!(asked, json!({"compare": [compare], "success": put}));
        }
    }

    #[test]
    fn answers_of_etcd_are_understood_and_others_are_not() {
        let value = |body: &str| match came(&get(), body) {
            Some(Came::Ok(Ret::Value(value))) => value,
            other => panic!("{other:?}"),
        };
        // As etcd 3.4 says it; what is empty or false is left out.
        let header = r#""header":{"revision":"2","raft_term":"2"}"#;
        let found = format!(r#"{{{header},"kvs":[{{"key":"aw==","value":"dg=="}}],"count":"1"}}"#);
        assert_eq!(value(&found).as_deref(), Some("v"));
        assert_eq!(value(&format!("{{{header}}}")), None);
        let empty = format!(r#"{{{header},"kvs":[{{"key":"aw=="}}]}}"#);
        assert_eq!(value(&empty).as_deref(), Some(""));
        for nonsense in ["", "1", r#"{"kvs":[{"value":"!"}]}"#, r#"{"kvs":[{},{}]}"#] {
            assert!(came(&get(), nonsense).is_none(), "{nonsense}");
        }
    }
}
