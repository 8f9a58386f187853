//! A client: asks all servers, and goes by what a majority says.

use crate::{Version, parse, show};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long a client waits for a majority.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads the register.
///
/// What is read is told to a majority before it is returned, so that nobody who reads later sees what was before. Without
/// `write_back` it is not: that is the bug which the tests find.
///
/// # Errors
/// If no majority answers in time.
pub async fn read(servers: &[SocketAddr], write_back: bool) -> io::Result<Option<i64>> {
    let latest = latest(servers).await?;
    if write_back {
        ask_majority(servers, &show(latest)).await?;
    }
    Ok(latest.1)
}

/// Writes the register.
///
/// # Errors
/// If no majority answers in time: it may be written all the same, now or later.
pub async fn write(servers: &[SocketAddr], value: i64) -> io::Result<()> {
    let (number, _) = latest(servers).await?;
    ask_majority(servers, &show((number + 1, Some(value)))).await?;
    Ok(())
}

/// The latest version that a majority knows of.
async fn latest(servers: &[SocketAddr]) -> io::Result<Version> {
    let answers = ask_majority(servers, "get").await?;
    Ok(answers.into_iter().max().unwrap_or_default())
}

/// Asks all servers, each in a task of its own, until a majority has answered.
async fn ask_majority(servers: &[SocketAddr], question: &str) -> io::Result<Vec<Version>> {
    let (sender, mut answers) = mpsc::unbounded_channel();
    for &server in servers {
        let (sender, question) = (sender.clone(), format!("{question}\n"));
        tokio::spawn(async move {
            while !sender.is_closed() {
                match timeout(PATIENCE, ask(server, &question)).await {
                    Ok(Ok(version)) => {
                        // If the client has enough, so be it.
                        let _ = sender.send(version);
                        return;
                    }
                    _ => sleep(Duration::from_millis(20)).await,
                }
            }
        });
    }
    let majority = async {
        let mut majority = Vec::new();
        while majority.len() <= servers.len() / 2 {
            majority.extend(answers.recv().await);
        }
        majority
    };
    Ok(timeout(PATIENCE, majority).await?)
}

async fn ask(server: SocketAddr, question: &str) -> io::Result<Version> {
    let (reader, mut writer) = tokio::io::split(TcpStream::connect(server).await?);
    writer.write_all(question.as_bytes()).await?;
    writer.flush().await?;
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).await?;
    let version = parse(answer.trim_end());
    version.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer))
}
