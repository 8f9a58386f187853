//! Small runs that caught a bug once (`regressions/*.json`), replayed before anything else is believed: without the bug
//! they are valid. That they still show it when it is put back is what `cargo zoo` checks.

use splitbrain::run::Verdict;
use splitbrain_protocols::kv::{Compare, KeyRange, LeaseId, Op, Range, Transaction};
use splitbrain_scenarios::load_replay;
use std::path::Path;

#[test]
fn every_bug_that_was_caught_stays_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let canaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo");
    let canaries = canaries
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path());
    for canary in canaries.filter(|file| file.extension().is_some_and(|end| end == "patch")) {
        let stem = canary.file_stem();
        let known = files.iter().any(|file| file.file_stem() == stem);
        assert!(known, "{} has no regression", canary.display());
    }
    for file in files {
        let (case, replay) = load_replay(&file).unwrap();
        assert!(
            replay.script.decisions() > 0,
            "{}: nothing happens in it",
            file.display()
        );
        let report = case.run(replay.seed, &replay.script, None);
        assert_eq!(
            report.verdict,
            Verdict::Valid,
            "{} violates {} again",
            file.display(),
            replay.finding.property
        );
    }
}

/// What is written down must be read as what it was.
#[test]
fn operations_of_the_store_are_written_as_they_were() {
    let lease = LeaseId::new(7);
    let transaction = Transaction {
        compare: vec![Compare::missing("x")],
        then: vec![Op::put("x", "1")],
        ..Transaction::default()
    };
    let put = Op::Put {
        key: "x".into(),
        value: "1".into(),
        lease,
        previous: true,
    };
    for (op, json) in [
        (Op::put("x", "1"), r#"{"put":{"key":"x","value":"1"}}"#),
        (
            put,
            r#"{"put":{"key":"x","value":"1","lease":7,"previous":true}}"#,
        ),
        (Op::Leases, r#""leases""#),
        (
            Op::Range(Range::of(KeyRange::Prefix("a/".into())).into()),
            r#"{"range":{"keys":{"prefix":"a/"}}}"#,
        ),
        (
            Op::Transaction(transaction.into()),
            r#"{"transaction":{"compare":[{"keys":{"key":"x"},"is":"equal","to":{"version":0}}],"then":[{"put":{"key":"x","value":"1"}}]}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&op).unwrap(), json);
        assert_eq!(serde_json::from_str::<Op>(json).unwrap(), op);
    }
    for bad in [
        r#"{"lease-revoke":{"lease":0}}"#,
        r#"{"put":{"key":"x","value":"1","leese":7}}"#,
        r#"{"range":{"keys":{"prefix":"a/"},"limit":0}}"#,
    ] {
        assert!(serde_json::from_str::<Op>(bad).is_err(), "{bad}");
    }
}
