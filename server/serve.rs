//! One server of the key-value store and the registry, as a process: the same nodes as in the kernel, in a
//! [host](splitbrain_hosts), behind HTTP and DNS.
//!
//! A server of the coordination service and some clients live in it. An operation that comes by HTTP is given to a client that is free, which
//! asks the leader, wherever that is, as clients in the kernel do: in a session of its own, until it is answered or its
//! time is up.

use crate::config::NodeConfig;
use crate::service::Service;
use crate::{checks, dns, http};
use prometheus_client::registry::Registry;
use splitbrain_core::{Journal, Node as _, Seed};
use splitbrain_hosts::{
    Ended, FileJournal, Handle, JournalError, Network, NetworkSettings, Surroundings, host, listen,
};
use splitbrain_protocols::discovery::dns::Zone;
use splitbrain_protocols::raft::Record;
use splitbrain_protocols::service::Peer;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

/// Why a server does not start, or does not go on.
#[derive(Debug, Error)]
pub(crate) enum ServerError {
    #[error("cannot listen at {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "{0}: there is no journal here. If this server has never run, `--format` makes one; if its disk was lost, it \
         must not come back under its old name"
    )]
    NeverFormatted(String),
    #[error("{node} {ended}")]
    Ended { node: String, ended: Ended },
    #[error("{node} has panicked: {error}")]
    Panicked { node: String, error: JoinError },
    #[error("the HTTP service has ended: {0}")]
    Http(io::Error),
}

/// Writes the disk of a server that has never run.
pub(crate) fn format(config: &NodeConfig) -> Result<(), ServerError> {
    let (server, _) = config.nodes();
    FileJournal::create(&config.data, &Peer::format(&server))?;
    Ok(())
}

/// Runs a server until `stopped` is done, or it ends itself.
pub(crate) async fn serve(
    config: &NodeConfig,
    stopped: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let opened = FileJournal::open(&config.data).map_err(|error| match error {
        JournalError::Missing(path) => ServerError::NeverFormatted(path.display().to_string()),
        error => error.into(),
    })?;
    let here = config.peers[&config.node];
    let (listener, http) = (bind(here).await?, bind(config.http).await?);
    let dns = match config.dns {
        Some(address) => Some((bind(address).await?, bind_udp(address).await?)),
        None => None,
    };
    let Nodes {
        server,
        server_life,
        mut lives,
        service,
    } = start(config, opened, listener);
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    // They end with this function, in whatever way.
    let mut beside = JoinSet::new();
    beside.spawn(checks::run(service.clone()));
    if let Some((tcp, udp)) = dns {
        let zone = Zone::new(config.zone.clone()).expect("it was looked at with the file");
        let answerer = Arc::new(dns::Answerer::new(service.clone(), zone));
        beside.spawn(dns::watch_leader(answerer.clone()));
        beside.spawn(dns::over_udp(udp, answerer.clone()));
        beside.spawn(dns::over_tcp(tcp, answerer));
    }
    let mut http = tokio::spawn(http::serve(http, service, async {
        // Told to stop, or everything has ended: the same.
        let _ = http_stopped.await;
    }));
    tracing::info!(node = %config.node, peers = %here, http = %config.http, "serving");
    let name = |id| {
        let is_server = id == server_life;
        if is_server {
            config.node.to_string()
        } else {
            "a client".to_owned()
        }
    };
    tokio::select! {
        biased;
        () = stopped => {}
        ended = &mut http => {
            let ended = ended.map_err(io::Error::other).and_then(|ended| ended);
            return Err(ServerError::Http(ended.err().unwrap_or_else(|| io::Error::other("it stopped"))));
        }
        Some(ended) = lives.join_next_with_id() => return Err(match ended {
            Ok((id, ended)) => ServerError::Ended { node: name(id), ended },
            Err(error) => ServerError::Panicked { node: name(error.id()), error },
        }),
    }
    // First nobody asks any more, then what was written becomes durable.
    drop(stop_http);
    server.stop().await;
    while let Some(ended) = lives.join_next_with_id().await {
        match ended {
            Ok((id, Ended::Halted(why))) if id == server_life => {
                return Err(ServerError::Ended {
                    node: name(id),
                    ended: Ended::Halted(why),
                });
            }
            Ok((id, _)) if id == server_life => break,
            _ => {}
        }
    }
    Ok(())
}

/// The nodes of a server's process.
struct Nodes {
    server: Handle<Peer>,
    server_life: Id,
    lives: JoinSet<Ended>,
    service: Arc<Service>,
}

fn start(
    config: &NodeConfig,
    opened: (FileJournal, Journal<Record>),
    listener: TcpListener,
) -> Nodes {
    let mut registry = Registry::with_prefix("splitbrain");
    let client_ids: Vec<_> = config.client_ids().collect();
    let local: Vec<_> = std::iter::once(config.node)
        .chain(client_ids.iter().copied())
        .collect();
    let others = config.peers.iter().filter(|(id, _)| **id != config.node);
    let others = others.map(|(id, address)| (*id, address.to_string()));
    let settings = NetworkSettings {
        cluster: config.cluster.clone(),
        ..NetworkSettings::default()
    };
    let (network, inboxes) =
        Network::start(listener, &local, others.collect(), settings, &mut registry);
    let mut inboxes = inboxes.into_iter();
    let mut surroundings = |id, journal| Surroundings {
        id,
        // Another one in each life, and for each node.
        seed: Seed(RandomState::new().hash_one(id)),
        network: network.clone(),
        inbox: inboxes.next().expect("there is one for each node"),
        journal,
    };
    let (server_config, client_config) = config.nodes();
    let mut lives = JoinSet::new();
    let opened = Some(opened);
    let (server, life) = host::<Peer>(
        server_config,
        surroundings(config.node, opened),
        &mut registry,
    );
    let server_life = lives.spawn(life).id();
    // What a client of its own does is of interest to nobody: it is not among the metrics.
    let mut unseen = Registry::default();
    let mut start_client = |id| {
        let (client, life) =
            host::<Peer>(client_config.clone(), surroundings(id, None), &mut unseen);
        lives.spawn(life);
        client
    };
    let mut client_ids = client_ids.into_iter();
    let watcher = client_ids.next().map(&mut start_client);
    let watcher = watcher.expect("the first of them watches");
    let (free, clients) = mpsc::unbounded_channel();
    for id in client_ids {
        // The receiver is here.
        let _ = free.send(start_client(id));
    }
    let service = Service::new(
        config.node,
        server.clone(),
        watcher,
        free,
        clients,
        registry,
    );
    Nodes {
        server,
        server_life,
        lives,
        service: Arc::new(service),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    listen(address)
        .await
        .map_err(|error| ServerError::Listen { address, error })
}

async fn bind_udp(address: SocketAddr) -> Result<UdpSocket, ServerError> {
    UdpSocket::bind(address)
        .await
        .map_err(|error| ServerError::Listen { address, error })
}
