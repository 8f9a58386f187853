//! A proxy: it calls services for those who do not want to know their instances (discovery on the server's side).

use super::caller::Caller;
use super::engine::Asker;
use super::message::Message;
use super::{Config, Peer, Timer};
use splitbrain_core::{Context, NodeId};

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    caller: Caller,
}

impl Proxy {
    /// What it calls with.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn start(config: &Config, cx: &mut Context<'_, Peer>) -> Proxy {
        Proxy {
            caller: Caller::start(config, cx),
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match self.caller.on_message(from, message, cx) {
            Ok(answers) => debug_assert!(answers.is_empty(), "it asks for nothing itself"),
            Err(Message::Relay(call)) => {
                let asker = Asker::Node(from, call.nonce);
                self.caller.call(asker, call.service, call.key, cx);
            }
            Err(_) => debug_assert!(false, "nobody sends that to a proxy"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        let answers = self.caller.on_timer(timer, cx);
        debug_assert!(answers.is_empty(), "it asks for nothing itself");
    }
}
