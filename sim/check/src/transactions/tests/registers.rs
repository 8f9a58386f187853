//! Registers.

use super::*;

const LINEARIZABLE: RegisterSettings = RegisterSettings {
    writes_follow_reads: true,
    sequential_keys: false,
    linearizable_keys: true,
};

const SEQUENTIAL: RegisterSettings = RegisterSettings {
    writes_follow_reads: true,
    sequential_keys: true,
    linearizable_keys: false,
};

fn check(text: &str, settings: RegisterSettings) -> Report {
    check_registers(&history(text), settings, Budget::default()).unwrap()
}

fn registers(text: &str) -> Report {
    check(text, RegisterSettings::default())
}

fn assert_none(text: &str) {
    let report = check(text, LINEARIZABLE);
    assert_eq!(report, Report::default(), "{report}");
    let report = check(text, SEQUENTIAL);
    assert_eq!(report, Report::default(), "{report}");
}

#[test]
fn a_serial_history_is_of_every_level() {
    assert_none(
        "0 0..1: w x 1; r x 1; r y nil
         1 2..3: r x 1; w x 2; w x 3
         0 4..5: r x 3; w y 1
         1 6..7: w x 4; r y 1
         2 8..9: r x 4; r y 1",
    );
}

#[test]
fn single_reads() {
    for (text, name, from) in [
        ("0 0..1!: w x 1\n1 2..3: r x 1", "G1a", 1),
        ("0 0..10: w x 1; w x 2\n1 2..3: r x 1", "G1b", 1),
        ("0 0..1: r x 1", "thin air", 0),
        ("0 0..1: r x 1; w x 1", "future read", 0),
        ("0 0..10: w x 1; r x 2\n1 2..3: w x 2", "internal", 2),
        ("0 0..10: r x 2; r x nil\n1 2..3: w x 2", "internal", 2),
    ] {
        let report = registers(text);
        assert_eq!(report.names()[0], name, "{report}");
        assert_eq!(report.ruled_out, Level::ALL[from..], "{report}");
    }
    assert_none("0 0..1!: w x 1\n1 2..3: r x nil");
    assert_none("0 0..10: w x 1; w x 2\n1 11..12: r x 2");
    assert_none("0 0..?: w x 1\n1 2..3: r x 1");
    assert_none("0 0..10: w x 1; r x 1; r x 1");
}

#[test]
fn g1c() {
    let report = registers("0 0..10: w x 1; r y 1\n1 1..11: w y 1; r x 1");
    assert_eq!(report.names(), ["G1c"]);
    assert_eq!(report.ruled_out, Level::ALL[1..]);
    assert_none("0 0..10: w x 1; r y nil\n1 1..11: w y 1; r x 1");
}

#[test]
fn a_lost_update_and_write_skew() {
    let report = registers("0 0..10: r x nil; w x 1\n1 1..11: r x nil; w x 2");
    assert_eq!(report.names(), ["lost update", "G2-item"]);
    assert!(report.ruled_out.contains(&Level::SnapshotIsolation));
    assert_none("0 0..10: r x nil; w x 1\n1 1..11: r x 1; w x 2");
    let report = registers("0 0..10: r x nil; w y 1\n1 1..11: r y nil; w x 1");
    assert_eq!(report.names(), ["G2-item"]);
    assert!(!report.ruled_out.contains(&Level::SnapshotIsolation));
    let Some(Anomaly::Cycle(cycle)) = report.anomalies.last() else {
        panic!("{report}");
    };
    assert_eq!(cycle.pattern(), Some(Pattern::WriteSkew));
    assert_none("0 0..10: r x nil; w y 1\n1 1..11: r y 1; w x 1");
}

#[test]
fn a_long_fork() {
    let report = registers(
        "0 0..10: w x 1
         1 1..11: w y 1
         2 2..12: r x 1; r y nil
         3 3..13: r x nil; r y 1",
    );
    assert_eq!(report.names(), ["G-nonadjacent"]);
    assert!(report.ruled_out.contains(&Level::SnapshotIsolation));
}

#[test]
fn writes_that_follow_reads_are_ordered() {
    let text = "0 0..10: w x 1; w y 1
         1 1..11: r x 1; w x 2; w y 2
         2 12..13: r x 2; r y 1
         3 14..15: r y 1; w y 3";
    let without = RegisterSettings {
        writes_follow_reads: false,
        ..RegisterSettings::default()
    };
    assert_eq!(check(text, without).names(), NONE);
    // Of y, nobody knows that 2 came after 1, unless processes say so.
    assert_eq!(registers(text).names(), NONE);
    let text = "0 0..10: w x 1; w y 1
         1 1..11: r x 1; r y 1; w x 2; w y 2
         2 12..13: r x 2; r y 1";
    let report = registers(text);
    assert_eq!(report.names(), ["G-single"]);
    insta::assert_snapshot!(report.anomalies[0], @r"
    G-single: 2 transactions, each before the next
      1. {read x -> 2, read y -> 1} by p2 (0.012s..0.013s)
         before 2 (rw): it saw y as it was before the next one wrote 2 (1 came first, as {read x -> 1, read y -> 1, write x 2, write y 2} by p1 (0.001s..0.011s) read the one and then wrote the other)
      2. {read x -> 1, read y -> 1, write x 2, write y 2} by p1 (0.001s..0.011s)
         before 1 (wr): it wrote 2 to x, which the next one saw
    ");
}

#[test]
fn linearizable_keys_are_ordered_by_time() {
    let text = "0 0..1: w x 1
         1 3..4: w x 2; w y 1
         2 2..10: r x 1; r y 1";
    assert_eq!(registers(text).names(), NONE);
    let report = check(text, LINEARIZABLE);
    assert_eq!(report.names(), ["G-single"]);
    assert!(report.ruled_out.contains(&Level::StrictSerializable));
}

#[test]
fn sequential_keys_are_ordered_by_each_process() {
    let text = "0 0..1: w x 1
         0 2..3: w x 2; w y 1
         2 4..10: r x 1; r y 1";
    assert_eq!(registers(text).names(), NONE);
    let report = check(text, SEQUENTIAL);
    assert_eq!(report.names(), ["G-single"]);
}

#[test]
fn versions_in_a_circle() {
    let text = "0 0..1: w x 1
         1 2..3: w x 2
         2 4..5: r x 2
         3 6..7: r x 1";
    let report = check(text, LINEARIZABLE);
    assert_eq!(report.names(), ["cyclic versions"]);
    let levels = [Level::StrongSnapshotIsolation, Level::StrictSerializable];
    assert_eq!(report.ruled_out, levels);
    insta::assert_snapshot!(report.anomalies[0], @"versions of x in a circle: 1 before 2, as {write x 1} by p0 (0.000s..0.001s) was complete before {read x -> 2} by p2 (0.004s..0.005s) was asked for; 2 before 1, as {write x 2} by p1 (0.002s..0.003s) was complete before {read x -> 1} by p3 (0.006s..0.007s) was asked for");
    let text = "0 0..1: w x 1
         1 2..3: w x 2
         2 4..5: r x 1
         2 6..7: r x 2
         3 8..9: r x 2
         3 10..11: r x 1";
    let report = check(text, SEQUENTIAL);
    assert_eq!(report.names(), ["cyclic versions"]);
    assert_eq!(report.ruled_out, Level::ALL[5..]);
}

#[test]
fn what_cannot_be_judged_is_a_typed_error() {
    let settings = RegisterSettings::default();
    let mixed = check_registers(&history("0 0..1: a x 1"), settings, Budget::default());
    assert!(matches!(mixed, Err(Unfit::WrongKind { .. })));
    let twice = "0 0..1: w x 1\n1 2..3!: w x 1";
    let twice = check_registers(&history(twice), settings, Budget::default());
    assert!(matches!(twice, Err(Unfit::WrittenTwice { .. })));
}

/// Many readers of one version, and many writers of the next, are more edges than there are.
#[test]
fn many_of_the_same_time_are_linearly_many_edges() {
    let count = 3_000;
    let lines = (0..count).map(|number| {
        let (until, value) = (10 * count + number, number + 1);
        format!("{number} {number}..{until}: r x nil; w x {value}\n")
    });
    let report = registers(&lines.collect::<String>());
    assert_eq!(report.names(), ["lost update", "G2-item"]);
    assert!(report.undecided.is_empty());
}
