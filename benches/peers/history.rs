//! The same histories of a register for both checkers: short, as the other one tries all orders.

use crate::table::processor_ns;
use ::stateright::semantics::register::{Register as TheirRegister, RegisterOp, RegisterRet};
use ::stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use splitbrain::check::generate::{Load, executed};
use splitbrain::check::models::register::{Op, Register, Ret};
use splitbrain::check::{Budget, History, Verdict, What, check};

/// So many histories are checked in a row.
const HISTORIES: u64 = 20;

fn histories() -> Vec<History<Op, Ret>> {
    let load = Load {
        operations: 24,
        processes: 3,
        info_per_mille: 0,
    };
    let history = |seed| {
        let mut now = None;
        executed(
            &load,
            seed,
            |below| match below(2) {
                0 => Op::Read,
                _ => Op::Write(below(3).cast_signed()),
            },
            move |op| match *op {
                Op::Read => Ret::Value(now),
                Op::Write(value) => {
                    now = Some(value);
                    Ret::Written
                }
            },
        )
    };
    (0..HISTORIES).map(history).collect()
}

/// Nanoseconds for a history.
pub(crate) fn ours() -> f64 {
    let histories = histories();
    let (took, ()) = processor_ns(|| {
        for history in &histories {
            let verdict = check(&Register, history, Budget::default());
            assert!(matches!(verdict, Ok(Verdict::Valid)));
        }
    });
    took / HISTORIES as f64
}

/// Nanoseconds for a history.
pub(crate) fn stateright() -> f64 {
    let histories = histories();
    let (took, ()) = processor_ns(|| {
        for history in &histories {
            let mut tester = LinearizabilityTester::new(TheirRegister(None));
            for event in history.events() {
                let process = event.process.0;
                let told = match &event.what {
                    What::Invoke(Op::Read) => tester.on_invoke(process, RegisterOp::Read),
                    What::Invoke(Op::Write(value)) => {
                        tester.on_invoke(process, RegisterOp::Write(Some(*value)))
                    }
                    What::Ok(Ret::Value(value)) => {
                        tester.on_return(process, RegisterRet::ReadOk(*value))
                    }
                    What::Ok(Ret::Written) => tester.on_return(process, RegisterRet::WriteOk),
                    What::Fail | What::Info => continue,
                };
                told.expect("each process does one thing at a time");
            }
            assert!(tester.is_consistent());
        }
    });
    took / HISTORIES as f64
}
