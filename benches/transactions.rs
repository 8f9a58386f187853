//! Transactional histories: 100,000 transactions, and how the time grows.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain::check::Budget;
use splitbrain::check::transactions::generate::{Fault, Shape, transactions};
use splitbrain::check::transactions::{Level, RegisterSettings, check_lists, check_registers};

const SHAPE: Shape = Shape {
    transactions: 100_000,
    processes: 20,
    keys: 10,
    writes_per_key: 32,
    steps_max: 4,
    info_per_mille: 5,
    fail_per_mille: 20,
    lists: true,
    fault: Fault::None,
};

fn lists(c: &mut Criterion) {
    let mut group = c.benchmark_group("list-append");
    group.sample_size(20);
    for transactions_count in [10_000, 100_000] {
        let shape = Shape {
            transactions: transactions_count,
            ..SHAPE
        };
        let history = transactions(&shape, 1);
        group.throughput(Throughput::Elements(transactions_count as u64));
        group.bench_with_input(
            BenchmarkId::new("valid", transactions_count),
            &history,
            |b, history| {
                b.iter(|| {
                    let report = check_lists(history, Budget::default()).expect("lists");
                    assert!(report.ruled_out.is_empty());
                });
            },
        );
    }
    for (name, fault) in [
        ("lost updates", Fault::LostUpdates),
        ("write skew", Fault::WriteSkew),
        ("torn reads", Fault::TornReads),
        ("stale reads", Fault::StaleReads(1000)),
        ("aborted", Fault::KeepsAborted),
    ] {
        let history = transactions(&Shape { fault, ..SHAPE }, 1);
        group.throughput(Throughput::Elements(100_000));
        group.bench_with_input(BenchmarkId::new(name, 100_000), &history, |b, history| {
            b.iter(|| {
                let report = check_lists(history, Budget::default()).expect("lists");
                assert!(report.ruled_out.contains(&Level::Serializable));
            });
        });
    }
    group.finish();
}

fn registers(c: &mut Criterion) {
    let mut group = c.benchmark_group("registers, linearizable keys");
    group.sample_size(20);
    let settings = RegisterSettings {
        linearizable_keys: true,
        ..RegisterSettings::default()
    };
    for transactions_count in [10_000, 100_000] {
        let shape = Shape {
            transactions: transactions_count,
            lists: false,
            ..SHAPE
        };
        let history = transactions(&shape, 1);
        group.throughput(Throughput::Elements(transactions_count as u64));
        group.bench_with_input(
            BenchmarkId::new("valid", transactions_count),
            &history,
            |b, history| {
                b.iter(|| {
                    let report = check_registers(history, settings, Budget::default());
                    assert!(report.expect("registers").ruled_out.is_empty());
                });
            },
        );
    }
    let shape = Shape {
        lists: false,
        fault: Fault::LostUpdates,
        ..SHAPE
    };
    let history = transactions(&shape, 1);
    group.throughput(Throughput::Elements(100_000));
    group.bench_with_input(
        BenchmarkId::new("lost updates", 100_000),
        &history,
        |b, history| {
            b.iter(|| {
                let report = check_registers(history, settings, Budget::default());
                let report = report.expect("registers");
                assert!(report.ruled_out.contains(&Level::SnapshotIsolation));
            });
        },
    );
    group.finish();
}

criterion_group!(benches, lists, registers);
criterion_main!(benches);
