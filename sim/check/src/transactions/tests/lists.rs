//! Lists.

use super::*;

#[test]
fn a_serial_history_is_of_every_level() {
    let report = lists(
        "0 0..1: a x 1; r y []
         1 2..3: r x [1]; a x 2; r x [1 2]
         0 4..5: a y 1; a y 2
         1 6..7: r y [1 2]; r x [1 2]; a x 3",
    );
    assert_eq!(report, Report::default());
    assert_eq!(report.to_string(), "nothing rules out any level");
}

#[test]
fn g0() {
    let report = lists(
        "0 0..10: a x 1; a y 1
         1 1..11: a x 2; a y 2
         2 2..12: r x [1 2]; r y [2 1]",
    );
    assert_eq!(report.names()[0], "G0");
    assert_eq!(report.ruled_out, Level::ALL);
    let same_order = "0 0..10: a x 1; a y 1
         1 1..11: a x 2; a y 2
         2 2..12: r x [1 2]; r y [1 2]";
    assert_eq!(names(same_order), NONE);
}

#[test]
fn g1a() {
    let failed = "0 0..10!: a x 1
         1 1..11: r x [1]";
    let report = lists(failed);
    assert_eq!(report.names(), ["G1a"]);
    assert_eq!(report.ruled_out, Level::ALL[1..]);
    assert_eq!(names("0 0..10!: a x 1\n1 1..11: r x []"), NONE);
    // Of an unknown one, it shows that it was committed.
    assert_eq!(names("0 0..?: a x 1\n1 1..11: r x [1]"), NONE);
}

#[test]
fn g1b() {
    let between = "0 0..10: a x 1; a x 2
         1 1..11: r x [1]
         2 12..13: r x [1 2]";
    let report = lists(between);
    assert_eq!(report.names(), ["G1b", "G-single"]);
    assert!(report.ruled_out.contains(&Level::ReadCommitted));
    let own = "0 0..10: a x 1; r x [1]; a x 2
         1 1..11: r x [1 2]";
    assert_eq!(names(own), NONE);
}

#[test]
fn g1c() {
    let report = lists(
        "0 0..10: a x 1; r y [1]
         1 1..11: a y 1; r x [1]",
    );
    assert_eq!(report.names(), ["G1c"]);
    assert_eq!(report.ruled_out, Level::ALL[1..]);
    let one_way = "0 0..10: a x 1; r y []
         1 1..11: a y 1; r x [1]";
    assert_eq!(names(one_way), NONE);
}

#[test]
fn g_single() {
    let report = lists(
        "0 0..10: a x 1; a y 1
         1 1..11: r x [1]; r y []
         2 12..13: r y [1]",
    );
    assert_eq!(report.names(), ["G-single"]);
    assert!(!report.ruled_out.contains(&Level::ReadCommitted));
    assert_eq!(report.ruled_out, Level::ALL[2..]);
    insta::assert_snapshot!(report, @r"
    ruled out: repeatable read, snapshot isolation, serializability, strong session snapshot isolation, strong session serializability, strong snapshot isolation, strict serializability
    G-single: 2 transactions, each before the next
      1. {read x -> [1], read y -> []} by p1 (0.001s..0.011s)
         before 2 (rw): it saw y without 1, which the next one appended
      2. {append x 1, append y 1} by p0 (0.000s..0.010s)
         before 1 (wr): it appended 1 to x, which the next one saw
    ");
    let both = "0 0..10: a x 1; a y 1
         1 1..11: r x [1]; r y [1]
         2 12..13: r y [1]";
    assert_eq!(names(both), NONE);
}

#[test]
fn a_lost_update() {
    let report = lists(
        "0 0..10: r x []; a x 1
         1 1..11: r x []; a x 2
         2 12..13: r x [1 2]",
    );
    assert_eq!(report.names(), ["lost update", "G-single"]);
    let Some(Anomaly::Cycle(cycle)) = report.anomalies.last() else {
        panic!("{report}");
    };
    assert_eq!(cycle.pattern(), Some(Pattern::LostUpdate));
    assert!(!report.ruled_out.contains(&Level::ReadCommitted));
    assert!(report.ruled_out.contains(&Level::SnapshotIsolation));
    let in_turn = "0 0..10: r x []; a x 1
         1 1..11: r x [1]; a x 2
         2 12..13: r x [1 2]";
    assert_eq!(names(in_turn), NONE);
    // Even if nobody saw the second one.
    let unseen = "0 0..10: r x []; a x 1
         1 1..11: r x []; a x 2
         2 2..9: r x [1]";
    assert_eq!(names(unseen), ["lost update", "G-single", "G2-item"]);
}

#[test]
fn write_skew() {
    let report = lists(
        "0 0..10: r x []; a y 1
         1 1..11: r y []; a x 1
         2 12..13: r x [1]; r y [1]",
    );
    assert_eq!(report.names(), ["G2-item"]);
    let Some(Anomaly::Cycle(cycle)) = report.anomalies.last() else {
        panic!("{report}");
    };
    assert_eq!(cycle.pattern(), Some(Pattern::WriteSkew));
    let levels = [
        Level::RepeatableRead,
        Level::Serializable,
        Level::StrongSessionSerializable,
        Level::StrictSerializable,
    ];
    assert_eq!(report.ruled_out, levels);
    let in_turn = "0 0..10: r x []; a y 1
         1 1..11: r y [1]; a x 1
         2 12..13: r x [1]; r y [1]";
    assert_eq!(names(in_turn), NONE);
}

#[test]
fn a_long_fork() {
    let report = lists(
        "0 0..10: a x 1
         1 1..11: a y 1
         2 2..12: r x [1]; r y []
         3 3..13: r x []; r y [1]
         4 14..15: r x [1]; r y [1]",
    );
    assert_eq!(report.names(), ["G-nonadjacent"]);
    let Some(Anomaly::Cycle(cycle)) = report.anomalies.last() else {
        panic!("{report}");
    };
    assert_eq!(cycle.pattern(), Some(Pattern::LongFork));
    assert!(report.ruled_out.contains(&Level::SnapshotIsolation));
    assert!(!report.ruled_out.contains(&Level::ReadCommitted));
    let same = "0 0..10: a x 1
         1 1..11: a y 1
         2 2..12: r x [1]; r y []
         3 3..13: r x [1]; r y []
         4 14..15: r x [1]; r y [1]";
    assert_eq!(names(same), NONE);
}

#[test]
fn a_stale_read_of_another_process_is_against_real_time() {
    let report = lists(
        "0 0..1: a x 1
         1 2..3: r x []
         2 4..5: r x [1]",
    );
    assert_eq!(report.names(), ["G-single-realtime"]);
    let levels = [Level::StrongSnapshotIsolation, Level::StrictSerializable];
    assert_eq!(report.ruled_out, levels);
    insta::assert_snapshot!(report, @r"
    ruled out: strong snapshot isolation, strict serializability
    G-single-realtime: 2 transactions, each before the next
      1. {read x -> []} by p1 (0.002s..0.003s)
         before 2 (rw): it saw x without 1, which the next one appended
      2. {append x 1} by p0 (0.000s..0.001s)
         before 1 (real time): it was complete at 0.001s, and the next one asked for at 0.002s
    ");
    let at_a_time = "0 0..4: a x 1
         1 2..3: r x []
         2 5..6: r x [1]";
    assert_eq!(names(at_a_time), NONE);
}

#[test]
fn a_stale_read_of_the_same_process_is_against_its_session() {
    let report = lists(
        "0 0..1: a x 1
         0 2..3: r x []
         2 4..5: r x [1]",
    );
    assert_eq!(report.names(), ["G-single-process"]);
    let weaker = [Level::SnapshotIsolation, Level::Serializable];
    assert!(weaker.iter().all(|level| !report.ruled_out.contains(level)));
    assert_eq!(report.ruled_out, Level::ALL[5..]);
}

#[test]
fn an_element_that_nobody_saw_is_lost() {
    let report = lists(
        "0 0..1: a x 1
         1 2..3: a x 2
         2 4..5: r x [1]",
    );
    assert_eq!(report.names(), ["lost element", "G-single-realtime"]);
    assert!(!report.ruled_out.contains(&Level::Serializable));
    let unknown = "0 0..1: a x 1
         1 2..?: a x 2
         2 4..5: r x [1]";
    assert_eq!(names(unknown), NONE);
    let later = "0 0..1: a x 1
         1 2..6: a x 2
         2 4..5: r x [1]";
    assert_eq!(names(later), NONE);
}

#[test]
fn internal_inconsistencies() {
    for (bad, good) in [
        ("r x []; a x 1; r x []", "r x []; a x 1; r x [1]"),
        ("a x 1; r x [1 2]", "a x 1; r x [2 1]"),
        ("r x []; r x [2]", "r x [2]; r x [2]"),
        (
            "a x 1; r x [2 1]; a x 3; r x [1 2 3]",
            "a x 1; r x [2 1]; a x 3; r x [2 1 3]",
        ),
    ] {
        let other = "\n1 1..11: a x 2";
        let bad = lists(&format!("0 0..10: {bad}{other}"));
        assert_eq!(bad.names()[0], "internal", "{bad}");
        assert!(!bad.ruled_out.contains(&Level::ReadUncommitted), "{bad}");
        assert!(bad.ruled_out.contains(&Level::SnapshotIsolation), "{bad}");
        assert_eq!(names(&format!("0 0..10: {good}{other}")), NONE);
    }
}

#[test]
fn incompatible_orders() {
    let writes = "0 0..10: a x 1
         1 1..11: a x 2";
    let report = lists(&format!("{writes}\n2 2..12: r x [1]\n3 3..13: r x [2]"));
    assert_eq!(report.names(), ["incompatible orders"]);
    assert_eq!(report.ruled_out, Level::ALL[1..]);
    assert_eq!(
        names(&format!("{writes}\n2 2..12: r x [1]\n3 3..13: r x [1 2]")),
        NONE
    );
}

#[test]
fn duplicates_and_thin_air() {
    let report = lists("0 0..10: a x 1\n1 1..11: r x [1 1]");
    assert_eq!(report.names(), ["duplicate element"]);
    assert_eq!(report.ruled_out, Level::ALL);
    assert_eq!(names("0 0..10: a x 1\n1 1..11: r x [1]"), NONE);
    let report = lists("0 0..10: a y 1\n1 1..11: r x [1]");
    assert_eq!(report.names(), ["thin air"]);
    assert_eq!(report.ruled_out, Level::ALL);
}

#[test]
fn a_dirty_update() {
    let report = lists(
        "0 0..10!: a x 1
         1 1..11: a x 2
         2 12..13: r x [1 2]",
    );
    assert_eq!(report.names(), ["G1a", "dirty update"]);
    let undone = "0 0..10!: a x 1
         1 1..11: a x 2
         2 12..13: r x [2]";
    assert_eq!(names(undone), NONE);
}

#[test]
fn what_cannot_be_judged_is_a_typed_error() {
    let check = |text| check_lists(&history(text), Budget::default()).unwrap_err();
    let twice = check("0 0..1: a x 1\n1 2..3: a x 1");
    assert!(matches!(twice, Unfit::WrittenTwice { .. }), "{twice}");
    let mixed = check("0 0..1: a x 1; w y 2");
    assert_eq!(
        mixed.to_string(),
        "write y 2 is no step on lists, in {append x 1, write y 2} by p0 (0.000s..0.001s)"
    );
    let mut unanswered = History::new();
    let key = unanswered.key("x");
    let read = Micro::ReadList {
        key,
        elements: None,
    };
    unanswered.invoke(0, ProcessId(0), &[read]).unwrap();
    unanswered.ok(1, ProcessId(0), &[read]).unwrap();
    let error = check_lists(&unanswered, Budget::default()).unwrap_err();
    assert!(matches!(error, Unfit::NoAnswer { .. }), "{error}");
}

#[test]
fn a_read_from_the_future() {
    let report = lists("0 0..10: r x [1]; a x 1");
    assert_eq!(report.names(), ["future read"]);
    assert_eq!(report.ruled_out, Level::ALL);
    assert_eq!(names("0 0..10: a x 1; r x [1]"), NONE);
}

#[test]
fn a_torn_append() {
    for list in ["[2 1]", "[2]"] {
        let report = lists(&format!("0 0..10: a x 1; a x 2\n1 11..12: r x {list}"));
        assert!(report.names().contains(&"torn append".into()), "{report}");
        assert_eq!(report.ruled_out, Level::ALL);
    }
    assert_eq!(names("0 0..10: a x 1; a x 2\n1 11..12: r x [1 2]"), NONE);
}
