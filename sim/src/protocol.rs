//! What the harness must know of a protocol to put it under test.

use crate::scenario::WorkloadSpec;
use crate::world::World;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_check::{Budget, Counterexample, History, Model, Possible, Shown, Verdict, check};
use splitbrain_core::{Cluster, Invariant, Node, NodeId, Rng};
use std::fmt::Debug;
use std::io;

/// A protocol as the harness sees it: how to set up its nodes, what its clients ask for, who is interesting, and what
/// must hold. Everything else about it is its [`Node`].
///
/// The functions are pure; whatever is random comes from the stream that is passed in.
pub trait Protocol: Debug + Send + Sync + 'static {
    /// Its nodes.
    type Node: Node<Op: Serialize + DeserializeOwned>;
    /// What the table `[settings]` of a scenario may say.
    type Settings: Clone + Debug + Default + Send + Sync + Serialize + DeserializeOwned;

    /// Its name in scenarios.
    const NAME: &'static str;

    /// Says what is wrong with the settings for a cluster of this size, if anything is.
    ///
    /// # Errors
    /// The contradiction, in words.
    fn validate(
        _settings: &Self::Settings,
        _servers: usize,
        _clients: usize,
    ) -> Result<(), String> {
        Ok(())
    }

    /// The configuration of every node, servers first.
    fn nodes(
        settings: &Self::Settings,
        servers: usize,
        clients: usize,
    ) -> Vec<<Self::Node as Node>::Config>;

    /// The nodes at which client operations begin, one process at each: the clients, or the servers themselves if the
    /// protocol has no clients.
    fn invoked_at(servers: usize, clients: usize) -> Vec<NodeId>;

    /// The next operation of a client: one that nobody else asks for, told apart by `nth`, and after `previous`, the
    /// client's last operation, if that was answered.
    fn operation(
        workload: &WorkloadSpec,
        nth: u64,
        previous: Option<(&OpOf<Self>, &RetOf<Self>)>,
        rng: &mut Rng,
    ) -> OpOf<Self>;

    /// The operations that must succeed after healing, to be spread over the processes: final reads.
    fn final_operations(workload: &WorkloadSpec) -> Vec<OpOf<Self>>;

    /// Whether its nodes say how far they have come ([`Node::progress`]): only then can one be behind another.
    const HAS_PROGRESS: bool = false;

    /// The node that is interesting now: what `victims = "leader"` means.
    fn leader(_cluster: Cluster<'_, Self::Node>) -> Option<NodeId> {
        None
    }

    /// Whether the healed cluster has converged.
    ///
    /// # Errors
    /// What it is still waiting for, in words.
    fn converged(cluster: Cluster<'_, Self::Node>) -> Result<(), String>;

    /// The state of a node in a few words, as far as its invariants speak of it: for the end of a timeline.
    fn state_in_words(_node: &Self::Node) -> Option<String> {
        None
    }

    /// Whether a healed cluster of so many servers can make progress while so many of them are out of service for good,
    /// because their disks are damaged. By default, as long as they are fewer than half.
    fn can_be_live(servers: usize, out_of_service: usize) -> bool {
        out_of_service * 2 < servers
    }

    /// What must hold after every event.
    fn invariants(_settings: &Self::Settings) -> Vec<Box<dyn Invariant<Self::Node>>> {
        Vec::new()
    }

    /// Judges the history of a run, within a budget of steps.
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement;

    /// The name of the property that [`judge`](Protocol::judge) checks, if it checks one.
    const HISTORY_PROPERTY: Option<&'static str>;

    /// Writes the history in its native form, one JSON object a line.
    ///
    /// # Errors
    /// What the writer says.
    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()>;
}

/// What the clients of a protocol ask for.
pub type OpOf<P> = <<P as Protocol>::Node as Node>::Op;

/// What they are answered.
pub type RetOf<P> = <<P as Protocol>::Node as Node>::Ret;

/// The history of a protocol's operations.
pub type HistoryOf<P> = History<OpOf<P>, RetOf<P>>;

/// The world of a protocol.
pub type WorldOf<P> = World<<P as Protocol>::Node>;

/// Operations that contradict each other, by their places in [`History::operations`]: to be found in a timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contradiction {
    /// Those that have no order, as the counterexample numbers them.
    pub operations: Vec<usize>,
    /// Others of which it speaks: what led to the state before them, or could have led to another one.
    pub mentioned: Vec<usize>,
}

impl From<&Counterexample> for Contradiction {
    fn from(counterexample: &Counterexample) -> Contradiction {
        let place = |shown: &Shown| shown.operation;
        let operations: Vec<usize> = counterexample.operations.iter().map(place).collect();
        let blocked = counterexample.blocked.iter();
        let after = blocked.filter_map(|blocked| match &blocked.possible {
            Possible::After(shown) => Some(shown),
            Possible::AtFirst | Possible::Never => None,
        });
        let mentioned = counterexample.start.last.iter().chain(after).map(place);
        Contradiction {
            mentioned: mentioned
                .filter(|place| !operations.contains(place))
                .collect(),
            operations,
        }
    }
}

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is as it must be, or there is nothing to check.
    Valid,
    /// It is not.
    Invalid {
        /// The counterexample in words.
        what: String,
        /// What it speaks of.
        contradiction: Contradiction,
    },
    /// The checker gave up, or the history is malformed; why.
    Unknown(String),
}

impl Judgement {
    /// Whether the history is linearizable with respect to the model, within a budget of steps.
    pub fn of<M: Model>(
        model: &M,
        history: &History<M::Op, M::Ret>,
        budget_steps: u64,
    ) -> Judgement {
        match check(
            model,
            history,
            Budget {
                steps: budget_steps,
            },
        ) {
            Ok(Verdict::Valid) => Judgement::Valid,
            Ok(Verdict::Invalid(counterexample)) => Judgement::Invalid {
                what: counterexample.to_string(),
                contradiction: Contradiction::from(&counterexample),
            },
            Ok(Verdict::Unknown(reason)) => Judgement::Unknown(reason.to_string()),
            Err(error) => Judgement::Unknown(format!("the history makes no sense: {error}")),
        }
    }
}
