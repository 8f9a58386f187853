//! The linearizability checker on histories of growing length and concurrency.
//!
//! What it is to reach, on one core: 35 histories like those that Jepsen recorded of etcd (5 clients, 170 operations on one register,
//! mostly bad) in 2.5 ms together; a key-value store with appends and 50 clients in 10 ms; a register with five values and 20
//! clients, 1,000 operations, in 1 ms; 10 clients, 100,000 operations, one of a hundred unknown, in 50 ms; a register, or a queue,
//! with distinct values and 1,000,000 operations in 0.3 s, in near-linear time.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain::check::generate::{Load, Shape, executed, key_value};
use splitbrain::check::models::cas_register::{self, CasRegister};
use splitbrain::check::models::key_value::{self as kv, KeyValue};
use splitbrain::check::models::queue::{self, Queue};
use splitbrain::check::{Budget, History, Model, Verdict, check, decide};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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

type Register = History<cas_register::Op, cas_register::Ret>;

/// A register with so many values: reads, writes and compare-and-sets, a third each.
fn register(load: &Load, values: u64, seed: u64) -> Register {
    use cas_register::{Op, Ret};
    let mut now = None;
    executed(
        load,
        seed,
        |below| match below(3) {
            0 => Op::Read,
            1 => Op::Write(below(values).cast_signed()),
            _ => Op::CompareAndSet {
                expected: Some(below(values).cast_signed()),
                value: below(values).cast_signed(),
            },
        },
        move |op| match *op {
            Op::Read => Ret::Value(now),
            Op::Write(value) => {
                now = Some(value);
                Ret::Written
            }
            Op::CompareAndSet { expected, value } => {
                let swapped = now == expected;
                if swapped {
                    now = Some(value);
                }
                Ret::Swapped(swapped)
            }
        },
    )
}

/// A register, every value of which is written once.
fn distinct_register(operations: usize, processes: usize) -> Register {
    use cas_register::{Op, Ret};
    let load = Load {
        operations,
        processes,
        info_per_mille: 0,
    };
    let (mut now, mut next) = (None, 0);
    executed(
        &load,
        1,
        |below| {
            if below(2) == 0 {
                return Op::Read;
            }
            next += 1;
            Op::Write(next)
        },
        move |op| match *op {
            Op::Write(value) => {
                now = Some(value);
                Ret::Written
            }
            _ => Ret::Value(now),
        },
    )
}

/// A queue, every element of which is enqueued once.
fn distinct_queue(operations: usize, processes: usize) -> History<queue::Op, queue::Ret> {
    use queue::{Op, Ret};
    let load = Load {
        operations,
        processes,
        info_per_mille: 0,
    };
    let (mut now, mut next) = (VecDeque::new(), 0);
    executed(
        &load,
        1,
        |below| {
            if below(2) == 0 {
                return Op::Dequeue;
            }
            next += 1;
            Op::Enqueue(next)
        },
        move |op| match *op {
            Op::Enqueue(value) => {
                now.push_back(value);
                Ret::Done
            }
            Op::Dequeue => Ret::Taken(now.pop_front()),
        },
    )
}

/// A store of ten strings that are read, written and appended to.
fn appends(operations: usize, processes: usize) -> History<kv::Op, kv::Ret> {
    use kv::{Op, Ret};
    let load = Load {
        operations,
        processes,
        info_per_mille: 0,
    };
    let (mut now, mut next) = (BTreeMap::<Arc<str>, Arc<str>>::new(), 0);
    executed(
        &load,
        1,
        |below| {
            next += 1;
            let key = format!("k{}", below(10)).into();
            let value = format!("x {next} y").into();
            match below(4) {
                0 | 1 => Op::Get { key },
                2 => Op::Put { key, value },
                _ => Op::Append { key, value },
            }
        },
        move |op| match op {
            Op::Put { key, value } => {
                now.insert(key.clone(), value.clone());
                Ret::Written
            }
            Op::Append { key, value } => {
                let before = now.get(key).map_or("", |before| before);
                let after = [before, value].concat();
                now.insert(key.clone(), after.into());
                Ret::Written
            }
            op => Ret::Value(now.get(op.key()).cloned()),
        },
    )
}

/// The same history, but one read in the second half saw a value of the range that it did not see.
fn with_a_lie(history: &Register, values: i64) -> Register {
    let mut lied = false;
    let mut bad = History::new();
    for (index, event) in history.events().iter().enumerate() {
        let mut event = event.clone();
        if let splitbrain::check::What::Ok(cas_register::Ret::Value(Some(value))) = &mut event.what
            && index > history.len() / 2
            && !lied
        {
            *value = (*value + 1) % values;
            lied = true;
        }
        bad.push(event);
    }
    bad
}

fn must_be_valid<M: Model>(model: &M, history: &History<M::Op, M::Ret>) {
    let verdict = decide(model, history, Budget::default());
    assert!(matches!(verdict, Ok(Verdict::Valid)), "{verdict:?}");
}

fn goals(c: &mut Criterion) {
    let mut group = c.benchmark_group("linearizability, goals");
    group.sample_size(10);
    let load = |operations, processes, info_per_mille| Load {
        operations,
        processes,
        info_per_mille,
    };
    let like_etcd: Vec<Register> = (0..35)
        .map(|seed| {
            let history = register(&load(170, 5, 30), 5, seed);
            if seed % 5 == 0 {
                history
            } else {
                with_a_lie(&history, 5)
            }
        })
        .collect();
    group.bench_function("35 like those of etcd, verdicts", |b| {
        b.iter(|| {
            let verdict = |history| decide(&CasRegister, history, Budget::default());
            like_etcd
                .iter()
                .map(verdict)
                .filter(|v| *v == Ok(Verdict::Valid))
                .count()
        });
    });
    group.bench_function("35 like those of etcd, explained", |b| {
        b.iter(|| {
            let verdict = |history| check(&CasRegister, history, Budget::default());
            like_etcd
                .iter()
                .map(verdict)
                .filter(|v| *v == Ok(Verdict::Valid))
                .count()
        });
    });
    let history = appends(5_000, 50);
    group.bench_function("key-value with appends, 50 clients", |b| {
        b.iter(|| must_be_valid(&KeyValue, &history));
    });
    let history = register(&load(1_000, 20, 0), 5, 1);
    group.bench_function("5 values, 20 clients, 1000 operations", |b| {
        b.iter(|| must_be_valid(&CasRegister, &history));
    });
    let history = register(&load(100_000, 10, 10), 5, 1);
    group.bench_function(
        "5 values, 10 clients, 100000 operations, 1 % unknown",
        |b| {
            b.iter(|| must_be_valid(&CasRegister, &history));
        },
    );
    group.finish();
}

fn monitors(c: &mut Criterion) {
    let mut group = c.benchmark_group("monitors, by length");
    group.sample_size(10);
    for operations in [10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(operations as u64));
        for processes in [10, 1_000] {
            let history = distinct_register(operations, processes);
            let name = format!("register, {processes} clients");
            group.bench_with_input(
                BenchmarkId::new(name, operations),
                &history,
                |b, history| {
                    b.iter(|| must_be_valid(&CasRegister, history));
                },
            );
        }
        let history = distinct_queue(operations, 10);
        group.bench_with_input(
            BenchmarkId::new("queue, 10 clients", operations),
            &history,
            |b, history| b.iter(|| must_be_valid(&Queue, history)),
        );
    }
    group.finish();
}

criterion_group!(benches, lengths, concurrency, goals, monitors);
criterion_main!(benches);
