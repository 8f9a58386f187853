use super::*;
use crate::network::{NetworkSettings, listen};
use splitbrain_core::SyncError;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Adds up, and writes each sum down before it says so.
#[derive(Clone, Debug)]
struct Adder {
    sum: u64,
    ticks: u64,
    damage: usize,
    failures: Vec<(SyncId, SyncError)>,
}

#[derive(Clone, Debug, Hash)]
enum Op {
    Add(u64),
    /// Answers before it is durable that it will be, or so it seems.
    Promise(u64),
    Compact,
    Halt,
}

impl Node for Adder {
    type Message = u64;
    type Timer = ();
    type Record = u64;
    type Op = Op;
    type Ret = u64;
    type Config = Duration;
    const ROLES: &'static [&'static str] = &["even", "odd"];

    fn format(_: &Duration) -> Vec<u64> {
        vec![0]
    }

    fn start(tick: &Duration, journal: Journal<u64>, cx: &mut Context<'_, Self>) -> Self {
        cx.set_timer((), *tick);
        Adder {
            damage: journal.damage().count(),
            sum: journal.into_iter().flatten().sum(),
            ticks: 0,
            failures: Vec::new(),
        }
    }

    fn on_message(&mut self, from: NodeId, number: u64, cx: &mut Context<'_, Self>) {
        if number > 0 {
            self.sum += number;
            cx.send(from, 0);
        }
    }

    fn on_timer(&mut self, (): (), cx: &mut Context<'_, Self>) {
        self.ticks += 1;
        cx.set_timer((), Duration::from_millis(1));
    }

    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Self>) {
        match op {
            Op::Add(number) => {
                self.sum += number;
                cx.append(number);
                cx.sync();
                cx.complete(id, Outcome::Ok(self.sum));
            }
            Op::Promise(number) => {
                cx.append(number);
                cx.complete(id, Outcome::Ok(number));
            }
            Op::Compact => {
                cx.compact(vec![self.sum]);
                cx.sync();
                cx.complete(id, Outcome::Ok(self.sum));
            }
            Op::Halt => {
                cx.halt("it was told to");
                cx.complete(id, Outcome::Ok(0));
            }
        }
    }

    fn on_sync_failed(&mut self, sync: SyncId, error: SyncError, _: &mut Context<'_, Self>) {
        self.failures.push((sync, error));
    }

    fn role(&self) -> &'static str {
        Self::ROLES[(self.sum % 2) as usize]
    }
}

struct Started {
    handle: Handle<Adder>,
    life: JoinHandle<Ended>,
    registry: Registry,
}

async fn start(folder: Option<&Path>) -> Started {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let id = NodeId::from_index(0);
    let mut registry = Registry::default();
    let (network, mut inboxes) = Network::start(
        listener,
        &[id],
        BTreeMap::new(),
        NetworkSettings::default(),
        &mut registry,
    );
    let tick = Duration::from_millis(1);
    let journal = folder.map(|folder| {
        if !folder.join("journal").exists() {
            FileJournal::create(folder, &Adder::format(&tick)).unwrap();
        }
        FileJournal::open(folder).unwrap()
    });
    let surroundings = Surroundings {
        id,
        seed: Seed(1),
        network,
        inbox: inboxes.remove(0),
        journal,
    };
    let (handle, life) = host(tick, surroundings, &mut registry);
    let life = tokio::spawn(life);
    Started {
        handle,
        life,
        registry,
    }
}

impl Started {
    async fn stop(self) -> Ended {
        self.handle.stop().await;
        self.end().await
    }

    async fn end(self) -> Ended {
        let soon = Duration::from_secs(10);
        timeout(soon, self.life).await.expect("in time").unwrap()
    }

    async fn sum(&self) -> u64 {
        self.handle.look(|node| node.sum).await.unwrap()
    }
}

#[tokio::test]
async fn what_was_answered_is_found_by_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(Some(folder.path())).await;
    for (number, sum) in [(3, 3), (4, 7)] {
        assert_eq!(first.handle.invoke(Op::Add(number)).await, Outcome::Ok(sum));
    }
    assert_eq!(first.handle.invoke(Op::Compact).await, Outcome::Ok(7));
    assert_eq!(first.handle.invoke(Op::Add(1)).await, Outcome::Ok(8));
    // A kill, as far as the node can tell: nothing is made durable any more.
    first.life.abort();
    assert!(first.life.await.unwrap_err().is_cancelled());
    let second = start(Some(folder.path())).await;
    assert_eq!(second.sum().await, 8);
    assert_eq!(second.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn many_syncs_share_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let started = start(Some(folder.path())).await;
    let all = (0..200).map(|_| {
        let handle = started.handle.clone();
        tokio::spawn(async move { handle.invoke(Op::Add(1)).await })
    });
    let all: Vec<_> = all.collect();
    let mut sums = Vec::new();
    for one in all {
        let Outcome::Ok(sum) = one.await.unwrap() else {
            panic!("not answered");
        };
        sums.push(sum);
    }
    sums.sort_unstable();
    assert!(sums.iter().copied().eq(1..=200));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &started.registry).unwrap();
    let of = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(of("syncs_total{node=\"n1\"}"), 200);
    assert!(of("sync_batches_total{node=\"n1\"}") <= 100, "{text}");
    assert!(text.contains("role{node=\"n1\",role=\"even\"} 1"), "{text}");
    assert_eq!(started.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn stopping_makes_durable_what_no_sync_was_called_for() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(Some(folder.path())).await;
    assert_eq!(first.handle.invoke(Op::Promise(5)).await, Outcome::Ok(5));
    assert_eq!(first.stop().await, Ended::Stopped);
    assert_eq!(start(Some(folder.path())).await.sum().await, 5);
}

#[tokio::test]
async fn timers_run_and_no_more_operations_are_taken_at_the_end() {
    let started = start(None).await;
    let ticked = async {
        while started.handle.look(|node| node.ticks).await.unwrap() < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), ticked).await.unwrap();
    let handle = started.handle.clone();
    assert_eq!(handle.invoke(Op::Halt).await, Outcome::Info);
    let halted = Ended::Halted("it was told to".into());
    assert_eq!(started.end().await, halted);
    let after = handle.invoke(Op::Add(1)).await;
    assert_eq!(after, Outcome::Fail("the node has ended"));
    assert_eq!(handle.look(|node| node.sum).await, None);
}

#[tokio::test]
async fn a_node_that_writes_without_a_journal_does_not_go_on() {
    let started = start(None).await;
    assert_eq!(started.handle.invoke(Op::Add(1)).await, Outcome::Info);
    let Ended::Halted(why) = started.end().await else {
        panic!("it went on");
    };
    assert!(why.contains("no journal"), "{why}");
}

#[tokio::test]
async fn a_failed_sync_is_told_and_nothing_leaves_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let started = start(Some(folder.path())).await;
    assert_eq!(started.handle.invoke(Op::Add(1)).await, Outcome::Ok(1));
    // A compaction needs a new file in the folder, which is there no more.
    let elsewhere = folder.path().with_extension("moved");
    std::fs::rename(folder.path(), &elsewhere).unwrap();
    let unanswered = started.handle.invoke(Op::Compact);
    let told = async {
        loop {
            let failures = started.handle.look(|node| node.failures.clone()).await;
            match failures.as_deref() {
                Some([failure]) => return *failure,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    tokio::select! {
        biased;
        outcome = unanswered => panic!("{outcome:?} left behind a sync that failed"),
        failure = told => assert_eq!(failure, (SyncId(1), SyncError::Device)),
    }
    std::fs::rename(&elsewhere, folder.path()).unwrap();
    // The journal is not used any more until it is opened again.
    let after = started.handle.invoke(Op::Add(1));
    let outcome = timeout(Duration::from_millis(100), after).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(started.stop().await, Ended::Stopped);
    assert_eq!(start(Some(folder.path())).await.sum().await, 1);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_to_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(Some(folder.path())).await;
    let rotten = 0x1234_5678_9abc_u64;
    for number in [1, rotten, 300] {
        first.handle.invoke(Op::Add(number)).await;
    }
    assert_eq!(first.stop().await, Ended::Stopped);
    let path = folder.path().join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let record = postcard::to_extend(&rotten, Vec::new()).unwrap();
    let mut places = bytes.windows(record.len());
    let at = places.position(|place| place == record).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let second = start(Some(folder.path())).await;
    let found = second.handle.look(|node| (node.sum, node.damage)).await;
    assert_eq!(found, Some((301, 1)));
}
