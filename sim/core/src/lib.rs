//! What a protocol author needs, and nothing else.
//!
//! A protocol is a [`Node`]: a pure state machine that is given events and answers with effects through its
//! [`Context`]. Everything it may know of the world is in this crate: [`Time`], its [`Journal`], its own [`Rng`].
//! Properties of a whole cluster are [`Invariant`]s over a [`Cluster`].
//!
//! ```
//! use splitbrain_core::{Context, Journal, Node, NodeId, OpId, Outcome};
//!
//! /// Answers every ping; counts what it has answered.
//! #[derive(Clone)]
//! struct Echo {
//!     answered: u64,
//! }
//!
//! #[derive(Clone, Debug)]
//! enum Message {
//!     Ping,
//!     Pong,
//! }
//!
//! impl Node for Echo {
//!     type Message = Message;
//!     type Timer = ();
//!     type Record = ();
//!     type Op = ();
//!     type Ret = u64;
//!     type Config = ();
//!
//!     fn start(_: &(), _: Journal<()>, _: &mut Context<'_, Self>) -> Self {
//!         Echo { answered: 0 }
//!     }
//!     fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Self>) {
//!         if let Message::Ping = message {
//!             self.answered += 1;
//!             cx.send(from, Message::Pong);
//!         }
//!     }
//!     fn on_timer(&mut self, _: (), _: &mut Context<'_, Self>) {}
//!     fn on_invoke(&mut self, id: OpId, _: (), cx: &mut Context<'_, Self>) {
//!         cx.complete(id, Outcome::Ok(self.answered));
//!     }
//! }
//! ```
#![warn(missing_docs)]

mod cluster;
mod context;
mod id;
mod journal;
mod node;
mod part;
mod probe;
mod ratio;
mod seed;
mod time;

pub use cluster::{Cluster, Invariant, Links, Status, Violation};
pub use context::{Context, Effect};
pub use id::{NodeId, NotANode, OpId, SyncId};
pub use journal::{Damage, Journal};
pub use node::{Node, Outcome, SyncError};
pub use part::{Contains, Doings, concatenated};
#[doc(hidden)]
pub use probe::position as probe_position;
pub use ratio::{NotARatio, Ratio};
pub use seed::{Purpose, Rng, Seed};
pub use time::{Time, nanos};
