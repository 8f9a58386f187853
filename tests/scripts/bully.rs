//! Bully election in scripts: `cluster members=5`, and the operation `coordinator`.

use super::driver::{Arguments, Protocol, Setup};
use splitbrain::NodeId;
use splitbrain_protocols::bully::{self, Member, Message, Nothing, Op, Role, Settings};

/// The adapter.
pub(crate) struct Bully;

impl Protocol for Bully {
    type Node = Member;

    fn cluster(arguments: &mut Arguments) -> Result<Setup<Member>, String> {
        let members = arguments.take("members")?.unwrap_or(5);
        let settings = Settings::default();
        Ok(Setup {
            configs: bully::cluster(members, settings),
            invariants: bully::all(&settings),
        })
    }

    fn op(words: &[&str]) -> Result<Op, String> {
        match words {
            ["coordinator"] => Ok(Op::Coordinator),
            _ => Err("the only operation is `coordinator`".into()),
        }
    }

    fn message(message: &Message) -> String {
        format!("{message:?}")
    }

    fn record(record: &Nothing) -> String {
        match *record {}
    }

    fn ret(ret: &Option<NodeId>) -> String {
        ret.map_or("nobody".into(), |coordinator| coordinator.to_string())
    }

    fn state(member: &Member) -> String {
        match member.role() {
            Role::Electing => "holds an election".into(),
            Role::Waiting => "waits for a coordinator".into(),
            Role::Obeying(coordinator) => format!("obeys {coordinator}"),
            Role::Coordinating => "coordinates".into(),
        }
    }
}
