//! Asking a server over HTTP.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The request has not been sent, and so did nothing.
    #[error("{server}: {error}")]
    NotSent {
        /// Who was to be asked.
        server: String,
        /// Why not.
        error: String,
    },
    /// It may have been heard.
    #[error("{server}: no answer: {error}")]
    NoAnswer {
        /// Who was asked.
        server: String,
        /// Why not.
        error: String,
    },
}

/// What a server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, as of HTTP.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A connection to a server, at a host and port.
#[derive(Debug)]
pub struct Connection {
    server: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody is there.
    pub async fn to(server: &str) -> Result<Connection, RequestError> {
        let not_sent = |error: &dyn std::fmt::Display| RequestError::NotSent {
            server: server.to_owned(),
            error: error.to_string(),
        };
        let stream = TcpStream::connect(server);
        let stream = stream.await.map_err(|error| not_sent(&error))?;
        stream.set_nodelay(true).map_err(|error| not_sent(&error))?;
        let shaken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| not_sent(&error))?;
        // It ends when the sender is dropped; what goes wrong with it is told to whoever waits for an answer.
        tokio::spawn(connection);
        Ok(Connection {
            server: server.to_owned(),
            sender,
        })
    }

    /// Asks, and waits for the answer for as long as it takes.
    ///
    /// # Errors
    /// If the connection ends before that.
    ///
    /// # Panics
    /// If the path is none.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answer, RequestError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.server)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("the path is one");
        let no_answer = |error: hyper::Error| RequestError::NoAnswer {
            server: self.server.clone(),
            error: error.to_string(),
        };
        let response = self.sender.send_request(request).await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(no_answer)?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status, body })
    }
}
