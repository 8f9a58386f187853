//! Asking instances how they are, over TCP or HTTP: the server that decides does it, and writes down what it finds out.
//!
//! Whom to ask when, what the answers are worth, and what is to be written then, is for
//! [`Checks`] to know, as in the kernel. Here are connections.

use crate::request::Connection;
use crate::service::Service;
use hyper::Method;
use splitbrain_core::{Purpose, Rng, Seed, Time};
use splitbrain_protocols::discovery::Instance;
use splitbrain_protocols::discovery::health::{CheckKind, Report};
use splitbrain_protocols::registry::{Checks, Due, Probed, check_of};
use splitbrain_protocols::service::Peer;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// In the metadata of an instance that is to be asked by HTTP: what for.
pub(crate) const PATH: &str = "check-path";

/// How often it is looked what is due, and what has changed.
const EVERY: Duration = Duration::from_millis(50);
/// Whoever comes that much too late was away: nobody is judged for it.
const ABSENCE: Duration = Duration::from_secs(1);
/// What was to be written and is not seen after so long is written again.
const AGAIN: Duration = Duration::from_secs(2);
/// How many are asked at once.
const ASKED_MAX: usize = 256;

/// How to ask an instance.
#[derive(Clone, Debug, PartialEq)]
struct Target {
    /// Where it listens.
    address: String,
    /// What to ask for by HTTP; without, to be there is enough.
    path: Option<String>,
    timeout: Duration,
}

fn target(instance: &Instance) -> Option<Target> {
    let CheckKind::Probe(probe) = check_of(instance)?.kind else {
        return None;
    };
    Some(Target {
        address: instance.socket().to_string(),
        path: instance.metadata().get(PATH).cloned(),
        timeout: Duration::from_millis(probe.timeout_ms),
    })
}

/// What goes to the server to be looked at with it, and comes back.
struct State {
    /// While this server decides.
    checks: Option<Checks<Target>>,
    rng: Rng,
    /// Answers that have come.
    answers: Vec<Probed>,
}

impl State {
    /// What is due, as far as this server is to decide it.
    fn due(&mut self, peer: &Peer, now: Time) -> Vec<Due<Target>> {
        let server = peer.server().filter(|server| server.is_lessor());
        let answers = std::mem::take(&mut self.answers);
        let Some(server) = server else {
            self.checks = None;
            return Vec::new();
        };
        let term = server.raft().term().0;
        if self.checks.as_ref().map(Checks::term) != Some(term) {
            self.checks = Some(Checks::new(term, target));
        }
        let Some(checks) = &mut self.checks else {
            return Vec::new();
        };
        checks.learn(server.store(), now, &mut self.rng);
        for answer in &answers {
            checks.answered(answer, now);
        }
        if checks.next_due().is_some_and(|due| due + ABSENCE < now) {
            checks.resume(now);
        }
        std::iter::from_fn(|| checks.due(now, AGAIN)).collect()
    }
}

/// Asks, for ever, while this server decides.
pub(crate) async fn run(service: Arc<Service>) {
    let began = Instant::now();
    let room = Arc::new(Semaphore::new(ASKED_MAX));
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let seed = Seed(RandomState::new().hash_one("checks"));
    let mut state = State {
        checks: None,
        rng: seed.stream(Purpose::User(0)),
        answers: Vec::new(),
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        while tasks.try_join_next().is_some() {}
        while let Ok(answer) = answers.try_recv() {
            state.answers.push(answer);
        }
        let look = move |peer: &Peer| {
            let due = state.due(peer, Time::ZERO + began.elapsed());
            (state, due)
        };
        let Some((back, due)) = service.server.look(look).await else {
            return; // the server has ended
        };
        state = back;
        for due in due {
            match due {
                Due::Ask(target, probe) => {
                    let (room, answered) = (room.clone(), answered.clone());
                    tasks.spawn(async move {
                        let Ok(_permit) = room.acquire_owned().await else {
                            return;
                        };
                        // What takes too long has failed: that is for the check to see.
                        if let Ok(report) = timeout(target.timeout, ask(&target)).await {
                            let _ = answered.send(Probed { probe, report });
                        }
                    });
                }
                Due::Write(status, op) => {
                    tracing::info!(%status, "an instance is found to be otherwise than is written");
                    write(&service, op, &mut tasks);
                }
                Due::Note(op) => write(&service, op, &mut tasks),
                Due::Remove(op) => {
                    tracing::info!("an instance that has been critical for long is removed");
                    write(&service, op, &mut tasks);
                }
            }
        }
    }
}

/// Whatever comes of it: if it is not seen in the store, it is due again.
fn write(service: &Arc<Service>, op: splitbrain_protocols::kv::Op, tasks: &mut JoinSet<()>) {
    let service = service.clone();
    tasks.spawn(async move {
        if let Err(error) = service.perform(op).await {
            tracing::info!(?error, "what was found out is not written");
        }
    });
}

/// By HTTP the answer counts as with Consul: 2xx is well, 429 a warning.
async fn ask(target: &Target) -> Report {
    let Some(path) = &target.path else {
        return match TcpStream::connect(&target.address).await {
            Ok(_) => Report::Passing,
            Err(_) => Report::Critical,
        };
    };
    let Ok(mut connection) = Connection::to(&target.address).await else {
        return Report::Critical;
    };
    let answer = connection.ask(Method::GET, path, String::new()).await;
    match answer.map(|answer| answer.status) {
        Ok(200..=299) => Report::Passing,
        Ok(429) => Report::Warning,
        _ => Report::Critical,
    }
}
