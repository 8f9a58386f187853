//! What locks protect: reading and writing at the resource, with the token of the lock.

use super::super::message::{Access, AccessReply, Message, Verdict};
use super::super::op::{How, Name, Ret};
use super::super::probes::PROBES;
use super::super::{Peer, Timer};
use super::{Client, NOT_HELD, Recipe, Running, prefix};
use crate::kv::Value;
use splitbrain_core::{Context, OpId, Outcome, probe};
use std::time::Duration;

impl Client {
    pub(super) fn use_lock(
        &mut self,
        id: OpId,
        lock: Name,
        write: Option<Value>,
        cx: &mut Context<'_, Peer>,
    ) {
        let prefix = prefix("lock", &lock);
        let Some(place) = self.places.get_mut(&prefix) else {
            cx.complete(id, Outcome::Fail(NOT_HELD));
            return;
        };
        match (place.how, &write) {
            (How::Exclusive, _) | (How::Shared, None) => {}
            (How::Shared, Some(_)) => {
                cx.complete(id, Outcome::Fail("readers do not write"));
                return;
            }
            (How::Permit(_) | How::Member, _) => {
                cx.complete(id, Outcome::Fail("who is not alone fences nobody"));
                return;
            }
        }
        place.accesses += 1;
        let access = Access {
            lock,
            token: place.token,
            nth: place.accesses,
            write,
        };
        self.running = Some(Running {
            id,
            deadline: cx.now() + Duration::from_millis(self.settings.access_deadline_ms),
            recipe: Recipe::Access(prefix, access),
            asked: OpId(u64::MAX),
        });
        self.access(false, cx);
    }

    /// Asks the resource, if the lock may still be relied on, and there is time.
    pub(super) fn access(&mut self, again: bool, cx: &mut Context<'_, Peer>) {
        let Some(Running {
            recipe: Recipe::Access(prefix, access),
            deadline,
            ..
        }) = &self.running
        else {
            return;
        };
        let holds = self
            .places
            .get(prefix)
            .is_some_and(|place| place.token == access.token);
        if !holds {
            probe!(cx, "a client did not use a lock that it had lost");
        }
        if !holds || *deadline <= cx.now() {
            // It was sent before, and may arrive yet. Whoever cannot use a lock does not keep it.
            let prefix = prefix.clone();
            self.abandon(&prefix, cx);
            self.end(Outcome::Info, cx);
            return;
        }
        if again {
            probe!(cx, "a holder asked the resource again");
        }
        cx.send(self.resource, Message::Access(access.clone()));
        let again = Duration::from_millis(self.settings.access_try_ms);
        cx.set_timer(Timer::Access, again.min(deadline.since(cx.now())));
    }

    pub(super) fn on_access_reply(&mut self, reply: AccessReply, cx: &mut Context<'_, Peer>) {
        let Some(Running {
            recipe: Recipe::Access(prefix, access),
            ..
        }) = &self.running
        else {
            return;
        };
        let AccessReply {
            lock,
            token,
            nth,
            verdict,
        } = reply;
        if (&lock, token, nth) != (&access.lock, access.token, access.nth) {
            return;
        }
        let ret = match verdict {
            Verdict::Accepted(_) if access.write.is_some() => Ret::Written,
            Verdict::Accepted(value) => Ret::Value(value),
            Verdict::Refused(seen) => {
                let prefix = prefix.clone();
                self.abandon(&prefix, cx);
                Ret::Fenced { seen }
            }
        };
        cx.cancel_timer(Timer::Access);
        self.end(Outcome::Ok(ret), cx);
    }
}
