//! Operations that are none of the checker's, from the scenario to what is said of a failing run: a register that one can
//! also hit.

use super::Timer;
use crate::case::{Case, ProtocolEntry};
use crate::protocol::{Given, HistoryOf, Judgement, Protocol};
use crate::report::explanation;
use crate::run::{Script, Verdict};
use crate::shrink::shrink;
use crate::world::TraceDetail;
use serde::{Deserialize, Serialize};
use splitbrain_check::models::register::{self, Register};
use splitbrain_check::{Part, jsonl};
use splitbrain_core::{Cluster, Context, Journal, Node, NodeId, OpId, Outcome, Rng, Seed, Time};
use std::path::Path;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Whoever hits it makes it forget what it holds.
    fragile: bool,
    /// From then on there is a leader, if ever.
    leader_from_ms: Option<u64>,
    /// Or by so much later, as the seed says.
    leader_later_ms: u64,
    /// The cluster waits for something that has nothing to do with a leader.
    never_converges: bool,
    /// No cluster is live once the disks of so many servers are damaged; 0: by the default rule.
    not_live_without: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Op {
    Read,
    Write(i64),
    /// A special one: this server is hit.
    Hit(NodeId),
    /// A special one that changes nothing.
    Nod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ret {
    Register(register::Ret),
    Felt,
}

#[derive(Clone, Debug)]
struct Counter {
    settings: Settings,
    leads_from: Option<Time>,
    value: Option<i64>,
}

impl Node for Counter {
    type Message = ();
    type Timer = Timer;
    type Record = i64;
    type Op = Op;
    type Ret = Ret;
    type Config = Settings;

    fn start(config: &Settings, journal: Journal<i64>, cx: &mut Context<'_, Self>) -> Self {
        let mut value = None;
        for record in journal {
            match record {
                Ok(record) => value = Some(record),
                Err(_) => cx.halt("its disk is damaged"),
            }
        }
        let later = match config.leader_later_ms {
            0 => 0,
            most => cx.rng().below(most),
        };
        let leads_from = config.leader_from_ms;
        Counter {
            settings: *config,
            leads_from: leads_from.map(|from| Time::from_millis(from + later)),
            value,
        }
    }
    fn on_message(&mut self, _: NodeId, (): (), _: &mut Context<'_, Self>) {}
    fn on_timer(&mut self, _: Timer, _: &mut Context<'_, Self>) {}
    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Self>) {
        let ret = match op {
            Op::Read => Ret::Register(register::Ret::Value(self.value)),
            Op::Write(value) => {
                self.value = Some(value);
                cx.append(value);
                Ret::Register(register::Ret::Written)
            }
            Op::Hit(node) => {
                if self.settings.fragile && node == cx.id() {
                    self.value = None;
                }
                Ret::Felt
            }
            Op::Nod => Ret::Felt,
        };
        cx.sync();
        cx.complete(id, Outcome::Ok(ret));
    }
}

#[derive(Debug)]
struct Desk;

impl Protocol for Desk {
    type Node = Counter;
    type Settings = Settings;
    const NAME: &'static str = "desk";
    /// `hit`: one of the servers is hit. `nod`: nothing.
    const MIX: &'static [&'static str] = &["hit", "nod"];
    const HAS_LEADER: bool = true;
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn nodes(given: Given<'_, Settings>) -> Vec<Settings> {
        vec![*given.settings; given.cluster.servers.get()]
    }
    fn invoked_at(_: Given<'_, Settings>) -> Vec<NodeId> {
        vec![NodeId::from_index(0)]
    }
    fn operation(
        given: Given<'_, Settings>,
        nth: u64,
        _: Option<(&Op, &Ret)>,
        rng: &mut Rng,
    ) -> Op {
        match given.workload.special(rng) {
            Some("hit") => Op::Hit(NodeId::from_index(rng.index(given.cluster.servers.get()))),
            Some(_) => Op::Nod,
            None if rng.below(2) == 0 => Op::Read,
            None => Op::Write(nth.cast_signed()),
        }
    }
    fn final_operations(_: Given<'_, Settings>) -> Vec<Op> {
        vec![Op::Read]
    }
    fn leader(cluster: Cluster<'_, Counter>) -> Option<NodeId> {
        let leads = |(_, node): &(NodeId, &Counter)| {
            node.leads_from.is_some_and(|from| cluster.now >= from)
        };
        cluster.nodes().find(leads).map(|(id, _)| id)
    }
    fn converged(cluster: Cluster<'_, Counter>) -> Result<(), String> {
        match cluster
            .nodes()
            .find(|(_, node)| node.settings.never_converges)
        {
            Some((id, _)) => Err(format!("{id} has not tidied up")),
            None => Ok(()),
        }
    }
    fn can_be_live(
        given: Given<'_, Settings>,
        _cluster: Cluster<'_, Counter>,
        damaged: &[NodeId],
    ) -> bool {
        let without = given.settings.not_live_without;
        without == 0 || damaged.len() < without
    }
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        Judgement::of_part(&Register, &checkable(history), budget_steps)
    }
    fn write_history(
        history: &HistoryOf<Self>,
        out: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
        jsonl::write(&checkable(history).history, out)
    }
}

fn checkable(history: &HistoryOf<Desk>) -> Part<register::Op, register::Ret> {
    let op = |op| match op {
        Op::Read => Some(register::Op::Read),
        Op::Write(value) => Some(register::Op::Write(value)),
        Op::Hit(_) | Op::Nod => None,
    };
    let ret = |ret| match ret {
        Ret::Register(ret) => ret,
        Ret::Felt => unreachable!("what is special is left out"),
    };
    history.clone().only(op).map(|op| op, ret)
}

fn text(more: &str) -> String {
    format!(
        "summary = 's'\nprotocol = 'desk'\nduration = '5s'\ncluster = {{ servers = 2 }}\n{more}"
    )
}

pub(super) fn load(more: &str) -> Result<Box<dyn Case>, String> {
    ProtocolEntry::of::<Desk>()
        .load("test", &text(more), Path::new("test.toml"), &[])
        .map_err(|error| error.to_string())
}

fn mix(settings: &str, shares: &str) -> Box<dyn Case> {
    let workload = format!("workload = {{ think = '10ms', mix = {{ {shares} }} }}");
    load(&format!("settings = {{ {settings} }}\n{workload}")).unwrap()
}

/// How many operations of each kind clients ask for: hits of each server, nods, others.
fn asked(case: &dyn Case) -> (u64, [usize; 4]) {
    let report = case.run(Seed(1), &Script::DRAWN, Some(TraceDetail::Notes));
    let mut kinds = [0; 4];
    for request in report.operations.unwrap() {
        let kind = match Op::deserialize(&request.op).unwrap() {
            Op::Hit(node) => node.index(),
            Op::Nod => 2,
            Op::Read | Op::Write(_) => 3,
        };
        kinds[kind] += 1;
    }
    (report.digest, kinds)
}

#[test]
fn special_operations_come_as_often_as_the_scenario_says() {
    let (plain, kinds) = asked(&*mix("", ""));
    assert_eq!(kinds[..3], [0, 0, 0]);
    let (digest, kinds) = asked(&*mix("", "hit = '1/5', nod = '1/10'"));
    assert_ne!(digest, plain);
    let all: usize = kinds.iter().sum();
    assert!(all > 300, "{kinds:?}");
    for (count, share) in kinds.into_iter().zip([10, 10, 10, 70]) {
        let expected = all * share / 100;
        let around = expected / 2..expected * 3 / 2;
        assert!(around.contains(&count), "{kinds:?} of {all}");
    }
    let (_, kinds) = asked(&*mix("", "nod = 1"));
    assert!(
        kinds[2] > 300 && kinds[2] == kinds.iter().sum::<usize>(),
        "{kinds:?}"
    );
}

#[test]
fn a_mix_of_nothing_changes_nothing() {
    let (digest, _) = asked(&*load("workload = { think = '10ms' }").unwrap());
    for nothing in ["", "hit = 0", "hit = '0', nod = '0%'"] {
        assert_eq!(asked(&*mix("", nothing)).0, digest, "{nothing}");
    }
}

#[test]
fn what_the_protocol_does_not_know_is_an_error_with_its_line() {
    for (workload, expected) in [
        (
            "[workload]\nmix = { nod = '1/2', kick = '1/2' }",
            "test.toml:6: workload.mix.kick: `kick` is no special operation of desk: expected one of hit, nod",
        ),
        (
            "[workload.mix]\nnod = '1/2'\n\nread = 0",
            "test.toml:8: workload.mix.read: `read` is no special operation of desk",
        ),
        (
            "[workload]\nkeys = 1\nmix = { nod = '51%', hit = '1/2' }",
            "test.toml:7: workload.mix: these are more than all operations",
        ),
        (
            "[workload.mix]\nnod = 2",
            "test.toml:6: `2` is not a probability",
        ),
        (
            "workload = { mix = 'nod' }",
            "test.toml:5: invalid type: string",
        ),
    ] {
        let error = load(workload).unwrap_err();
        assert!(
            error.contains(expected),
            "expected {expected}\nfound    {error}"
        );
    }
    let singles = "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = { servers = 1 }\n\
                   settings = { quirk = 'none' }\nworkload.mix = { hit = '1/2' }";
    let entry = ProtocolEntry::of::<super::Singles>();
    let error = entry.load("test", singles, Path::new("test.toml"), &[]);
    let error = error.unwrap_err().to_string();
    let expected =
        "test.toml:6: workload.mix.hit: `hit` is no special operation of singles: it has none";
    assert_eq!(error, expected);
}

/// The checker does not see that the register was hit; people do.
#[test]
fn what_is_left_of_a_failing_run_shows_its_special_operations() {
    let case = mix("fragile = true", "hit = '1/20', nod = '1/4'");
    let report = case.run(Seed(1), &Script::DRAWN, Some(TraceDetail::Notes));
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("what it forgets is missed: {}", report.verdict);
    };
    let history = String::from_utf8(report.history_jsonl.clone().unwrap()).unwrap();
    assert!(history.contains("write") && !history.contains("hit") && !history.contains("nod"));
    let property = &finding.property;
    let shrunk = shrink(
        &*case,
        Seed(1),
        &report.script(),
        property,
        100_000,
        &mut |_, _| {},
    );
    let shrunk = shrunk.unwrap();
    let small = shrunk
        .case
        .run(shrunk.seed, &shrunk.script, Some(TraceDetail::Notes));
    insta::assert_snapshot!(explanation(&*shrunk.case, &small), @r"
         time  n1
       0.000s  * p0 invokes Write(102)
       0.001s  * p0 ok Register(Written)
       0.056s  p0 invokes Hit(NodeId(0))
       0.057s  == healed: from here on nothing breaks ============================================================
       0.057s  p0 ok Felt, *1 p0 invokes Read
       0.058s  *1 p0 ok Register(Value(None))
       0.058s  !! linearizability !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!

    linearizability at 0.058s: no order of these operations is legal (marked *1 above; what else is mentioned, *)
      at 0.001s, after 1 operation in whatever order, value is 102,
         last made so by write 102 by p0 (0.000s..0.001s)
      1. read -> absent by p0 (0.057s..0.058s)
    nothing can come first: value is 102, but
      1 needs value absent, as it was only at first
    ");
}

/// A mix without special operations finds nothing: it is they that break it.
#[test]
fn without_special_operations_nothing_is_wrong() {
    for (settings, shares) in [("fragile = true", ""), ("", "hit = '1/4'")] {
        let verdict = mix(settings, shares)
            .run(Seed(1), &Script::DRAWN, None)
            .verdict;
        assert_eq!(verdict, Verdict::Valid);
    }
}
