//! A server: keeps the latest version that it was told of, and tells it to whoever asks.

use crate::{Version, parse, show};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Serves at this address, until something is wrong with it.
///
/// # Errors
/// If the address cannot be had.
pub async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let latest = Arc::new(Mutex::new(Version::default()));
    loop {
        let (stream, _) = listener.accept().await?;
        let latest = latest.clone();
        tokio::spawn(async move {
            // A client that has gone is nobody's fault.
            let _ = answer(stream, &latest).await;
        });
    }
}

async fn answer(stream: TcpStream, latest: &Mutex<Version>) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let version = {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            // `get`, or a version to be kept if it is later.
            if let Some(version) = parse(&line) {
                *latest = version.max(*latest);
            }
            *latest
        };
        writer
            .write_all(format!("{}\n", show(version)).as_bytes())
            .await?;
        writer.flush().await?;
    }
    Ok(())
}
