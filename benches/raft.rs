//! Raft in the kernel: commits, and whole seeds.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain::check::ProcessId;
use splitbrain::run::{Script, Verdict};
use splitbrain::world::{Observer, Stop};
use splitbrain::{NodeId, Seed, Time, World, WorldConfig};
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{self, Op, Peer, Settings};
use splitbrain_scenarios::load;

/// Writes one after the other through one client.
const WRITES: u64 = 200;

/// A cluster with a leader, and a client that has its session.
fn elected(servers: usize) -> World<Peer> {
    let mut world = World::new(
        Seed(1),
        &WorldConfig::default(),
        raft::cluster(servers, 1, Settings::default()),
    );
    world.run_until(Time::from_secs(2), &mut ());
    write(&mut world, servers, 0, &mut ());
    world
}

/// One write, from its invocation to its answer.
fn write(world: &mut World<Peer>, servers: usize, nth: u64, observer: &mut impl Observer<Peer>) {
    let value = nth.to_string();
    world.invoke(
        ProcessId(0),
        NodeId::from_index(servers),
        Op::Kv(kv::Op::put("k", value)),
    );
    let stop = world.run_until(Time::MAX, observer);
    assert_eq!(stop, Stop::Ended);
    world.take_ended().for_each(drop);
}

fn commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("raft commits");
    group.throughput(Throughput::Elements(WRITES));
    for servers in [3, 5, 7] {
        let ready = elected(servers);
        let run = |mut world: World<Peer>, observer: &mut dyn FnMut(&mut World<Peer>, u64)| {
            (1..=WRITES).for_each(|nth| observer(&mut world, nth));
            world
        };
        group.bench_function(format!("{servers} servers"), |b| {
            b.iter_batched(
                || ready.clone(),
                |world| run(world, &mut |world, nth| write(world, servers, nth, &mut ())),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("{servers} servers, invariants on"), |b| {
            b.iter_batched(
                || (ready.clone(), raft::invariants::all()),
                |(world, mut invariants)| {
                    run(world, &mut |world, nth| {
                        write(world, servers, nth, &mut invariants);
                    })
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// 5 servers, 4 clients, 30 virtual seconds, faults, invariants and the linearizability check.
fn whole_seeds(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole seeds");
    group.throughput(Throughput::Elements(1));
    for name in ["raft/mixed", "raft/healthy", "bully/recovery"] {
        let case = load(name, &[]).unwrap_or_else(|error| panic!("{error}"));
        let mut seed = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                seed += 1;
                let report = case.run(Seed(seed), &Script::DRAWN, None);
                assert_eq!(report.verdict, Verdict::Valid);
                report
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commits, whole_seeds);
criterion_main!(benches);
