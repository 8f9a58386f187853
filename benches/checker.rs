//! The linearizability checker on histories of growing length and concurrency.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain::check::generate::{Shape, key_value};
use splitbrain::check::models::key_value::KeyValue;
use splitbrain::check::{Budget, Verdict, check};

fn lengths(c: &mut Criterion) {
    let mut group = c.benchmark_group("linearizability by length");
    for operations in [100, 1_000, 10_000, 100_000] {
        let shape = Shape {
            operations,
            processes: 5,
            keys: 5,
            values: 1_000,
            info_per_mille: 10,
        };
        let history = key_value(&shape, 1);
        group.throughput(Throughput::Elements(operations as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(operations),
            &history,
            |b, history| {
                b.iter(|| {
                    let verdict = check(&KeyValue, history, Budget::default());
                    assert!(matches!(verdict, Ok(Verdict::Valid)));
                });
            },
        );
    }
    group.finish();
}

fn concurrency(c: &mut Criterion) {
    let mut group = c.benchmark_group("linearizability by processes, 1000 operations, 1 key");
    for processes in [2, 5, 10, 20] {
        let shape = Shape {
            operations: 1_000,
            processes,
            keys: 1,
            values: 1_000,
            info_per_mille: 0,
        };
        let history = key_value(&shape, 1);
        group.throughput(Throughput::Elements(1_000));
        group.bench_with_input(
            BenchmarkId::from_parameter(processes),
            &history,
            |b, history| {
                b.iter(|| {
                    let verdict = check(&KeyValue, history, Budget::default());
                    assert!(matches!(verdict, Ok(Verdict::Valid)));
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, lengths, concurrency);
criterion_main!(benches);
