//! The registry over DNS: queries in datagrams, and over connections, where an answer that was cut off is asked for again
//! (RFC 1035 §4.2, RFC 7766).
//!
//! Any server answers, with what it has applied: that may be behind what the leader knows, but is there without it. For a while: who
//! has known of no leader for long, or has not heard since it started what was committed before, says that it cannot tell.

use crate::service::Service;
use splitbrain_core::{Purpose, Rng, Seed};
use splitbrain_protocols::discovery::dns::{Found, Transport, Zone};
use splitbrain_protocols::registry::find;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

/// If fewer than so many percent of a service are well, all are given out: see
/// [`is_panic`](splitbrain_protocols::discovery::health::is_panic). None of them at all is always fewer.
const PANIC_PERCENT: u64 = 0;
/// How long a server that knows of no leader answers with what it has.
const UNLED_MAX: Duration = Duration::from_mins(1);
/// How often it is looked whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many connections there may be.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Knows the answers.
pub(crate) struct Answerer {
    service: Arc<Service>,
    zone: Arc<Zone>,
    rng: Mutex<Rng>,
    /// Since when the server knows of no leader, if it does not.
    unled_since: Mutex<Option<Instant>>,
}

impl Answerer {
    pub(crate) fn new(service: Arc<Service>, zone: Zone) -> Answerer {
        let seed = Seed(RandomState::new().hash_one("dns"));
        Answerer {
            service,
            zone: Arc::new(zone),
            rng: Mutex::new(seed.stream(Purpose::User(0))),
            unled_since: Mutex::new(Some(Instant::now())),
        }
    }

    async fn answer(&self, query: Vec<u8>, transport: Transport) -> Option<Vec<u8>> {
        let seed = {
            let mut rng = locked(&self.rng);
            Seed(rng.next_u64())
        };
        let zone = self.zone.clone();
        let unled_since = *locked(&self.unled_since);
        let is_lost = unled_since.is_some_and(|since| since.elapsed() >= UNLED_MAX);
        let look = move |server: &splitbrain_protocols::service::Server| {
            let store = server.store();
            let mut rng = seed.stream(Purpose::User(0));
            zone.answer(
                &query,
                transport,
                store.revision().0,
                |service, tag| {
                    if is_lost || !server.raft().is_current() {
                        Found::Unavailable
                    } else {
                        find(store, service, tag, PANIC_PERCENT)
                    }
                },
                &mut rng,
            )
        };
        self.service.look(look).await.ok().flatten()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps track of whether there is a leader, as long as the server runs.
pub(crate) async fn watch_leader(answerer: Arc<Answerer>) {
    loop {
        let look =
            |server: &splitbrain_protocols::service::Server| server.raft().leader().is_some();
        let Ok(is_led) = answerer.service.look(look).await else {
            return;
        };
        {
            let mut since = locked(&answerer.unled_since);
            *since = if is_led {
                None
            } else {
                since.or_else(|| Some(Instant::now()))
            };
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Answers datagrams, one after the other.
pub(crate) async fn over_udp(socket: UdpSocket, answerer: Arc<Answerer>) {
    let mut query = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, from) = match socket.recv_from(&mut query).await {
            Ok(received) => received,
            Err(error) => {
                // That an earlier answer did not arrive is told here, too.
                debug!(%error, "cannot receive a query");
                sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        let answer = answerer.answer(query[..length].to_vec(), Transport::Udp);
        if let Some(answer) = answer.await
            && let Err(error) = socket.send_to(&answer, from).await
        {
            debug!(%error, %from, "cannot answer a query");
        }
    }
}

/// Answers whoever connects.
pub(crate) async fn over_tcp(listener: TcpListener, answerer: Arc<Answerer>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, from)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answerer = answerer.clone();
        connections.spawn(async move {
            if let Err(error) = connection(stream, &answerer).await {
                debug!(%error, %from, "a connection has ended");
            }
            drop(permit);
        });
    }
}

/// Until it is closed, or silent for long. Each message is preceded by its length, in two bytes.
async fn connection(mut stream: TcpStream, answerer: &Answerer) -> std::io::Result<()> {
    loop {
        let query = timeout(SILENCE, async {
            let length = stream.read_u16().await?;
            let mut query = vec![0; usize::from(length)];
            stream.read_exact(&mut query).await?;
            std::io::Result::Ok(query)
        });
        let query = query.await??;
        // What gets no answer is no query: there is nothing to be said to that.
        let Some(answer) = answerer.answer(query, Transport::Tcp).await else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend(answer);
        timeout(SILENCE, stream.write_all(&message)).await??;
    }
}
