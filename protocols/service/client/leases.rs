//! Keeping leases alive: what the client asks of the leader, and what it makes of the answers.

use super::super::message::{KeepAlive, KeepAliveReply, Kept, Message};
use super::super::probes::PROBES;
use super::super::{Peer, Timer};
use super::Client;
use splitbrain_core::{Context, NodeId, probe};
use std::time::Duration;

impl Client {
    /// Forgets what is lost, and asks for what is to be kept alive.
    pub(super) fn see_to_holdings(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        for lease in self.holdings.lost(now) {
            probe!(cx, "a client lost a lease that nobody kept alive");
            cx.note(format_args!("has lost lease {lease}"));
        }
        let again = Duration::from_millis(self.settings.raft.client_try_ms);
        let mut in_vain = false;
        while let Some((lease, nonce, unanswered)) = {
            let rng = cx.rng();
            self.holdings.next_to_ask(now, again, || rng.next_u64())
        } {
            if unanswered && !in_vain {
                // All go to the same server: it is enough to try the next one once.
                in_vain = true;
                self.keeper = self.next_server(self.keeper);
                probe!(cx, "a client asked the next server to keep a lease alive");
            }
            let message = Message::KeepAlive(KeepAlive { lease, nonce });
            cx.send(self.servers[self.keeper], message);
        }
        match self.holdings.next_due() {
            Some(due) => cx.set_timer(Timer::Holdings, due.since(now)),
            None => cx.cancel_timer(Timer::Holdings),
        }
    }

    pub(super) fn on_keep_alive_reply(
        &mut self,
        from: NodeId,
        reply: KeepAliveReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let KeepAliveReply { lease, nonce, kept } = reply;
        if !self.holdings.awaits(lease, nonce) {
            return;
        }
        match kept {
            Kept::Alive => {
                self.keeper = self.place(from).unwrap_or(self.keeper);
                self.holdings.kept(lease, nonce);
            }
            Kept::Gone => {
                cx.note(format_args!("has lost lease {lease}"));
                self.holdings.forget(lease);
            }
            Kept::NotLeader(Some(leader)) => {
                // The same request: it says when it was sent.
                self.keeper = self.place(leader).unwrap_or(self.keeper);
                let message = Message::KeepAlive(KeepAlive { lease, nonce });
                if leader != from {
                    cx.send(leader, message);
                }
            }
            Kept::NotLeader(None) => {}
        }
        self.see_to_holdings(cx);
    }
}
