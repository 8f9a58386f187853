//! Servers of etcd as processes, in a folder that is gone afterwards.

use crate::gateway::{Came, Gateway};
use rustix::process::{Pid, Signal, kill_process};
use splitbrain_check::models::key_value::Op;
use splitbrain_core::NodeId;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thiserror::Error;
use tokio::time::{sleep, timeout};

/// Nothing that servers are to do by themselves takes longer, even on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is wrong with the servers.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no such program.
    #[error(
        "cannot run `{program}`: {error} (Debian: apt-get install etcd-server; others: https://etcd.io; or say where it is with --etcd)"
    )]
    NotInstalled {
        /// What was to be run.
        program: String,
        /// Why it cannot be.
        error: io::Error,
    },
    /// There is, and it is another.
    #[error("`{program} --version` says what no etcd says: {said}")]
    NotEtcd {
        /// What was run.
        program: String,
        /// What it said.
        said: String,
    },
    /// There is no room, or no port.
    #[error("cannot make a place for the servers: {0}")]
    Place(#[from] io::Error),
    /// Nobody has killed it.
    #[error("{server} has ended by itself ({status}); the last that it said:\n{said}")]
    Ended {
        /// Which.
        server: NodeId,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        said: String,
    },
    /// It is there, and does not do what it is for.
    #[error("{server} does not serve within {}s; the last that it said:\n{said}", PATIENCE.as_secs())]
    Silent {
        /// Which.
        server: NodeId,
        /// The end of its log.
        said: String,
    },
}

/// Asks the program which etcd it is.
pub(crate) fn version(program: &str) -> Result<String, ClusterError> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| ClusterError::NotInstalled {
        program: program.to_owned(),
        error,
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: "));
    let version = version.map(str::to_owned);
    version.ok_or_else(|| ClusterError::NotEtcd {
        program: program.to_owned(),
        said: said.lines().next().unwrap_or("nothing").to_owned(),
    })
}

/// A port that nobody uses, chosen by the system, which is kept for as long as this lives. Not at the address from which connections
/// are made: such a connection could have the port of a server that is down.
fn free_port() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.2:0")
}

struct Server {
    id: NodeId,
    client: SocketAddr,
    peer: SocketAddr,
    /// `None` while it is down.
    child: Option<Child>,
}

/// The servers. They are killed with it.
pub(crate) struct Cluster {
    program: String,
    folder: TempDir,
    servers: Vec<Server>,
}

impl Cluster {
    /// As many servers as that, on new disks; they may not serve yet.
    pub(crate) fn start(
        program: &str,
        servers: usize,
        data: Option<&Path>,
    ) -> Result<Cluster, ClusterError> {
        // All are held until all are chosen, so that no two are the same.
        let ports: Vec<TcpListener> = (0..2 * servers)
            .map(|_| free_port())
            .collect::<io::Result<_>>()?;
        let addresses = ports.iter().map(TcpListener::local_addr);
        let addresses: Vec<SocketAddr> = addresses.collect::<io::Result<_>>()?;
        drop(ports);
        let servers = addresses.chunks_exact(2).enumerate();
        let servers = servers.map(|(index, pair)| Server {
            id: NodeId::from_index(index),
            client: pair[0],
            peer: pair[1],
            child: None,
        });
        let mut cluster = Cluster {
            program: program.to_owned(),
            folder: match data {
                Some(data) => tempfile::tempdir_in(data)?,
                None => tempfile::tempdir()?,
            },
            servers: servers.collect(),
        };
        for index in 0..cluster.len() {
            cluster.run(index)?;
        }
        Ok(cluster)
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Where clients reach them.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let addresses = self.servers.iter();
        addresses.map(|server| server.client.to_string()).collect()
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.log", self.servers[index].id))
    }

    /// Starts a server, if it is down: on the disk that it left.
    pub(crate) fn run(&mut self, index: usize) -> Result<(), ClusterError> {
        if self.servers[index].child.is_some() {
            return Ok(());
        }
        let all = self.servers.iter();
        let all: Vec<String> = all
            .map(|server| format!("{}=http://{}", server.id, server.peer))
            .collect();
        let Server {
            id, client, peer, ..
        } = &self.servers[index];
        let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log(index))?;
        let mut command = Command::new(&self.program);
        command
            .args(["--name", &id.to_string(), "--log-level", "warn"])
            .arg("--data-dir")
            .arg(self.folder.path().join(id.to_string()))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &all.join(",")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for this program, which then ends the servers itself.
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|error| ClusterError::NotInstalled {
                program: self.program.clone(),
                error,
            })?;
        self.servers[index].child = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), ClusterError> {
        if let Some(mut child) = self.servers[index].child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops a server where it is, as a long pause of its machine would.
    pub(crate) fn pause(&self, index: usize) -> Result<(), ClusterError> {
        self.signal(index, Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn resume(&self, index: usize) -> Result<(), ClusterError> {
        self.signal(index, Signal::CONT)
    }

    fn signal(&self, index: usize, signal: Signal) -> Result<(), ClusterError> {
        if let Some(child) = &self.servers[index].child {
            kill_process(Pid::from_child(child), signal).map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Looks whether all that nobody has killed are there.
    pub(crate) fn all_live(&mut self) -> Result<(), ClusterError> {
        for index in 0..self.len() {
            let server = &mut self.servers[index];
            if let Some(child) = &mut server.child
                && let Some(status) = child.try_wait()?
            {
                let (server, said) = (server.id, self.said(index));
                return Err(ClusterError::Ended {
                    server,
                    status,
                    said,
                });
            }
        }
        Ok(())
    }

    /// Waits until each of them answers a read.
    pub(crate) async fn all_serve(&mut self) -> Result<(), ClusterError> {
        for index in 0..self.len() {
            let since = Instant::now();
            while !serves(&self.servers[index].client.to_string()).await {
                self.all_live()?;
                if since.elapsed() > PATIENCE {
                    let (server, said) = (self.servers[index].id, self.said(index));
                    return Err(ClusterError::Silent { server, said });
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// The last lines of what it said.
    fn said(&self, index: usize) -> String {
        let said = fs::read_to_string(self.log(index)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

async fn serves(server: &str) -> bool {
    let asked = async {
        let mut gateway = Gateway::to(server).await?;
        let op = Op::Get { key: "any".into() };
        gateway.ask(&op, false).await.ok()
    };
    let answer = timeout(Duration::from_secs(2), asked).await;
    matches!(answer, Ok(Some(Came::Ok(_))))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for index in 0..self.len() {
            // Nobody could be told that it cannot be.
            let _ = self.kill(index);
        }
    }
}
