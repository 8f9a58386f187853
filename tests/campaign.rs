//! Campaigns: failures are told apart, ends and new beginnings change nothing, and a failing test says what it found.

use proptest::prelude::*;
use proptest::sample::Index;
use splitbrain::Seed;
use splitbrain::campaign::{Campaign, ResumeError, SavedCampaign, Summary, Watch};
use splitbrain::case::Case;
use splitbrain_scenarios::load;
use std::fs;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tempfile::{TempDir, tempdir};

/// Bully with a little of everything: seeds that are valid, that prove nothing, and that fail in more than one way.
fn bully_with(loss: &str) -> Box<dyn Case> {
    let nemesis = "nemesis=[\
        {fault='partition', every='15s', lasting=['100ms', '600ms']}, \
        {fault='crash', every='9s', lasting=['50ms', '1s'], victims='minority'}, \
        {fault='pause', every='9s', lasting=['50ms', '1s'], victims='one'}]";
    let loss = format!("network.loss={loss}");
    let sets = [
        nemesis,
        "checks.skip=[]",
        "require.faults=4",
        "require.dropped_by_partition=0",
        &loss,
    ];
    load("bully/partition-heals", &sets.map(str::to_owned)).unwrap()
}

static CASE: LazyLock<Box<dyn Case>> = LazyLock::new(|| bully_with("1/10"));

const SEEDS: u64 = 150;

fn campaign(jobs: usize) -> Campaign {
    Campaign {
        seeds: 7..7 + SEEDS,
        jobs,
        tell_apart: 10,
        ..Campaign::default()
    }
}

static WHOLE: LazyLock<Summary> = LazyLock::new(|| campaign(1).run(&**CASE, Watch::nobody()));

/// Runs what is left of the campaign, but ends it after so many reports, as Ctrl-C does, or so many rounds.
fn interrupted(campaign: &Campaign, so_far: Summary, reports: u64, rounds: u64) -> Summary {
    let stop = AtomicBool::new(false);
    let (reported, begun) = (AtomicU64::new(0), AtomicU64::new(1));
    let watch = Watch {
        stop: &stop,
        on_report: &|_| {
            if reported.fetch_add(1, Relaxed) + 1 >= reports {
                stop.store(true, Relaxed);
            }
        },
        on_round: &|_| {
            if begun.fetch_add(1, Relaxed) >= rounds {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    };
    campaign.resume(&**CASE, so_far, watch)
}

#[test]
fn there_is_something_to_tell_apart() {
    let whole = &*WHOLE;
    assert!(
        whole.valid > 10 && whole.unknown > 10 && whole.invalid > 20,
        "{whole:?}"
    );
    assert!(whole.distinct.len() > 1, "{:?}", whole.distinct);
    let told_apart: u64 = whole.distinct.iter().map(|distinct| distinct.seeds).sum();
    assert!(
        told_apart < whole.invalid,
        "ten of each property are enough"
    );
    for distinct in &whole.distinct {
        let first = whole
            .failures
            .iter()
            .find(|(seed, _)| *seed == distinct.first);
        let (_, finding) = first.expect("it is one of the failures");
        assert_eq!(finding.property, distinct.property);
    }
}

#[test]
fn the_number_of_jobs_has_no_say() {
    for jobs in [2, 3] {
        assert_eq!(*WHOLE, campaign(jobs).run(&**CASE, Watch::nobody()));
    }
}

#[test]
fn a_campaign_stops_at_the_seed_that_shows_one_distinct_failure_more() {
    let until = |distinct, jobs| {
        Campaign {
            distinct: NonZeroU64::new(distinct),
            ..campaign(jobs)
        }
        .run(&**CASE, Watch::nobody())
    };
    let one = until(1, 1);
    assert_eq!((one.distinct.len(), one.invalid), (1, 1));
    assert_eq!(one.next_seed(), one.failures[0].0.0 + 1);
    let two = until(2, 1);
    assert_eq!(two.distinct.len(), 2);
    assert!(two.seeds < SEEDS && two.invalid > 1);
    let (last, _) = two.failures.last().unwrap();
    assert_eq!(
        (two.next_seed(), two.distinct[1].first),
        (last.0 + 1, *last)
    );
    assert_eq!(two, until(2, 2));
    let all = until(1_000_000, 2);
    let told_apart: u64 = all.distinct.iter().map(|distinct| distinct.seeds).sum();
    assert_eq!((all.seeds, told_apart), (SEEDS, all.invalid));
    assert_eq!(all.digest, WHOLE.digest, "telling apart changes no run");
}

/// One bug, and every seed that shows it shows it in another place at another time.
#[test]
fn the_same_failure_at_other_times_to_other_nodes_is_one() {
    let case = bully_with("1/50");
    let campaign = Campaign {
        seeds: 0..100,
        distinct: NonZeroU64::new(5),
        ..Campaign::default()
    };
    let summary = campaign.run(&*case, Watch::nobody());
    assert!(summary.invalid > 10, "{}", summary.invalid);
    let shapes: Vec<_> = summary
        .distinct
        .iter()
        .map(|d| (d.property.as_str(), d.seeds))
        .collect();
    assert_eq!(shapes, [("split-brain", summary.invalid)]);
}

/// The file of a campaign that ended after some seeds.
fn saved_after(reports: u64) -> (TempDir, std::path::PathBuf, Summary) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("campaign.json");
    let (saved, so_far) = SavedCampaign::open(&file, &campaign(1), &**CASE).unwrap();
    assert_eq!(so_far, Summary::none(Seed(7)));
    let summary = interrupted(&campaign(1), so_far, reports, u64::MAX);
    saved.save(&summary).unwrap();
    (folder, file, summary)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Ended after any seed or round, on one thread or two, as often as you like.
    #[test]
    fn what_is_resumed_comes_to_the_same(
        ends in prop::collection::vec((1..SEEDS, 1_u64..4, 1_usize..3), 1..4),
        jobs in 1_usize..3,
    ) {
        let folder = tempdir()?;
        let file = folder.path().join("campaign.json");
        let mut before = 0;
        for (reports, rounds, jobs) in ends {
            let campaign = campaign(jobs);
            let (saved, so_far) = SavedCampaign::open(&file, &campaign, &**CASE).unwrap();
            prop_assert_eq!(so_far.seeds, before);
            let summary = interrupted(&campaign, so_far, reports, rounds);
            saved.save(&summary).unwrap();
            before = summary.seeds;
        }
        let campaign = campaign(jobs);
        let (saved, so_far) = SavedCampaign::open(&file, &campaign, &**CASE).unwrap();
        let summary = campaign.resume(&**CASE, so_far, Watch::nobody());
        prop_assert_eq!(&summary, &*WHOLE);
        // What is over stays as it is.
        saved.save(&summary).unwrap();
        let (_, so_far) = SavedCampaign::open(&file, &campaign, &**CASE).unwrap();
        prop_assert_eq!(campaign.resume(&**CASE, so_far, Watch::nobody()), summary);
        let files = fs::read_dir(folder.path())?.count();
        prop_assert_eq!(files, 1, "nothing is left beside the file");
    }
}

/// A good file, and what it says.
static GOOD: LazyLock<(Vec<u8>, Summary)> = LazyLock::new(|| {
    let (_folder, file, summary) = saved_after(40);
    (fs::read(file).unwrap(), summary)
});

/// Reads these bytes as the file of the campaign.
fn reading(bytes: &[u8]) -> Result<Summary, ResumeError> {
    let folder = tempdir().unwrap();
    let file = folder.path().join("campaign.json");
    fs::write(&file, bytes).unwrap();
    let read = SavedCampaign::open(&file, &campaign(1), &**CASE).map(|(_, summary)| summary);
    assert_eq!(fs::read(&file).unwrap(), bytes, "it is not touched");
    if let Err(error) = &read {
        let text = error.to_string();
        let named = text.starts_with(file.to_str().unwrap());
        assert!(named && text.lines().count() == 1, "{text}");
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_file_that_was_cut_off_is_refused(at in any::<Index>()) {
        let (good, _) = &*GOOD;
        // All but the line break at its end.
        let error = reading(&good[..at.index(good.len() - 1)]);
        prop_assert!(matches!(error, Err(ResumeError::Damaged { .. })), "{error:?}");
    }

    /// A bit that changes what the file says is noticed.
    #[test]
    fn a_file_with_a_wrong_bit_is_refused_or_says_the_same(at in any::<Index>(), bit in 0_u8..8) {
        let (good, summary) = &*GOOD;
        let mut bytes = good.clone();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        if let Ok(read) = reading(&bytes) {
            prop_assert_eq!(&read, summary);
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(reading(&bytes).is_err());
    }
}

#[test]
fn a_number_that_is_changed_by_hand_is_refused() {
    let (good, summary) = &*GOOD;
    let text = String::from_utf8(good.clone()).unwrap();
    let changed = text.replace(
        &format!("\"valid\":{}", summary.valid),
        &format!("\"valid\":{}", summary.valid + 1),
    );
    assert_ne!(text, changed);
    let error = reading(changed.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("damaged: its checksum"), "{error}");
    let other = text.replacen("\"format\":1", "\"format\":2", 1);
    let error = reading(other.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("format 2: expected format 1"), "{error}");
    let other = text.replacen("\"version\":\"", "\"version\":\"9.", 1);
    let error = reading(other.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("its version is 9."), "{error}");
}

/// Counts of probes are told apart by their place: those of another list are not gone on with.
#[test]
fn other_probes_are_another_campaign() {
    let (_folder, file, _) = saved_after(40);
    let (saved, mut so_far) = SavedCampaign::open(&file, &campaign(1), &**CASE).unwrap();
    so_far.probes.swap(0, 1);
    saved.save(&so_far).unwrap();
    match SavedCampaign::open(&file, &campaign(1), &**CASE) {
        Err(ResumeError::Other { what, .. }) => assert_eq!(what, "list of probes (its digest)"),
        other => panic!("not refused: {other:?}"),
    }
}

/// A file may say anything, and an error is one line all the same.
#[test]
fn what_a_file_says_does_not_reach_the_terminal_as_it_is() {
    let (_folder, file, _) = saved_after(1);
    for text in [
        r#"{"format":1,"campaign":{"version":"a\nb\u001b[2J"}}"#,
        r#"{"format":1,"campaign":{"version":"a"},"x\n\u001b":1}"#,
    ] {
        fs::write(&file, text).unwrap();
        let error = SavedCampaign::open(&file, &campaign(1), &**CASE).unwrap_err();
        let error = error.to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn another_campaign_is_refused() {
    let (_folder, file, _) = saved_after(40);
    let ask = |distinct| Campaign {
        distinct: NonZeroU64::new(distinct),
        ..campaign(1)
    };
    let refused = |file: &Path, campaign: &Campaign, case: &dyn Case| match SavedCampaign::open(
        file, campaign, case,
    ) {
        Err(ResumeError::Other { what, .. }) => what,
        other => panic!("not refused: {other:?}"),
    };
    let same = &**CASE;
    let range = Campaign {
        seeds: 7..8 + SEEDS,
        ..campaign(1)
    };
    let first = Campaign {
        stop_at_first: true,
        ..campaign(1)
    };
    let more = Campaign {
        tell_apart: 11,
        ..campaign(1)
    };
    let healthy = load("bully/healthy", &[]).unwrap();
    for (campaign, case, what) in [
        (&campaign(1), &*healthy, "scenario"),
        (
            &campaign(1),
            &*bully_with("1/11"),
            "scenario's content (its fingerprint)",
        ),
        (&range, same, "range of seeds"),
        (&first, same, "stopping at the first violation"),
        (&more, same, "number of failures told apart"),
        (&ask(1), same, "number of distinct failures asked for"),
    ] {
        assert_eq!(refused(&file, campaign, case), what);
    }
    assert!(SavedCampaign::open(&file, &campaign(2), same).is_ok());

    // More can be asked for, and less cannot.
    let folder = tempdir().unwrap();
    let file = folder.path().join("campaign.json");
    let (saved, so_far) = SavedCampaign::open(&file, &ask(1), same).unwrap();
    saved
        .save(&ask(1).resume(same, so_far, Watch::nobody()))
        .unwrap();
    let (saved, so_far) = SavedCampaign::open(&file, &ask(2), same).unwrap();
    let two = ask(2).resume(same, so_far, Watch::nobody());
    assert_eq!(two, ask(2).run(same, Watch::nobody()));
    saved.save(&two).unwrap();
    assert_eq!(
        refused(&file, &ask(1), same),
        "number of distinct failures asked for"
    );
}

#[test]
fn a_place_that_cannot_be_written_is_found_out_at_once() {
    let folder = tempdir().unwrap();
    let open = |file: &Path| SavedCampaign::open(file, &campaign(1), &**CASE).unwrap_err();
    assert!(matches!(open(folder.path()), ResumeError::Read { .. }));
    let nowhere = folder.path().join("nowhere/campaign.json");
    assert!(matches!(open(&nowhere), ResumeError::Write { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What somebody else's test looks like.
fn checked(sets: &[&str]) {
    let failures = tempdir().unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let case = load("bully/partition-heals", &sets).unwrap();
    if let Err(message) = splitbrain::testing::check(&*case, 5, failures.path()) {
        let path = failures.path().to_str().unwrap();
        let written: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
        // Nothing is written down of a variable that makes no sense.
        assert_eq!(written.len(), usize::from(message.contains(path)));
        let is_small = |folder: &fs::DirEntry| folder.path().join("shrunk/replay.json").exists();
        assert!(written.iter().all(is_small));
        let message = message.replace(path, "FAILURES");
        panic!("{message}");
    }
}

#[test]
#[ignore = "fails: the tests below run it and read what it says"]
fn a_test_that_fails() {
    checked(&["checks.skip=['agreement', 'convergence', 'one-leader-per-component']"]);
}

#[test]
#[ignore = "the test below runs it and reads what it says"]
fn a_test_that_passes() {
    checked(&[]);
}

/// Runs one of those tests alone. Returns whether it passes, and what it says on both streams.
fn run_alone(test: &str, seed: Option<&str>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // Two threads: with one, tests run on the main thread, which has no test's name.
    command.args(["--exact", test, "--ignored", "--test-threads=2"]);
    for variable in ["SPLITBRAIN_SEED", "SPLITBRAIN_SEEDS", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    if let Some(seed) = seed {
        command.env("SPLITBRAIN_SEED", seed);
    }
    let output = command.output().unwrap();
    let text = [output.stderr, output.stdout].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn assert_in_order(text: &str, expected: &[&str]) {
    let mut rest = text;
    for &expected in expected {
        let Some((_, behind)) = rest.split_once(expected) else {
            panic!("expected {expected:?} in {rest}\nof {text}");
        };
        rest = behind;
    }
}

#[test]
fn a_failing_test_says_the_verdict_the_seed_the_size_and_one_command() {
    let (passed, said) = run_alone("a_test_that_fails", None);
    assert!(!passed);
    assert_in_order(
        &said,
        &[
            "\nbully/partition-heals: seed 0 violates split-brain, which is not expected\n",
            "seed 0, invalid: split-brain at 2.450s: ",
            "shrunk from 1 fault, 36 operations, 5 servers, 20s\n         to 1 fault, 0 operations, ",
            " runs:\n",
            "== partition halves: ",
            " !! split-brain !!",
            " both believe themselves coordinator ",
            "see FAILURES/bully-partition-heals-0\n",
            "again: SPLITBRAIN_SEED=0x0 cargo test a_test_that_fails\n",
        ],
    );
    let commands = said.matches("cargo ").count() + said.matches("splitbrain replay").count();
    assert_eq!(commands, 1, "one is enough: {said}");
    assert!(!said.contains("seed 0 (0x0)"), "it is not loud");
}

#[test]
fn one_seed_is_loud_whatever_it_comes_to() {
    let (passed, said) = run_alone("a_test_that_fails", Some("0x3"));
    assert!(!passed);
    assert_in_order(
        &said,
        &[
            "\nbully/partition-heals: after each partition",
            "== partition halves: ",
            " !! split-brain !!",
            "\nseed 3 (0x3): invalid: split-brain: ",
            "1 fault in 2.450s of virtual time; digest ",
            "\"partitions\":1,",
            "again: SPLITBRAIN_SEED=0x3 cargo test a_test_that_fails\n",
        ],
    );
    // A test that passes is silent in the standard harness, unless something is written past it.
    let (passed, said) = run_alone("a_test_that_passes", Some("3"));
    assert!(passed, "{said}");
    assert_in_order(
        &said,
        &[
            "\nbully/partition-heals: after each partition",
            "== partition halves: ",
            "== partition heals: ",
            "\nseed 3 (0x3): valid\n",
            " faults in ",
            "\"partitions\":",
        ],
    );
    let (passed, said) = run_alone("a_test_that_passes", None);
    assert!(passed && !said.contains("partition"), "{said}");
    let (passed, said) = run_alone("a_test_that_passes", Some("3x"));
    assert!(!passed && said.contains("SPLITBRAIN_SEED=3x: "), "{said}");
}
