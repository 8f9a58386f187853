//! Every scenario of the catalog is a test: `cargo test raft/mixed`.

use libtest_mimic::{Arguments, Failed, Trial};
use splitbrain_scenarios::{NAMES, load};
use std::path::Path;
use std::process::ExitCode;

/// How many seeds of each scenario a plain `cargo test` runs.
const SEEDS: u64 = 25;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let failures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../failures");
    let trial = |name: &&'static str| {
        let (name, failures) = (*name, failures.clone());
        Trial::test(name, move || {
            let case = load(name, &[])?;
            splitbrain::testing::check(&*case, SEEDS, &failures)
                .map(drop)
                .map_err(Failed::from)
        })
    };
    libtest_mimic::run(&arguments, NAMES.iter().map(trial).collect()).exit_code()
}
