//! Published histories get the verdict that is known of them, without being told what they are.

use splitbrain_check::Verdict;
use splitbrain_check::formats::{self, Demand, Fail, Format, Reading, Record};
use std::fs::File;
use std::path::Path;

fn guessed(name: &str, fail: Fail) -> (Format, &'static str, Box<dyn Reading>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/porcupine")
        .join(name);
    let mut records: Vec<Record<'static>> = Vec::new();
    let summary = formats::read(File::open(path).unwrap(), None, |record| {
        records.push(record.into_owned());
        Ok(())
    });
    let (known, reading) = formats::guess(&records, formats::candidates(None, None), fail).unwrap();
    (summary.unwrap().format, known.name, reading)
}

#[test]
fn jepsens_logs_of_etcd() {
    for (name, valid) in [
        ("etcd_000.log", false),
        ("etcd_018.log", true),
        ("etcd_099.log", false),
        // With spaces where the others have tabs.
        ("etcd_102.log", true),
    ] {
        for fail in [Fail::Dropped, Fail::Observed] {
            let (format, model, reading) = guessed(name, fail);
            assert_eq!((format, model), (Format::Log, "cas-register"), "{name}");
            let verdict = reading.judge(&Demand::default()).unwrap().verdict;
            assert_eq!(verdict == Verdict::Valid, valid, "{name}");
            assert!(!matches!(verdict, Verdict::Unknown(_)), "{name}");
        }
    }
}

#[test]
fn porcupines_key_value_histories() {
    for (name, valid) in [
        ("c01-ok.txt", true),
        ("c01-bad.txt", false),
        ("c10-bad.txt", false),
    ] {
        let (format, model, reading) = guessed(name, Fail::Dropped);
        assert_eq!((format, model), (Format::Edn, "strings"), "{name}");
        let verdict = reading.judge(&Demand::default()).unwrap().verdict;
        assert_eq!(verdict == Verdict::Valid, valid, "{name}");
        assert!(!matches!(verdict, Verdict::Unknown(_)), "{name}");
    }
}

#[test]
fn what_a_log_says_in_numbers() {
    let (.., reading) = guessed("etcd_000.log", Fail::Dropped);
    let statistics = reading.statistics();
    assert_eq!(statistics.operations, 85);
    assert_eq!(
        (statistics.ok, statistics.failed, statistics.unknown),
        (49, 20, 16)
    );
    assert_eq!(statistics.processes, 19);
    assert_eq!(statistics.concurrency_max, 5);
    assert!(!statistics.timed);
    // A compare-and-set that failed saw something, if that is what `:fail` means.
    let (.., reading) = guessed("etcd_000.log", Fail::Observed);
    let observed = reading.statistics();
    assert!(observed.ok > statistics.ok);
    assert_eq!(
        observed.ok + observed.failed,
        statistics.ok + statistics.failed
    );
}
