//! Stale reads: any server answers them, from what it has applied.

use super::super::message::{Message, StaleRead, StaleReadReply};
use super::super::op::Ret;
use super::super::{Peer, Timer};
use super::Client;
use crate::kv;
use splitbrain_core::{Context, OpId, Outcome, Time};
use std::time::Duration;

/// A stale read under way.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    id: OpId,
    nonce: u64,
    op: kv::Op,
    /// The server that was asked last, as an index into all servers.
    server: usize,
    ask_at: Time,
    give_up_at: Time,
}

impl Client {
    pub(super) fn read_stale(&mut self, id: OpId, op: kv::Op, cx: &mut Context<'_, Peer>) {
        if !op.is_read() {
            cx.complete(id, Outcome::Fail("only reads can be stale"));
            return;
        }
        if self.reads.len() >= self.settings.client_queue_max as usize {
            cx.complete(id, Outcome::Fail("too many reads wait for this client"));
            return;
        }
        let deadline = Duration::from_millis(self.settings.raft.client_deadline_ms);
        let reading = Reading {
            id,
            nonce: cx.rng().next_u64(),
            op,
            server: cx.rng().index(self.servers.len()),
            ask_at: cx.now(),
            give_up_at: cx.now() + deadline,
        };
        self.reads.push(reading);
        self.see_to_reads(cx);
    }

    /// Asks whoever is to be asked, and gives up what took too long.
    pub(super) fn see_to_reads(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let again = Duration::from_millis(self.settings.raft.client_try_ms);
        let servers = self.servers.len();
        self.reads.retain_mut(|reading| {
            if reading.give_up_at <= now {
                // It changed nothing, and never will.
                cx.complete(reading.id, Outcome::Fail("no server has answered"));
                return false;
            }
            if reading.ask_at <= now {
                reading.ask_at = now + again;
                reading.server = (reading.server + 1) % servers;
                let (nonce, op) = (reading.nonce, reading.op.clone());
                let message = Message::StaleRead(StaleRead { nonce, op });
                cx.send(self.servers[reading.server], message);
            }
            true
        });
        let dues = self.reads.iter();
        match dues
            .map(|reading| reading.ask_at.min(reading.give_up_at))
            .min()
        {
            Some(due) => cx.set_timer(Timer::Reads, due.since(now)),
            None => cx.cancel_timer(Timer::Reads),
        }
    }

    pub(super) fn on_stale_read_reply(
        &mut self,
        reply: StaleReadReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let mut reads = self.reads.iter();
        let Some(nth) = reads.position(|reading| reading.nonce == reply.nonce) else {
            return;
        };
        let reading = self.reads.remove(nth);
        cx.complete(
            reading.id,
            Outcome::Ok(Ret::Stale(reply.ret, reply.revision)),
        );
        self.see_to_reads(cx);
    }
}
