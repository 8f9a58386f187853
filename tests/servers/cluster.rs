//! Servers as processes, in a folder that is gone after the test.

use splitbrain_server::request::Connection;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

pub(super) const SPLITBRAIN: &str = env!("CARGO_BIN_EXE_splitbrain-server");

/// Nothing that is to happen takes longer, even on a machine that has much else to do.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A port that nobody uses, chosen by the system. Not at the address from which connections are made: such a connection could have the
/// port of a server that is down. And none that another test was given: its server may not listen yet, or be down.
pub(super) fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.2:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(address) {
            return address;
        }
    }
}

pub(super) struct Cluster {
    folder: tempfile::TempDir,
    http: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
    dns: Vec<SocketAddr>,
    /// `None` for those that are down.
    children: Vec<Option<Child>>,
}

impl Cluster {
    /// As many servers as that, formatted and not yet running; `raft` is the table of that name.
    pub(super) fn new(servers: usize, raft: &str) -> Cluster {
        let folder = tempfile::tempdir().expect("a folder");
        let http: Vec<SocketAddr> = (0..servers).map(|_| free_address()).collect();
        let peers: Vec<SocketAddr> = (0..servers).map(|_| free_address()).collect();
        let table: Vec<String> = (1..)
            .zip(&peers)
            .map(|(number, peer)| format!("n{number} = \"{peer}\""))
            .collect();
        let table = table.join("\n");
        let cluster = Cluster {
            peers,
            dns: (0..servers).map(|_| free_address()).collect(),
            children: http.iter().map(|_| None).collect(),
            folder,
            http,
        };
        for (index, http) in cluster.http.iter().enumerate() {
            let node = index + 1;
            let text = format!(
                "node = \"n{node}\"\ncluster = \"test\"\ndata = \"n{node}\"\nhttp = \"{http}\"\ndns = \"{}\"\n\
                 clients = 16\n[peers]\n{table}\n[raft]\n{raft}",
                cluster.dns[index]
            );
            fs::write(cluster.config(index), text).expect("written");
            let status = cluster.command(index).arg("--format").status();
            assert!(status.expect("it runs").success());
        }
        cluster
    }

    pub(super) fn http(&self) -> Vec<String> {
        self.http.iter().map(ToString::to_string).collect()
    }

    /// Where the servers listen to each other.
    pub(super) fn peer(&self, index: usize) -> SocketAddr {
        self.peers[index]
    }

    pub(super) fn dns(&self, index: usize) -> SocketAddr {
        self.dns[index]
    }

    pub(super) fn config(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("n{}.toml", index + 1))
    }

    pub(super) fn journal(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("n{}/journal", index + 1))
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("n{}.log", index + 1))
    }

    /// Everything that the server has said.
    pub(super) fn said(&self, index: usize) -> String {
        fs::read_to_string(self.log(index)).unwrap_or_default()
    }

    fn command(&self, index: usize) -> Command {
        let mut command = Command::new(SPLITBRAIN);
        command.args(["node", "--config"]).arg(self.config(index));
        command
    }

    pub(super) fn start(&mut self, index: usize) {
        let command = self.command(index);
        self.spawn(index, command);
    }

    /// With files that cannot become longer than this: then the disk is full for it.
    pub(super) fn start_with_little_room(&mut self, index: usize, bytes: u64) {
        let mut command = Command::new("sh");
        // The signal that comes with it would end the process before it can say why. The unit is a block of 512 bytes.
        let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
        command.args(["-c", script, "sh", &bytes.div_ceil(512).to_string()]);
        command.args([SPLITBRAIN, "node", "--config"]);
        command.arg(self.config(index));
        self.spawn(index, command);
    }

    fn spawn(&mut self, index: usize, mut command: Command) {
        assert!(self.children[index].is_none(), "it runs already");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log(index));
        let child = command.stderr(log.expect("a log")).spawn();
        self.children[index] = Some(child.expect("it starts"));
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.children[index].take() {
            // Whether or not it has ended itself before.
            let _ = child.kill();
            child.wait().expect("it was started here");
        }
    }

    pub(super) fn signal(&self, index: usize, signal: &str) {
        let child = self.children[index].as_ref().expect("it runs");
        let kill = format!("kill -{signal} {}", child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("there is a shell").success());
    }

    /// Waits until the server has ended by itself.
    pub(super) async fn ended(&mut self, index: usize) -> ExitStatus {
        let child = self.children[index].as_mut().expect("it runs");
        let since = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("it was started here") {
                self.children[index] = None;
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "n{} goes on", index + 1);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the server says of itself, if it says something.
    pub(super) async fn status(&self, index: usize) -> Option<serde_json::Value> {
        let address = self.http[index].to_string();
        let asked = async {
            let mut connection = Connection::to(&address).await.ok()?;
            let method = hyper::Method::GET;
            connection
                .ask(method, "/v1/status", String::new())
                .await
                .ok()
        };
        let answer = timeout(Duration::from_secs(2), asked).await.ok()??;
        serde_json::from_str(&answer.body).ok()
    }

    /// Waits until the server follows a leader, or leads, and has applied what is committed as far as any other has.
    pub(super) async fn caught_up(&self, index: usize) {
        let since = Instant::now();
        let mut goal = 0;
        for other in 0..self.http.len() {
            if let Some(status) = self.status(other).await {
                goal = goal.max(status["commit_index"].as_u64().unwrap_or(0));
            }
        }
        loop {
            if let Some(status) = self.status(index).await
                && !status["leader"].is_null()
                && status["applied"].as_u64() >= Some(goal)
            {
                return;
            }
            let said = self.said(index);
            assert!(
                since.elapsed() < PATIENCE,
                "n{} is behind: {said}",
                index + 1
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for index in 0..self.children.len() {
            self.kill(index);
        }
    }
}
