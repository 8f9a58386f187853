//! The pure core of Raft, without the kernel: what servers cost that do nothing but Raft. With `--features peer`, the same
//! work is done by the servers of the crate `raft` in the same run. `raft_tables` has the ratios.

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use splitbrain_benches::clusters::{Cluster, Ours};
#[cfg(feature = "peer")]
use splitbrain_benches::clusters::{Every, Merged, RaftRs};
use splitbrain_protocols::raft::Settings;
use std::time::Duration;

/// How many requests are committed between two looks at the clock.
const REQUESTS: usize = 1024;
/// How many entries a follower has missed.
const MISSED: usize = 10_000;
/// How often a leader speaks to idle followers between two looks at the clock.
const ROUNDS: usize = 100;

/// Commits, in batches of that many requests.
fn commits<C: Cluster>(group: &mut BenchmarkGroup<'_, WallTime>, servers: usize, batch: usize) {
    group.throughput(Throughput::Elements(REQUESTS as u64));
    group.bench_function(
        format!("{servers} servers, batch {batch}, {}", C::NAME),
        |b| {
            b.iter_batched(
                || {
                    let mut cluster = C::elected(servers);
                    cluster.prepare(REQUESTS);
                    cluster
                },
                |mut cluster| {
                    (0..REQUESTS / batch).for_each(|_| cluster.commit(batch));
                    cluster
                },
                BatchSize::PerIteration,
            );
        },
    );
}

fn all_commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("raft core/commits");
    for servers in [3, 5, 7] {
        for batch in [1, 64] {
            commits::<Ours>(&mut group, servers, batch);
            #[cfg(feature = "peer")]
            {
                commits::<RaftRs<Every>>(&mut group, servers, batch);
                commits::<RaftRs<Merged>>(&mut group, servers, batch);
            }
        }
    }
    group.finish();
}

/// Steps that change nothing: heartbeats and the answers to them.
fn steps<C: Cluster>(group: &mut BenchmarkGroup<'_, WallTime>, servers: usize) {
    let heartbeats = |mut cluster: C| {
        (0..ROUNDS).for_each(|_| cluster.heartbeat());
        cluster
    };
    let before = C::elected(servers);
    let counts = before.counts();
    let steps = heartbeats(before).counts().since(counts).steps;
    group.throughput(Throughput::Elements(steps));
    group.bench_function(format!("{servers} servers, {}", C::NAME), |b| {
        b.iter_batched(|| C::elected(servers), heartbeats, BatchSize::PerIteration);
    });
}

fn all_steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("raft core/steps");
    for servers in [3, 5, 7] {
        steps::<Ours>(&mut group, servers);
        #[cfg(feature = "peer")]
        steps::<RaftRs<Every>>(&mut group, servers);
    }
    group.finish();
}

/// One follower of two was cut off, and is let in again. The storage in memory of `raft-rs` copies the rest of the log for
/// every message, which is most of what it takes here.
fn catch_up<C: Cluster>(group: &mut BenchmarkGroup<'_, WallTime>, elected: impl Fn(usize) -> C) {
    group.throughput(Throughput::Elements(MISSED as u64));
    group.bench_function(format!("{MISSED} entries, {}", C::NAME), |b| {
        b.iter_batched(
            || {
                let mut cluster = elected(3);
                cluster.cut_off();
                cluster.prepare(MISSED);
                (0..MISSED / 50).for_each(|_| cluster.commit(50));
                cluster
            },
            |mut cluster| {
                cluster.catch_up();
                cluster
            },
            BatchSize::PerIteration,
        );
    });
}

fn all_catch_ups(c: &mut Criterion) {
    let mut group = c.benchmark_group("raft core/catch-up/log");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    catch_up(&mut group, Ours::elected);
    #[cfg(feature = "peer")]
    {
        catch_up(&mut group, RaftRs::<Every>::elected);
        catch_up(&mut group, RaftRs::<Merged>::elected);
    }
    group.finish();
    // The same by a snapshot: what was missed is no longer in anybody's log.
    let mut group = c.benchmark_group("raft core/catch-up/snapshot");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    let settings = Settings {
        snapshot_entries: 1000,
        ..Settings::default()
    };
    catch_up(&mut group, |servers| Ours::elected_with(servers, settings));
    group.finish();
}

criterion_group!(benches, all_commits, all_steps, all_catch_ups);
criterion_main!(benches);
