//! What is done to the servers while they are used.

use crate::cluster::{Cluster, ClusterError};
use crate::load::Clock;
use splitbrain_core::{NodeId, Rng};
use std::fmt;
use std::time::Duration;
use tokio::time::sleep;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, and started again: what it had written is there, what it only had in mind is not.
    Kill,
    /// SIGSTOP and SIGCONT: it does not know that time has passed.
    Pause,
}

/// A fault that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// What was done.
    pub fault: Fault,
    /// To whom.
    pub servers: Vec<NodeId>,
    /// When it began, in nanoseconds of the history.
    pub from_ns: u64,
    /// When it was over.
    pub until_ns: u64,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match self.fault {
            Fault::Kill => "killed",
            Fault::Pause => "paused",
        };
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        let ms = |ns: u64| format!("{}.{:03}s", ns / 1_000_000_000, ns / 1_000_000 % 1000);
        let (from, until) = (ms(self.from_ns), ms(self.until_ns));
        write!(f, "{from:>9}..{until} {done} {}", servers.join(" "))
    }
}

/// A fault that is.
struct Current {
    fault: Fault,
    victims: Vec<usize>,
    from_ns: u64,
}

/// One fault after the other, drawn from a seed: of one server or, now and then, of all.
pub(crate) struct Nemesis {
    rng: Rng,
    clock: Clock,
    current: Option<Current>,
    happened: Vec<Happened>,
}

impl Nemesis {
    pub(crate) fn new(rng: Rng, clock: Clock) -> Nemesis {
        Nemesis {
            rng,
            clock,
            current: None,
            happened: Vec::new(),
        }
    }

    /// Does one thing after the other, for ever, or until a server does what it should not.
    pub(crate) async fn work(
        &mut self,
        cluster: &mut Cluster,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> ClusterError {
        loop {
            if let Err(error) = self.next(cluster, tell).await {
                return error;
            }
        }
    }

    async fn next(
        &mut self,
        cluster: &mut Cluster,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), ClusterError> {
        sleep(
            self.rng
                .duration(Duration::from_millis(300)..=Duration::from_millis(1200)),
        )
        .await;
        cluster.all_live()?;
        let fault = if self.rng.below(2) == 0 {
            Fault::Kill
        } else {
            Fault::Pause
        };
        let one = self.rng.index(cluster.len());
        let victims = if self.rng.below(4) == 0 {
            0..cluster.len()
        } else {
            one..one + 1
        };
        let victims: Vec<usize> = victims.collect();
        self.current = Some(Current {
            fault,
            victims: victims.clone(),
            from_ns: self.clock.now_ns(),
        });
        for victim in victims {
            match fault {
                Fault::Kill => cluster.kill(victim)?,
                Fault::Pause => cluster.pause(victim)?,
            }
        }
        // As long as an election takes, or longer.
        sleep(
            self.rng
                .duration(Duration::from_millis(200)..=Duration::from_millis(1600)),
        )
        .await;
        self.undo(cluster, tell)
    }

    /// Ends the fault that there is, if there is one.
    pub(crate) fn undo(
        &mut self,
        cluster: &mut Cluster,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), ClusterError> {
        let Some(Current {
            fault,
            victims,
            from_ns,
        }) = self.current.take()
        else {
            return Ok(());
        };
        for victim in &victims {
            match fault {
                Fault::Kill => cluster.run(*victim)?,
                Fault::Pause => cluster.resume(*victim)?,
            }
        }
        let happened = Happened {
            fault,
            servers: victims.into_iter().map(NodeId::from_index).collect(),
            from_ns,
            until_ns: self.clock.now_ns(),
        };
        tell(&happened.to_string());
        self.happened.push(happened);
        Ok(())
    }

    /// What was done, in order.
    pub(crate) fn happened(self) -> Vec<Happened> {
        self.happened
    }
}
