//! What is said of a failing run that was made small.

use super::case;
use crate::report::{explanation, write_run};
use crate::run::{Script, Verdict};
use crate::shrink::shrink;
use crate::world::TraceDetail;
use splitbrain_core::Seed;
use std::fs;

#[test]
fn the_report_of_a_small_run_shows_what_contradicts_what() {
    let crashes = "[[nemesis]]\nfault = 'crash'\nevery = '1s'\nlasting = '100ms'\nvictims = 'one'";
    let case = case("forget", crashes);
    let report = case.run(Seed(1), &Script::DRAWN, Some(TraceDetail::Notes));
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("what it forgets is missed: {}", report.verdict);
    };
    let script = report.script();
    let property = &finding.property;
    let shrunk = shrink(&*case, Seed(1), &script, property, 100_000, &mut |_, _| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = write_run(folder.path(), &*shrunk.case, shrunk.seed, &shrunk.script);
    let written = written.unwrap().expect("it fails");
    let page = fs::read_to_string(folder.path().join("history.html")).unwrap();
    assert!(
        page.contains("\"marks\":[{\"operation\":"),
        "the read is marked"
    );
    assert!(page.contains("read -> "), "in the words of its form");
    let text = fs::read_to_string(folder.path().join("report.txt")).unwrap();
    assert!(text.contains(&written.explanation));
    let text = text.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(text, @r"
    test: s

    seed 1, 35ms in the safety phase
    1 server; messages take 5ms 500us; syncs take 1ms 250us

    faults:
            34ms for        1ms: crash n1

         time  n1
       0.000s  * p0 invokes Write(12), * p0 ok Written
       0.034s  == crash n1 =======================================================================================
       0.035s  == healed: from here on nothing breaks ============================================================
       0.035s  restarts
       0.045s  *1 p0 invokes Read
       0.046s  *1 p0 ok Value(None)
       0.046s  !! linearizability !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
         then  holds None

    linearizability at 0.046s: no order of these operations is legal (marked *1 above; what else is mentioned, *)
      at 0.000s, after 1 operation in whatever order, value is 12,
         last made so by write 12 by p0 (0.000s..0.000s)
      1. read -> absent by p0 (0.045s..0.046s)
    nothing can come first: value is 12, but
      1 needs value absent, as it was only at first

    replay: splitbrain replay FOLDER/replay.json
    ");
}

/// Of a long run, only the operations that contradict each other are shown, however long ago they were.
#[test]
fn a_long_run_is_shown_from_the_first_operation_that_matters() {
    let crashes = "[[nemesis]]\nfault = 'crash'\nevery = '1s'\nlasting = '100ms'\nvictims = 'one'";
    let case = case("forget", crashes);
    let report = case.run(Seed(1), &Script::DRAWN, Some(TraceDetail::Notes));
    insta::assert_snapshot!(explanation(&*case, &report), @r"
         time  n1
       1.308s  * p0 invokes Write(12), * p0 ok Written
       1.342s  == crash n1 =======================================================================================
       1.442s  restarts
       1.569s  *1 p0 invokes Read
       1.569s  *1 p0 ok Value(None)
       2.746s  == crash n1 =======================================================================================
       2.846s  restarts
       4.037s  == crash n1 =======================================================================================
       4.137s  restarts
       5.000s  == healed: from here on nothing breaks ============================================================
       5.001s  !! linearizability !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
         then  holds Some(42)

    linearizability at 5.001s: no order of these operations is legal (marked *1 above; what else is mentioned, *)
      at 1.308s, after 13 operations in whatever order, value is 12,
         last made so by write 12 by p0 (1.308s..1.308s)
      1. read -> absent by p0 (1.569s..1.569s)
    nothing can come first: value is 12, but
      1 needs value absent, as it was only at first
    ");
}
