//! The command `splitbrain`.

use std::process::ExitCode;

fn main() -> ExitCode {
    splitbrain_scenarios::cli::main()
}
