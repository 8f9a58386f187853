//! `splitbrain client`: one request.

use crate::Status;
use crate::request::{Answer, Connection, RequestError};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use hyper::Method;
use splitbrain_protocols::kv;
use std::io::{ErrorKind, Write as _, stdout};
use std::time::Duration;
use tokio::runtime;
use tokio::time::timeout;

/// What follows `splitbrain client`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 done, 1 certainly not done or no such key, 2 bad usage or input, \
                        3 nobody knows whether it was done."
)]
pub struct Arguments {
    /// Where servers speak HTTP. They are tried in this order until one takes the request
    #[arg(long, value_name = "HOST:PORT", required = true, value_delimiter = ',')]
    servers: Vec<String>,
    /// How long to wait for an answer
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout_ms: u64,
    #[command(subcommand)]
    request: Request,
}

#[derive(Debug, Subcommand)]
enum Request {
    /// Show the value of a key
    Get {
        /// Which
        key: String,
    },
    /// Write a key
    Put {
        /// Which
        key: String,
        /// Its new value
        value: String,
    },
    /// Remove a key
    Delete {
        /// Which
        key: String,
    },
    /// Perform a transaction: {"compare": [..], "then": [..], "otherwise": [..]}, as in scenarios
    Txn {
        /// In JSON
        transaction: String,
    },
    /// Show what the first server that answers is doing
    Status,
}

impl Request {
    fn op(&self) -> anyhow::Result<Option<kv::Op>> {
        Ok(Some(match self {
            Request::Get { key } => kv::Op::Get {
                key: key.as_str().into(),
            },
            Request::Put { key, value } => kv::Op::put(key.as_str(), value.as_str()),
            Request::Delete { key } => kv::Op::Delete {
                key: key.as_str().into(),
            },
            Request::Txn { transaction } => {
                let transaction: kv::Transaction =
                    serde_json::from_str(transaction).context("this is no transaction in JSON")?;
                kv::Op::Transaction(transaction.into())
            }
            Request::Status => return Ok(None),
        }))
    }
}

/// Asks once.
///
/// # Errors
/// If what is asked makes no sense, to this program or to the server.
pub fn command(arguments: &Arguments) -> anyhow::Result<Status> {
    let op = arguments.request.op()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let patience = Duration::from_millis(arguments.timeout_ms);
    let answer =
        runtime.block_on(async { timeout(patience, ask(&arguments.servers, op.as_ref())).await });
    match answer {
        Ok(Ok(answer)) => show(&arguments.request, &answer),
        Ok(Err(error @ RequestError::NotSent { .. })) => {
            eprintln!("not done: {error}");
            Ok(Status::NotDone)
        }
        Ok(Err(error @ RequestError::NoAnswer { .. })) => {
            eprintln!("nobody knows: {error}");
            Ok(Status::Unknown)
        }
        Err(_) => {
            eprintln!("nobody knows: no answer in {}ms", arguments.timeout_ms);
            Ok(Status::Unknown)
        }
    }
}

/// Asks the servers in turn until one has taken the request. One that may have done it is the last.
async fn ask(servers: &[String], op: Option<&kv::Op>) -> Result<Answer, RequestError> {
    let mut failed = None;
    for server in servers {
        let mut connection = match Connection::to(server).await {
            Ok(connection) => connection,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        return match op {
            Some(op) => {
                let body = serde_json::to_string(op).expect("operations have a form in JSON");
                connection.ask(Method::POST, "/v1/operations", body).await
            }
            None => {
                connection
                    .ask(Method::GET, "/v1/status", String::new())
                    .await
            }
        };
    }
    Err(failed.unwrap_or_else(|| RequestError::NotSent {
        server: "nobody".to_owned(),
        error: "no server is named".to_owned(),
    }))
}

fn show(request: &Request, answer: &Answer) -> anyhow::Result<Status> {
    match answer.status {
        200 => {}
        409 | 503 => {
            eprintln!("not done: {}", sentence(&answer.body));
            return Ok(Status::NotDone);
        }
        504 => {
            eprintln!("nobody knows: {}", sentence(&answer.body));
            return Ok(Status::Unknown);
        }
        status => bail!("the server answers {status}: {}", sentence(&answer.body)),
    }
    if let Request::Status | Request::Txn { .. } = request {
        print(&answer.body)?;
        return Ok(Status::Done);
    }
    let ret: kv::Ret = serde_json::from_str(&answer.body)
        .with_context(|| format!("the server answers what is none: {}", answer.body))?;
    match ret {
        kv::Ret::Value(Some(value)) => print(&value)?,
        kv::Ret::Value(None) | kv::Ret::Deleted(false) => {
            eprintln!("there is no such key");
            return Ok(Status::NotDone);
        }
        _ => {}
    }
    Ok(Status::Done)
}

/// Prints. Whoever reads the output may have seen enough: that is no error.
fn print(line: &str) -> anyhow::Result<()> {
    match writeln!(stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// What an answer that is an error says.
fn sentence(body: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let error = json.as_ref().and_then(|json| json["error"].as_str());
    error.unwrap_or(body).to_owned()
}
