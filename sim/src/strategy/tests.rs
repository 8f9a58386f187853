use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn all() -> Faults {
    Faults::new(5, 2, Span::from_secs(10))
}

/// A kind, and a fault that was drawn for it.
fn of_its_kind() -> impl Strategy<Value = (FaultKind, Fault)> {
    let with_fault = |kind| (Just(kind), all().fault_of(kind));
    select(&FaultKind::ALL[..]).prop_flat_map(with_fault)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is drawn could stand in a replay file, and survives being written down.
    #[test]
    fn every_fault_is_valid_and_of_its_kind((kind, fault) in of_its_kind()) {
        prop_assert_eq!(fault.validate(), Ok(()));
        prop_assert!(!fault.nodes().is_empty());
        prop_assert!(fault.nodes().iter().all(|node| node.index() < 7));
        let expected = if kind == FaultKind::Swizzle { FaultKind::Clog } else { kind };
        prop_assert_eq!(fault.kind(), expected.name());
        let json = serde_json::to_string(&fault).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
    }

    #[test]
    fn schedules_are_in_order_and_within_their_bounds(schedule in all().at_most(3).lasting_at_most(Span::from_secs(1)).schedule()) {
        prop_assert!(schedule.0.len() <= 3);
        prop_assert!(schedule.0.is_sorted_by_key(|injection| injection.at));
        for injection in &schedule.0 {
            prop_assert!(injection.at < Span::from_secs(10));
            prop_assert!((Span::from_millis(1)..=Span::from_secs(1)).contains(&injection.lasting));
        }
        let printed = format!("{schedule:?}");
        let read: Vec<Injection> = serde_json::from_str(&printed).unwrap();
        prop_assert_eq!(read, schedule.0);
    }

    #[test]
    fn the_smallest_clusters_have_faults_too(
        one in Faults::new(1, 0, Span::from_millis(1)).schedule(),
        with_client in Faults::new(1, 1, Span::from_secs(1)).schedule(),
    ) {
        let at_the_start = |injection: &Injection| injection.at == Span::default();
        prop_assert!(one.0.iter().all(at_the_start));
        prop_assert!(with_client.0.iter().all(|injection| injection.fault.validate().is_ok()));
    }
}

/// The smallest schedule that crashes n3 at all, and cuts something after that.
#[test]
fn proptest_makes_a_schedule_small() {
    let n3 = NodeId::from_index(2);
    let fails = |schedule: &Schedule| {
        let crash = |i: &&Injection| i.fault.kind() == "crash" && i.fault.nodes().contains(&n3);
        let Some(crash) = schedule.0.iter().find(crash) else {
            return false;
        };
        let cut = |i: &Injection| i.fault.kind() == "partition" && i.at > crash.at;
        schedule.0.iter().any(cut)
    };
    let mut runner = TestRunner::deterministic();
    let strategy = all().schedule();
    let mut trees = (0..10_000).map(|_| strategy.new_tree(&mut runner).unwrap());
    let mut tree = trees
        .find(|tree| fails(&tree.current()))
        .expect("one of many does");
    let mut smallest = tree.current();
    let mut simpler = tree.simplify();
    while simpler {
        if fails(&tree.current()) {
            smallest = tree.current();
            simpler = tree.simplify();
        } else {
            simpler = tree.complicate();
        }
    }
    let [crash, cut] = &smallest.0[..] else {
        panic!("two faults are enough: {smallest:?}");
    };
    assert_eq!(crash.fault.nodes(), [n3], "{smallest:?}");
    assert_eq!(
        (crash.at, crash.lasting),
        (Span::default(), Span::from_millis(1))
    );
    assert!(cut.at <= Span::from_secs(1), "{smallest:?}");
}
