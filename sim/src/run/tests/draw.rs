//! What a scenario leaves to the seed.

use super::Singles;
use crate::case::{Case, Change, ProtocolEntry};
use crate::run::{Script, Verdict};
use crate::world::TraceDetail;
use splitbrain_core::Seed;
use std::collections::BTreeSet;
use std::path::Path;

fn load(more: &str, sets: &[&str]) -> Result<Box<dyn Case>, String> {
    let text = format!(
        "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = {{ servers = 1 }}\n{more}"
    );
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    ProtocolEntry::of::<Singles>()
        .load("test", &text, Path::new("test.toml"), &sets)
        .map_err(|error| error.to_string())
}

const LIES: &str = "[draw]\n'settings.quirk' = ['none', 'lie']\n'network.loss' = ['0', '1/10']\n";

fn property(case: &dyn Case, seed: u64) -> Option<String> {
    match case.run(Seed(seed), &Script::DRAWN, None).verdict {
        Verdict::Invalid(finding) => Some(finding.property),
        _ => None,
    }
}

#[test]
fn each_seed_draws_and_draws_the_same_again() {
    let case = load(LIES, &[]).unwrap();
    let (honest, liar) = (
        load("", &[]).unwrap(),
        load("settings = { quirk = 'lie' }", &[]).unwrap(),
    );
    let mut drawn = BTreeSet::new();
    for seed in 0..40 {
        let report = case.run(Seed(seed), &Script::DRAWN, None);
        let words = report.swarm.clone().unwrap();
        let like = if words.contains("\"lie\"") {
            &liar
        } else {
            &honest
        };
        let plain = like.run(Seed(seed), &Script::DRAWN, None);
        // One server sends nothing, so that lost messages make no difference.
        assert_eq!(
            (report.digest, &report.verdict),
            (plain.digest, &plain.verdict)
        );
        drawn.insert(words);
    }
    assert_eq!(drawn.len(), 4, "{drawn:?}");
}

#[test]
fn a_replay_says_what_was_drawn_and_other_seeds_draw_nothing_any_more() {
    let case = load(LIES, &[]).unwrap();
    let seed = (0..100)
        .find(|&seed| property(&*case, seed).is_some())
        .unwrap();
    let report = case.run(Seed(seed), &Script::DRAWN, Some(TraceDetail::Notes));
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("{:?}", report.verdict);
    };
    let json = case.replay_json(&report, finding).unwrap();
    let entry = ProtocolEntry::of::<Singles>();
    let (replayed, replay) = entry.load_replay(&json, Path::new("replay.json")).unwrap();
    let again = replayed.run(replay.seed, &replay.script, None);
    assert_eq!((again.digest, again.swarm), (report.digest, None));
    let fixed = case.changed(&Change::AsDrawn(Seed(seed))).unwrap();
    assert!((0..10).all(|seed| property(&*fixed, seed).is_some()));
    assert!(case.changed(&Change::RequireNothing).is_none());
}

#[test]
fn what_is_set_is_not_drawn() {
    let case = load(LIES, &["settings.quirk=lie"]).unwrap();
    assert!((0..10).all(|seed| property(&*case, seed).is_some()));
}

#[test]
fn a_combination_that_makes_no_sense_is_an_error_when_it_is_loaded() {
    for (draw, why) in [
        (
            "'settings.quirk' = ['none', 'snore']",
            "test.toml:5: draw: with settings.quirk = \"snore\": unknown variant `snore`",
        ),
        (
            "'settings.quirk' = []",
            "test.toml:6: draw.settings.quirk: expected at least one alternative",
        ),
        (
            "'summary' = ['a']",
            "draw.summary: expected the path of a value",
        ),
        ("'draw.x' = [1]", "expected the path of a value"),
        ("'network.loss.x' = ['0']", "draw"),
        ("'workload.keys' = [1, 0]", "draw: with workload.keys = 0"),
        ("a = 3", "invalid type"),
    ] {
        let error = load(&format!("[draw]\n{draw}\n"), &[])
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains(why), "{draw}: {error}");
    }
    let many: Vec<String> = (1..=101).map(|number| number.to_string()).collect();
    let many = many.join(", ");
    let too_many =
        format!("[draw]\n'workload.keys' = [{many}]\n'workload.operations' = [{many}]\n");
    let error = load(&too_many, &[]).map(|_| ()).unwrap_err();
    assert!(error.contains("more than 1000 combinations"), "{error}");
}
