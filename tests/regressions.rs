//! Small runs that caught a bug once (`regressions/*.json`), replayed before anything else is believed: without the bug
//! they are valid. That they still show it when it is put back is what `cargo zoo` checks.

use splitbrain::run::Verdict;
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
