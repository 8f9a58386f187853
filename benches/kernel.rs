//! The kernel alone: messages per second, and what a world costs before its first event.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain::Time;
use splitbrain_benches::echo;
use std::hint::black_box;

/// Five nodes, 20 messages of 64 bytes outstanding each, 1 to 10 ms of latency; link table, loss and duplication draws
/// and the digest on.
fn messages(c: &mut Criterion) {
    const SECONDS: u64 = 60;
    let mut counted = echo::world(1);
    counted.run_until(Time::from_secs(SECONDS), &mut ());
    let mut group = c.benchmark_group("kernel");
    group.throughput(Throughput::Elements(counted.stats().messages_delivered));
    group.bench_function("echo, 5 nodes, 20 outstanding", |b| {
        b.iter_batched(
            || echo::world(1),
            |mut world| {
                world.run_until(Time::from_secs(SECONDS), &mut ());
                world
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn start_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("start-up");
    group.bench_function("create and drop a world of 5 nodes", |b| {
        b.iter(|| black_box(echo::world(1)));
    });
    group.bench_function("create it, start its nodes, fork it", |b| {
        b.iter(|| {
            let mut world = echo::world(1);
            world.run_until(Time::ZERO, &mut ());
            black_box(world.clone())
        });
    });
    group.finish();
}

criterion_group!(benches, messages, start_up);
criterion_main!(benches);
