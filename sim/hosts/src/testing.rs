//! What the tests of this crate share.

use proptest::test_runner::Config;

/// How many cases a property is tried on: `SPLITBRAIN_FUZZ_CASES`, or as many as take little time.
///
/// # Panics
/// If the variable is set to what is no number.
pub(crate) fn cases() -> Config {
    let cases = std::env::var("SPLITBRAIN_FUZZ_CASES").ok();
    Config {
        cases: cases.map_or(2000, |cases| {
            cases.parse().expect("SPLITBRAIN_FUZZ_CASES is a number")
        }),
        failure_persistence: None,
        ..Config::default()
    }
}
