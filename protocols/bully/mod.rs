//! The bully algorithm: H. Garcia-Molina, *Elections in a Distributed Computing System*, IEEE Transactions on
//! Computers C-31(1), January 1982, section III.
//!
//! The highest member that is alive is the coordinator. Whoever misses the coordinator asks all higher members
//! whether they are alive; if one answers, it leaves the matter to them; if none does within the time that an answer
//! can take, it *is* the highest, and tells everybody. A member that comes back does the same, and so takes over from
//! lower ones at once: hence the name.
//!
//! # What it assumes, and what happens when that is not so
//!
//! The paper assumes a network that delivers every message within a known time *T*, and nodes that never pause.
//! Silence then proves death. There is no quorum and no term, so nothing else stands between two coordinators:
//!
//! * **Under a partition each side elects its own coordinator.** That is no defect of this implementation but a
//!   property of the algorithm, and the invariant [`SplitBrain`] is expected to be violated. (The paper answers with
//!   a different algorithm, by invitation, in section IV. Raft answers with majorities.)
//! * A coordinator that was paused still believes that it is one when it goes on, until it hears of a higher one; if
//!   it is the highest itself, it is obeyed again.
//! * A very late `Coordinator` message of a dead member is believed, for as long as it takes to miss its heartbeats.
//! * Where "can talk to" is not transitive, a side may have no coordinator at all: a high member that sees both sides
//!   answers the elections of the lower side, and leaves it waiting for a coordinator that cannot reach it.
//!
//! What holds in spite of that is that the mistake is mended, within [`Settings::settle`] after the network is
//! whole and timely again: [`OneLeaderPerComponent`] and [`Agreement`].
//!
//! # From the paper to the code
//!
//! | paper | here |
//! |---|---|
//! | `S(i).s` = Election | [`Role::Electing`], and [`Role::Waiting`] once a higher member has answered |
//! | `S(i).s` = Normal, `S(i).c` = j | [`Role::Obeying`] j, [`Role::Coordinating`] when j is the member itself |
//! | `S(i).s` = Reorganization, `S(i).d` | nothing: they hand out the application's task, and there is none |
//! | `S(i).s` = Down | the node does not exist; on [`start`](splitbrain_core::Node::start) it holds an election |
//! | "are you there", "are you normal" calls | [`Message::Election`], [`Message::Answer`]; [`Message::Heartbeat`] |
//! | procedure `ELECTION` | `start_election` in `node.rs`; its announcement is [`Message::Coordinator`] |
//! | *T*, and waiting longer than 2*T* | [`Settings::message_delay_ms`], [`Settings::answer_timeout_ms`] |
//!
//! Two things differ. The paper's nodes call each other and wait for the reply; here they are messages and timers,
//! as in the textbooks. And the coordinator is not asked whether it is well, it says so by itself.
//!
//! # Several coordinators at once
//!
//! `Coordinator` and `Heartbeat` are the same claim ("I coordinate"), made once to everybody and then over and over.
//! A member believes the highest claim that it hears: it leaves the lower one, steps down if it coordinates itself, and
//! ignores lower claims until the higher one has been silent for too long. A coordinator answers a lower claim with its
//! own. So two coordinators that can talk are one coordinator a heartbeat later, whatever was lost on the way, and a
//! member that sees both sides of a partition does not sway between them.

mod config;
mod invariants;
mod message;
mod node;
mod observe;

pub use config::{Config, Settings, cluster};
pub use invariants::{Agreement, OneLeaderPerComponent, SplitBrain, all};
pub use message::{Message, Nothing, Op, Timer};
pub use node::{Member, Role};
pub use observe::{converged, coordinator};
