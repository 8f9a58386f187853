//! Service discovery by itself: leases that are kept alive, look-ups in a registry that grows, DNS answers, and picks.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use splitbrain::{Purpose, Rng, Seed, Time};
use splitbrain_protocols::discovery::balance::{Balancer, Policy, Request};
use splitbrain_protocols::discovery::cache::{Cache, CacheSettings, Filter, Wanted};
use splitbrain_protocols::discovery::dns::{
    Found, Query, RecordKind, Transport, Zone, ZoneSettings, service_name,
};
use splitbrain_protocols::discovery::{Instance, Label};
use splitbrain_protocols::kv::{KEPT_CHANGES, LeaseId, Op, Store};
use splitbrain_protocols::registry::entries;
use splitbrain_protocols::service::{Lessor, Terms};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// So many instances has each service.
const EACH: usize = 10;

fn rng() -> Rng {
    Seed(1).stream(Purpose::User(0))
}

fn instance(nth: usize) -> Instance {
    let service = format!("service-{}", nth / EACH);
    let address = Ipv4Addr::from_bits(0x0A00_0000 + nth as u32);
    Instance::new(&service, &format!("{service}-{nth}"), address.into(), 80).expect("short names")
}

fn registry(instances: usize) -> Store {
    let mut store = Store::keeping(KEPT_CHANGES);
    for nth in 0..instances {
        let instance = instance(nth);
        store.apply(&Op::put(instance.key(), instance.encode()));
    }
    store
}

/// In an order in which neighbours do not follow each other, for ever.
fn services(instances: usize) -> impl Iterator<Item = Label> {
    let count = instances / EACH;
    (0..).map(move |nth: usize| {
        Label::new(&format!("service-{}", nth * 7919 % count)).expect("a short name")
    })
}

/// A leader keeps one lease of many alive, and looks for what has run out.
fn keep_alive(c: &mut Criterion) {
    let mut group = c.benchmark_group("keep one lease alive");
    let terms = Terms {
        clock_drift_ppm_max: 10_000,
        checkpoint_every: Duration::from_secs(2),
    };
    let ttl = Duration::from_secs(10);
    for leases in [100, 10_000, 1_000_000_u64] {
        let ids: Vec<LeaseId> = (1..=leases).filter_map(LeaseId::new).collect();
        let mut lessor = Lessor::default();
        for id in &ids {
            lessor.take_over(*id, ttl, ttl, Time::ZERO, terms);
        }
        let mut turn = ids.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(leases), |b| {
            b.iter(|| {
                let id = turn.next()?;
                let kept = lessor.keep_alive(*id, Time::ZERO, terms);
                let due = lessor.due(Time::ZERO, ttl, terms);
                Some((kept, due))
            });
        });
    }
    group.finish();
}

fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("look up a service of 10 instances");
    let zone = Zone::new(ZoneSettings::default()).expect("the default is a zone");
    for instances in [1_000, 10_000, 100_000] {
        let store = registry(instances);
        let mut turn = services(instances);
        group.bench_function(BenchmarkId::new("in the registry", instances), |b| {
            b.iter(|| turn.next().map(|service| entries(&store, &service)));
        });
        let mut cache = Cache::new(CacheSettings::default());
        for service in services(instances).take(instances / EACH) {
            let found = entries(&store, &service);
            cache.looked_up(&service, store.revision().0, found, Time::ZERO);
        }
        let passing = Filter {
            tag: None,
            health: Wanted::Passing,
        };
        let mut turn = services(instances);
        group.bench_function(BenchmarkId::new("in the cache", instances), |b| {
            b.iter(|| {
                let service = turn.next()?;
                Some(cache.get(service.as_str(), &passing, Time::ZERO))
            });
        });
        let mut turn = services(instances);
        let mut rng = rng();
        group.bench_function(BenchmarkId::new("by DNS", instances), |b| {
            b.iter(|| {
                let name = service_name(&turn.next()?, None, &zone.settings().domain);
                let query = Query::new(7, &name, RecordKind::Srv, Some(4_096)).ok()?;
                let find = |service: &Label, _: Option<&Label>| {
                    let found = entries(&store, service);
                    Found::Instances(found.into_iter().map(|entry| entry.instance).collect())
                };
                let revision = store.revision().0;
                zone.answer(query.as_bytes(), Transport::Udp, revision, find, &mut rng)
            });
        });
    }
    group.finish();
}

/// A request is given out, and is over at once.
fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    let policies = [
        ("round robin", Policy::RoundRobin),
        ("random", Policy::Random),
        ("least outstanding", Policy::LeastOutstanding),
        ("two choices", Policy::PowerOfTwoChoices),
        (
            "consistent hashing",
            Policy::ConsistentHashing {
                load_percent_max: 125,
            },
        ),
    ];
    let (none, keys) = (BTreeSet::new(), ["one", "another", "a third", "the last"]);
    for instances in [3, 100] {
        let all: Vec<Instance> = (0..instances).map(instance).collect();
        for (name, policy) in policies {
            let mut balancer = Balancer::new(policy, 1);
            balancer.set_instances(&all);
            let (mut rng, mut turn) = (rng(), keys.iter().cycle());
            group.bench_function(BenchmarkId::new(name, instances), |b| {
                b.iter(|| {
                    let request = Request {
                        key: turn.next()?,
                        excluded: &none,
                    };
                    let picked = balancer.pick(&request, &mut rng)?;
                    balancer.finished(&picked);
                    Some(picked)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, keep_alive, look_up, pick);
criterion_main!(benches);
