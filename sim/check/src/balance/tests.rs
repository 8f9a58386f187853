//! Each claim kept, and broken.

use super::*;

fn pick(eligible: &[(&str, u64)], picked: &str) -> Pick {
    Pick {
        eligible: eligible
            .iter()
            .map(|(name, outstanding)| ((*name).into(), *outstanding))
            .collect(),
        picked: (!picked.is_empty()).then(|| picked.into()),
        key: None,
    }
}

fn idle(picks: &[&str]) -> Vec<Pick> {
    picks
        .iter()
        .map(|picked| pick(&[("a", 0), ("b", 0), ("c", 0)], picked))
        .collect()
}

fn keyed(key: &str, eligible: &[(&str, u64)], picked: &str) -> Pick {
    Pick {
        key: Some(key.into()),
        ..pick(eligible, picked)
    }
}

fn found(claim: Claim, picks: &[Pick]) -> String {
    let words: Vec<String> = check(claim, picks)
        .iter()
        .map(Violation::to_string)
        .collect();
    words.join("\n")
}

#[test]
fn only_who_may_be_picked_is() {
    for claim in [Claim::RoundRobin, Claim::LeastOutstanding, Claim::Sticky] {
        assert_eq!(found(claim, &[pick(&[("a", 0)], "a"), pick(&[], "")]), "");
    }
    insta::assert_snapshot!(found(Claim::Sticky, &[pick(&[("a", 0)], "b")]), @"pick 0: b was picked, but may not be");
    insta::assert_snapshot!(found(Claim::Sticky, &[pick(&[("a", 0)], "a"), pick(&[("a", 0)], "")]), @"pick 1: nobody was picked, although 1 could have been");
    insta::assert_snapshot!(found(Claim::Sticky, &[pick(&[], "a")]), @"pick 0: a was picked, but may not be");
}

#[test]
fn round_robin_takes_turns() {
    let round_robin = |picks: &[&str]| found(Claim::RoundRobin, &idle(picks));
    assert_eq!(round_robin(&["b", "c", "a", "b", "a", "c"]), "");
    insta::assert_snapshot!(round_robin(&["b", "c", "b", "a"]), @"pick 2: b was picked 2 times, and a 0 times, while the instances stayed the same");
    // Another membership is another round.
    let two = [("a", 0), ("b", 0)];
    let changed = [
        pick(&two, "a"),
        pick(&[("a", 0), ("c", 0)], "a"),
        pick(&two, "a"),
        pick(&two, "b"),
    ];
    assert_eq!(found(Claim::RoundRobin, &changed), "");
}

#[test]
fn a_spread_is_about_even() {
    let spread = |picks: &[&str], picks_each_min| {
        let claim = Claim::Spread {
            ratio_max: (3, 2),
            picks_each_min,
        };
        found(claim, &idle(picks))
    };
    assert_eq!(spread(&["a", "a", "a", "b", "b", "c", "c"], 2), "");
    insta::assert_snapshot!(spread(&["a", "a", "a", "a", "b", "b", "c", "c"], 2), @"pick 7: a was picked 4 times, and b 2 times, while the instances stayed the same");
    assert_eq!(spread(&["a", "a", "a", "a", "b", "b", "c", "c"], 3), "");
    insta::assert_snapshot!(spread(&["a", "a", "b"], 1), @"pick 2: a was picked 2 times, and c 0 times, while the instances stayed the same");
}

#[test]
fn the_least_busy_is_picked() {
    let busy = [("a", 2), ("b", 1), ("c", 1)];
    assert_eq!(
        found(
            Claim::LeastOutstanding,
            &[pick(&busy, "b"), pick(&busy, "c")]
        ),
        ""
    );
    insta::assert_snapshot!(found(Claim::LeastOutstanding, &[pick(&busy, "a")]), @"pick 0: a was picked with 2 outstanding, and b had 1");
}

#[test]
fn the_better_one_of_two_is_never_the_worst() {
    let busy = [("a", 3), ("b", 2), ("c", 1)];
    assert_eq!(
        found(
            Claim::TwoChoices,
            &[pick(&busy, "b"), pick(&busy, "c"), pick(&[("a", 3)], "a")]
        ),
        ""
    );
    assert_eq!(
        found(
            Claim::TwoChoices,
            &[pick(&[("a", 3), ("b", 3), ("c", 1)], "a")]
        ),
        ""
    );
    insta::assert_snapshot!(found(Claim::TwoChoices, &[pick(&busy, "a")]), @"pick 0: a was picked with 3 outstanding, and c had 1");
}

#[test]
fn loads_are_bounded() {
    let claim = Claim::BoundedLoads { factor: (5, 4) };
    // Of 12 with the new one, 4 each on the average: 5 are allowed.
    assert_eq!(
        found(claim, &[pick(&[("a", 4), ("b", 4), ("c", 3)], "a")]),
        ""
    );
    insta::assert_snapshot!(found(claim, &[pick(&[("a", 5), ("b", 3), ("c", 3)], "a")]), @"pick 0: a was picked and has 6 outstanding then, of 12 in all; 5 are allowed");
}

#[test]
fn a_key_stays_where_it_is() {
    let two = [("a", 0), ("b", 0)];
    assert_eq!(
        found(
            Claim::Sticky,
            &[
                keyed("x", &two, "a"),
                keyed("y", &two, "b"),
                keyed("x", &two, "a")
            ]
        ),
        ""
    );
    insta::assert_snapshot!(found(Claim::Sticky, &[keyed("x", &two, "a"), keyed("x", &two, "b")]), @"pick 1: x went to b, and before to a, while the instances stayed the same");
    assert_eq!(
        found(
            Claim::Sticky,
            &[keyed("x", &two, "a"), keyed("x", &[("b", 0)], "b")]
        ),
        ""
    );
}

#[test]
fn picks_have_a_json_form() {
    let picks = [pick(&[("a", 1)], "a"), keyed("x", &[], "")];
    let text = serde_json::to_string(&picks).unwrap();
    insta::assert_snapshot!(text, @r#"[{"eligible":{"a":1},"picked":"a"},{"eligible":{},"picked":null,"key":"x"}]"#);
    assert_eq!(serde_json::from_str::<Vec<Pick>>(&text).unwrap(), picks);
}
