//! The store by itself: what an operation costs, and whether that grows with the store; and its watchers.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use splitbrain_protocols::kv::watch::{Hub, Watch};
use splitbrain_protocols::kv::{
    Compare, KEPT_CHANGES, Key, KeyRange, LeaseId, Op, Operand, Range, Relation, Revision, Store,
    Transaction, Value,
};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroU64;

fn key(number: usize) -> Key {
    format!("service/{number:08}").into()
}

/// In an order in which neighbours do not follow each other.
fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|nth| key(nth * 7919 % count)).collect()
}

fn filled(keys: &[Key], keeps: u64) -> Store {
    let mut store = Store::keeping(keeps);
    for key in keys {
        store.apply(&Op::put(key.clone(), "value"));
    }
    store
}

fn puts(count: usize) -> Vec<Op> {
    let value = Value::from("a value of 32 bytes, or about so");
    let put = |key| Op::put(key, value.clone());
    keys(count).into_iter().map(put).collect()
}

/// One after the other, for ever.
fn apply_in_turn(b: &mut criterion::Bencher<'_>, store: &mut Store, ops: &[Op]) {
    let mut turn = ops.iter().cycle();
    b.iter(|| turn.next().map(|op| store.apply(op)));
}

fn put(c: &mut Criterion) {
    let mut group = c.benchmark_group("put an existing key");
    for count in [64, 1_000, 10_000, 100_000, 1_000_000] {
        let ops = puts(count);
        group.bench_function(BenchmarkId::new("a map alone", count), |b| {
            let mut map: BTreeMap<Key, Value> = BTreeMap::new();
            let mut insert = |op: &Op| match op {
                Op::Put { key, value, .. } => map.insert(key.clone(), value.clone()),
                _ => None,
            };
            for op in &ops {
                insert(op);
            }
            let mut turn = ops.iter().cycle();
            b.iter(|| turn.next().map(&mut insert));
        });
        for (name, keeps) in [("no past", 0), ("10,000 changes", KEPT_CHANGES)] {
            group.bench_function(BenchmarkId::new(name, count), |b| {
                let mut store = Store::keeping(keeps);
                for op in &ops {
                    store.apply(op);
                }
                apply_in_turn(b, &mut store, &ops);
            });
        }
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let keys = keys(count);
        let store = filled(&keys, KEPT_CHANGES);
        let gets: Vec<Op> = keys.into_iter().map(|key| Op::Get { key }).collect();
        let mut turn = gets.iter().cycle();
        group.bench_function(BenchmarkId::new("get", count), |b| {
            b.iter(|| turn.next().map(|op| store.read(op)));
        });
        let range = |revision| {
            Op::Range(
                Range {
                    limit: NonZeroU64::new(100),
                    revision,
                    ..Range::of(KeyRange::From(key(count / 2)))
                }
                .into(),
            )
        };
        let past = Revision(store.revision().0.saturating_sub(500));
        for (name, op) in [
            ("range of 100", range(None)),
            ("range of 100, 500 changes ago", range(Some(past))),
        ] {
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter(|| store.read(black_box(&op)));
            });
        }
    }
    group.finish();
}

/// Compares one key, and writes two.
fn transaction(c: &mut Criterion) {
    let mut group = c.benchmark_group("transaction");
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let keys = keys(count);
        let mut store = filled(&keys, KEPT_CHANGES);
        let pairs = keys.iter().zip(keys.iter().skip(1));
        let transaction = |(one, other): (&Key, &Key)| {
            let as_read = Operand::Value("value".into());
            let transaction = Transaction {
                compare: vec![Compare::key(one.clone(), Relation::Equal, as_read)],
                then: vec![
                    Op::put(one.clone(), "value"),
                    Op::put(other.clone(), "value"),
                ],
                otherwise: vec![],
            };
            Op::Transaction(transaction.into())
        };
        let ops: Vec<Op> = pairs.map(transaction).collect();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            apply_in_turn(b, &mut store, &ops);
        });
    }
    group.finish();
}

/// 10,000 leases with a key each, of which one is renewed.
fn leases(c: &mut Criterion) {
    let mut store = Store::keeping(KEPT_CHANGES);
    let mut renewals = Vec::new();
    for nth in 0..10_000 {
        let lease = LeaseId::new(nth as u64 + 1);
        store.apply(&Op::LeaseGrant {
            lease,
            ttl_ms: 10_000,
        });
        store.apply(&Op::Put {
            key: key(nth),
            value: "value".into(),
            lease,
            previous: false,
        });
        renewals.extend(lease.map(|lease| Op::LeaseCheckpoint {
            lease,
            remaining_ms: 10_000,
        }));
    }
    c.bench_function("renew one of 10,000 leases", |b| {
        apply_in_turn(b, &mut store, &renewals);
    });
}

/// What the watcher of this number watches.
type Watched = fn(usize) -> KeyRange;

/// A put, and everybody who is to be told of it.
fn watch(c: &mut Criterion) {
    let mut group = c.benchmark_group("watch fan-out");
    for watchers in [1, 100, 10_000_usize] {
        let put = Op::put(key(0), "value");
        let ranges: [(&str, Watched); 4] = [
            ("one key", |_| KeyRange::Key(key(0))),
            ("a prefix", |_| KeyRange::Prefix("service/".into())),
            ("an interval", |nth| {
                KeyRange::Between("a".into(), key(nth + 1))
            }),
            ("other keys", |nth| KeyRange::Key(key(nth + 1))),
        ];
        group.throughput(Throughput::Elements(watchers as u64));
        for (name, range) in ranges {
            group.bench_function(BenchmarkId::new(name, watchers), |b| {
                let mut store = Store::keeping(KEPT_CHANGES);
                let mut hub = Hub::new();
                for nth in 0..watchers {
                    hub.watch(&store, Watch::of(range(nth)));
                }
                b.iter(|| {
                    store.apply(&put);
                    hub.poll(&store, usize::MAX)
                });
            });
        }
    }
    group.finish();
}

/// What a snapshot costs.
fn clone(c: &mut Criterion) {
    let mut group = c.benchmark_group("clone");
    for (name, keeps) in [("no past", 0), ("10,000 changes", KEPT_CHANGES)] {
        let mut store = filled(&keys(1_000), keeps);
        for op in puts(1_000).iter().cycle().take(20_000) {
            store.apply(op);
        }
        group.bench_function(BenchmarkId::new(name, 1_000), |b| {
            b.iter_batched(|| (), |()| store.clone(), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, put, read, transaction, leases, watch, clone);
criterion_main!(benches);
