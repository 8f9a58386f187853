//! Places in lines: taking one, giving it back, and what a leader says from its own.

use super::super::line::Line;
use super::super::op::How;
use super::super::step::Step;
use super::super::{Peer, election};
use super::{Client, NOT_HELD, Recipe, Then};
use crate::kv::{Key, LeaseId, Value};
use crate::service;
use splitbrain_core::{Context, Node, OpId, Outcome};
use std::num::NonZeroU64;
use std::time::Duration;

impl Client {
    /// Takes a place, after giving back the one that it has.
    pub(super) fn stand(
        &mut self,
        id: OpId,
        prefix: &Key,
        (how, parties): (How, Option<NonZeroU64>),
        value: Value,
        wait: Duration,
        cx: &mut Context<'_, Peer>,
    ) {
        // Zero is the one number in 2^64 that is none.
        let Some(lease) = LeaseId::new(cx.rng().next_u64().max(1)) else {
            return;
        };
        let line = Line::new(prefix, how, lease, self.settings.ttl_ms, value);
        self.stood += 1;
        match self.places.remove(prefix) {
            Some(place) => {
                let step = Step::revoke(place.lease);
                let then = Then::Stand(line, parties);
                self.begin(id, wait, Recipe::Back(then), step, cx);
            }
            None => {
                self.run(id, wait, Recipe::Line(line, parties), cx);
            }
        }
    }

    pub(super) fn give_back(
        &mut self,
        id: OpId,
        prefix: &Key,
        wait: Duration,
        then: Then,
        cx: &mut Context<'_, Peer>,
    ) {
        // Before anybody else can have it.
        let Some(place) = self.places.remove(prefix) else {
            cx.complete(id, Outcome::Fail(NOT_HELD));
            return;
        };
        let step = Step::revoke(place.lease);
        self.begin(id, wait, Recipe::Back(then), step, cx);
    }

    /// Gives up a place without a word: its lease is not kept alive any more.
    pub(super) fn abandon(&mut self, prefix: &Key, cx: &mut Context<'_, Peer>) {
        let Some(place) = self.places.remove(prefix) else {
            return;
        };
        let id = OpId(self.next_op);
        self.next_op += 1;
        let op = service::Op::Abandon { lease: place.lease };
        let Client {
            service, doings, ..
        } = self;
        cx.part(doings, |cx| service.on_invoke(id, op, cx));
    }

    pub(super) fn proclaim(
        &mut self,
        id: OpId,
        prefix: Key,
        value: Value,
        cx: &mut Context<'_, Peer>,
    ) {
        let Some(place) = self.places.get(&prefix) else {
            cx.complete(id, Outcome::Fail(NOT_HELD));
            return;
        };
        let once = election::proclaim(&place.own, place.token, place.lease, value);
        self.run(id, Duration::ZERO, Recipe::Proclaim(prefix, once), cx);
    }
}
