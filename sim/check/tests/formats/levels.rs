//! What histories can be held to, by name, and the rows of the catalog that are laws.

use super::history;
use splitbrain_check::Verdict;
use splitbrain_check::formats::{
    self, CATALOG, Consistency, Demand, Fail, JudgeError, Judgement, Record, Wrong,
};

/// The model that is guessed for a level, and what it comes to.
fn judged(
    text: &str,
    model: Option<&str>,
    demand: Demand,
) -> (&'static str, Result<Judgement, JudgeError>) {
    let mut records: Vec<Record<'static>> = Vec::new();
    let read = formats::read(text.as_bytes(), None, |record| {
        records.push(record.into_owned());
        Ok(())
    });
    read.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let candidates = formats::candidates(model, demand.level);
    match formats::guess(&records, candidates, Fail::Dropped) {
        Ok((known, reading)) => (known.name, reading.judge(&demand)),
        Err(misfits) => {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            panic!("{}\n{text}", misfits.join("\n"))
        }
    }
}

/// Held to a level: the model, and nothing, or what is wrong.
fn at(level: &str, text: &str) -> (&'static str, Option<Wrong>) {
    let level = Consistency::named(level).expect("a level");
    let demand = Demand {
        level: Some(level),
        ..Demand::default()
    };
    let (name, judgement) = judged(text, None, demand);
    let judgement = judgement.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(judgement.level, level);
    match judgement.verdict {
        Verdict::Valid => (name, None),
        Verdict::Invalid(wrong) => (name, Some(wrong)),
        Verdict::Unknown(reason) => panic!("{reason}"),
    }
}

/// As a law or another model that is named.
fn of(model: &str, text: &str) -> Option<Wrong> {
    let (name, judgement) = judged(text, Some(model), Demand::default());
    assert_eq!(name, model);
    match judgement.unwrap().verdict {
        Verdict::Valid => None,
        Verdict::Invalid(wrong) => Some(wrong),
        Verdict::Unknown(reason) => panic!("{reason}"),
    }
}

/// p1 reads what p0 has overwritten: a stale read, but each process agrees with one order.
#[test]
fn a_stale_read_is_sequentially_consistent() {
    let text = history("0 invoke write 1; 0 ok write 1; 1 invoke read; 1 ok read nil");
    assert!(at("linearizable", &text).1.is_some());
    assert_eq!(at("sequential", &text), ("register", None));
    let back = history(
        "0 invoke write 1; 0 ok write 1; 1 invoke read; 1 ok read 1; 1 invoke read; 1 ok read nil",
    );
    let wrong = at("sequential", &back).1.expect("it goes back");
    assert!(wrong.what.contains("needs"), "{}", wrong.what);
    assert!(!wrong.operations.is_empty());
}

/// Histories with an anomaly each, the strongest level that allows it, and the weakest that does not.
#[test]
fn each_level_allows_what_it_does() {
    for (anomaly, allows, forbids, text) in [
        (
            "a write skew",
            "snapshot-isolation",
            "serializable",
            "0 invoke txn [[:r x nil] [:append y 1]]; 1 invoke txn [[:r y nil] [:append x 2]];
             0 ok txn [[:r x []] [:append y 1]]; 1 ok txn [[:r y []] [:append x 2]];
             2 invoke txn [[:r x nil] [:r y nil]]; 2 ok txn [[:r x [2]] [:r y [1]]]",
        ),
        (
            "a stale read",
            "strong-session-serializable",
            "strict-serializable",
            "0 invoke txn [[:append x 1]]; 0 ok txn [[:append x 1]]; 1 invoke txn [[:r x nil]]; 1 ok txn [[:r x []]]",
        ),
        (
            "a process that does not see what it did",
            "serializable",
            "strong-session-serializable",
            "0 invoke txn [[:append x 1]]; 0 ok txn [[:append x 1]]; 0 invoke txn [[:r x nil]]; 0 ok txn [[:r x []]];
             1 invoke txn [[:r x nil]]; 1 ok txn [[:r x [1]]]",
        ),
        (
            "an aborted read",
            "read-uncommitted",
            "read-committed",
            "0 invoke txn [[:append x 1]]; 1 invoke txn [[:r x nil]]; 1 ok txn [[:r x [1]]]; 0 fail txn [[:append x 1]]",
        ),
        (
            "a stale read of a register, which the level itself says how to order",
            "strong-session-serializable",
            "strict-serializable",
            "0 invoke txn [[:w x 1]]; 0 ok txn [[:w x 1]]; 1 invoke txn [[:w x 2]]; 1 ok txn [[:w x 2]];
             2 invoke txn [[:r x nil]]; 2 ok txn [[:r x 1]]",
        ),
        (
            "a fractured read",
            "monotonic-atomic-view",
            "read-atomic",
            "0 invoke txn [[:w x 1] [:w y 1]]; 0 ok txn [[:w x 1] [:w y 1]];
             0 invoke txn [[:w x 2] [:w y 2]]; 0 ok txn [[:w x 2] [:w y 2]];
             1 invoke txn [[:r x nil] [:r y nil]]; 1 ok txn [[:r x 1] [:r y 2]]",
        ),
        (
            "a view that goes back",
            "read-committed",
            "monotonic-atomic-view",
            "0 invoke txn [[:w x 1] [:w y 1]]; 0 ok txn [[:w x 1] [:w y 1]];
             0 invoke txn [[:w x 2] [:w y 2]]; 0 ok txn [[:w x 2] [:w y 2]];
             1 invoke txn [[:r x nil] [:r y nil]]; 1 ok txn [[:r x 2] [:r y 1]]",
        ),
    ] {
        let text = history(text);
        assert_eq!(at(allows, &text).1, None, "{anomaly} at {allows}");
        let wrong = at(forbids, &text).1;
        let wrong = wrong.unwrap_or_else(|| panic!("{anomaly} at {forbids}"));
        assert!(!wrong.operations.is_empty(), "{}", wrong.what);
    }
}

/// Single reads and writes are transactions of one step, where a level asks for transactions.
#[test]
fn guarantees_of_sessions_are_asked_of_plain_registers() {
    for (guarantee, text) in [
        (
            "read-your-writes",
            "0 invoke write [x 1]; 0 ok write [x 1]; 0 invoke read [x nil]; 0 ok read [x nil]",
        ),
        (
            "monotonic-reads",
            "0 invoke write [x 1]; 0 ok write [x 1]; 1 invoke read [x nil]; 1 ok read [x 1]; 1 invoke read [x nil]; 1 ok read [x nil]",
        ),
        (
            "monotonic-writes",
            "0 invoke write [x 1]; 0 ok write [x 1]; 0 invoke write [x 2]; 0 ok write [x 2];
             1 invoke read [x nil]; 1 ok read [x 2]; 1 invoke read [x nil]; 1 ok read [x 1]",
        ),
        (
            "writes-follow-reads",
            "0 invoke write [x 1]; 0 ok write [x 1]; 1 invoke read [x nil]; 1 ok read [x 1]; 1 invoke write [x 2]; 1 ok write [x 2];
             2 invoke read [x nil]; 2 ok read [x 2]; 2 invoke read [x nil]; 2 ok read [x 1]",
        ),
    ] {
        let text = history(text);
        let (model, wrong) = at(guarantee, &text);
        assert_eq!(model, "rw-register");
        let wrong = wrong.unwrap_or_else(|| panic!("{guarantee}"));
        assert!(wrong.what.starts_with("no "), "{}", wrong.what);
        assert!(!wrong.operations.is_empty(), "{}", wrong.what);
        // Causal consistency is all of them.
        assert!(at("causal", &text).1.is_some(), "{guarantee}");
    }
    let right = history(
        "0 invoke write 1; 0 ok write 1; 0 invoke read; 0 ok read 1; 1 invoke read; 1 ok read nil",
    );
    for level in [
        "read-your-writes",
        "monotonic-reads",
        "causal",
        "serializable",
    ] {
        assert_eq!(at(level, &right), ("rw-register", None), "{level}");
    }
    assert!(at("strict-serializable", &right).1.is_some());
    let ours = r#"{"time_ns":1,"process":0,"type":"invoke","f":"put","key":"x","value":"1"}
{"time_ns":2,"process":0,"type":"ok"}
{"time_ns":3,"process":0,"type":"invoke","f":"get","key":"x"}
{"time_ns":4,"process":0,"type":"ok","value":null}
"#;
    assert!(at("read-your-writes", ours).1.is_some());
    assert_eq!(at("monotonic-reads", ours), ("rw-register", None));
}

#[test]
fn what_a_model_cannot_be_held_to_is_refused() {
    let register = &CATALOG[0];
    let mut reading = register.begin(Fail::Dropped);
    let text = history("0 invoke write 1; 0 ok write 1");
    formats::read(text.as_bytes(), None, |record| reading.push(&record)).unwrap();
    let demand = Demand {
        level: Consistency::named("causal"),
        ..Demand::default()
    };
    let error = reading.judge(&demand).unwrap_err();
    insta::assert_snapshot!(error, @"register cannot be held to causal, but only to linearizable, sequential");
    assert!(formats::candidates(Some("register"), demand.level).is_empty());
}

/// Of each law a history that keeps it, one that does not, and how many operations show that.
#[test]
fn laws_are_models_of_their_own() {
    for (model, right, wrong, shown) in [
        (
            "unique-ids",
            "0 invoke generate; 0 ok generate 1; 1 invoke generate; 1 ok generate x",
            "0 invoke generate; 0 ok generate 1; 1 invoke generate; 1 ok generate 1",
            2,
        ),
        (
            "bank",
            "0 invoke read; 0 ok read {0 10, 1 5}; 0 invoke transfer {:from 0, :to 1, :amount 3}; 0 ok transfer {:from 0, :to 1, :amount 3};
             1 invoke read; 1 ok read {0 7, 1 8}",
            "0 invoke read; 0 ok read {0 10, 1 5}; 0 invoke transfer {:from 0, :to 1, :amount 3}; 0 ok transfer {:from 0, :to 1, :amount 3};
             1 invoke read; 1 ok read {0 7, 1 5}",
            1,
        ),
        (
            "total-queue",
            "0 invoke enqueue 1; 0 ok enqueue 1; 0 invoke enqueue 2; 0 ok enqueue 2; 1 invoke dequeue; 1 ok dequeue 2; 1 invoke drain; 1 ok drain [1]",
            "0 invoke enqueue 1; 0 ok enqueue 1; 0 invoke enqueue 2; 0 ok enqueue 2; 1 invoke dequeue; 1 ok dequeue 2; 1 invoke drain; 1 ok drain []",
            1,
        ),
        (
            "set-full",
            "0 invoke add 1; 0 ok add 1; 1 invoke add 2; 0 invoke read; 0 ok read #{1 2}",
            "0 invoke add 1; 0 ok add 1; 1 invoke add 2; 0 invoke read; 0 ok read #{2}",
            2,
        ),
        (
            "counter-bounds",
            "0 invoke add 1; 0 ok add 1; 1 invoke add 2; 0 invoke read; 0 ok read 3",
            "0 invoke add 1; 0 ok add 1; 1 invoke add 2; 0 invoke read; 0 ok read 4",
            1,
        ),
        (
            "recency",
            "0 invoke write [x 1]; 0 ok write [x 1]; 1 invoke read [x nil]; 1 ok read [x 1]",
            "0 invoke write [x 1]; 0 ok write [x 1]; 0 invoke write [x 2]; 0 ok write [x 2]; 1 invoke read [x nil]; 1 ok read [x 1]",
            2,
        ),
    ] {
        assert_eq!(of(model, &history(right)), None, "{model}");
        let wrong = of(model, &history(wrong)).unwrap_or_else(|| panic!("{model}"));
        assert_eq!(wrong.operations.len(), shown, "{model}: {}", wrong.what);
    }
    let log = |second: u64| {
        format!(
            r#"{{"time_ns":1,"process":0,"type":"invoke","f":"send","key":"k","value":1}}
{{"time_ns":2,"process":0,"type":"ok","offset":0}}
{{"time_ns":3,"process":0,"type":"invoke","f":"send","key":"k","value":2}}
{{"time_ns":4,"process":0,"type":"ok","offset":{second}}}
"#
        )
    };
    assert_eq!(of("log", &log(1)), None);
    assert!(of("log", &log(0)).is_some());
}

/// Both are named by what is wrong with the history, not with the system.
#[test]
fn histories_that_do_not_tell_are_no_violations() {
    let twice = history("0 invoke add 1; 0 ok add 1; 1 invoke add 1; 1 ok add 1");
    let (_, judgement) = judged(&twice, Some("set-full"), Demand::default());
    let error = judgement.unwrap_err().to_string();
    assert!(error.contains("1 was added twice"), "{error}");
    let locks = history("0 invoke acquire; 0 ok acquire");
    let (_, judgement) = judged(&locks, Some("semaphore"), Demand::default());
    insta::assert_snapshot!(judgement.unwrap_err(), @"the history does not say how many permits the semaphore has");
}

#[test]
fn a_semaphore_has_as_many_permits_as_are_said() {
    let text = history("0 invoke acquire 2; 0 ok acquire 2; 1 invoke acquire; 1 ok acquire");
    for (permits, right) in [(3, true), (2, false)] {
        let demand = Demand {
            permits: Some(permits),
            ..Demand::default()
        };
        let (_, judgement) = judged(&text, Some("semaphore"), demand);
        assert_eq!(
            judgement.unwrap().verdict == Verdict::Valid,
            right,
            "{permits}"
        );
    }
}

/// Which of the rows with the same functions a history is of.
#[test]
fn rows_with_the_same_functions_are_told_apart() {
    for (model, text) in [
        (
            "lists",
            "0 invoke append [x 1]; 0 ok append [x 1]; 0 invoke read [x nil]; 0 ok read [x [1]]",
        ),
        (
            "strings",
            "0 invoke append [x a]; 0 ok append [x a]; 0 invoke read [x nil]; 0 ok read [x a]",
        ),
        (
            "key-value",
            "0 invoke append [x a]; 0 ok append [x a]; 0 invoke cas [x [a b]]; 0 ok cas [x [a b]]",
        ),
    ] {
        let (name, judgement) = judged(&history(text), None, Demand::default());
        let judgement = judgement.unwrap();
        assert_eq!((name, judgement.verdict), (model, Verdict::Valid), "{text}");
        assert!(judgement.steps.is_some());
    }
}
