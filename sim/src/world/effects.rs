//! Carrying out what a handler did, in order (law 4).

use super::process::Held;
use super::{Ended, Event, Point, TAG_END, What, World, tag};
use crate::network::{Fate, Passage, keyed};
use splitbrain_core::{Effect, Node, NodeId, OpId, Outcome, SyncId, Time};
use std::time::Duration;

/// A message that was sent, with its fate.
#[derive(Clone, Debug)]
pub(super) struct Sent<N: Node> {
    from: NodeId,
    to: NodeId,
    incarnation: u32,
    message: N::Message,
    delay_ns: u64,
    copy_delay_ns: Option<u64>,
}

impl<N: Node> Sent<N> {
    pub(super) fn link(&self) -> (NodeId, NodeId) {
        (self.from, self.to)
    }
}

impl<N: Node> World<N> {
    /// Carries out the effects of the last handler call, and forgets them.
    #[inline]
    pub(super) fn carry_out(&mut self, node: NodeId) {
        if let Some(trace) = &mut self.trace {
            for words in self.notes.drain(..) {
                trace.push(self.now, What::Note { node, words });
            }
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            if self.carry_out_one(node, effect) {
                break; // it has ended itself, or crashed at this point: the rest does not happen
            }
        }
        self.effects = effects;
    }

    /// Returns whether the node has stopped at this point.
    #[inline]
    fn carry_out_one(&mut self, node: NodeId, effect: Effect<N>) -> bool {
        let process = &mut self.processes[node.index()];
        match effect {
            Effect::Send { to, message } if process.outbox.is_empty() => {
                self.transmit(node, to, message);
                return self.crashes_at(node, &Point::AfterSend);
            }
            Effect::Send { to, message } => process.outbox.push_back(Held::Send { to, message }),
            Effect::SendEager { to, message } => {
                self.transmit_out_of_line(node, to, message);
                return self.crashes_at(node, &Point::AfterSend);
            }
            Effect::Complete { id, outcome } if process.outbox.is_empty() => {
                self.end_op(id, outcome);
            }
            Effect::Complete { id, outcome } => {
                process.outbox.push_back(Held::Complete { id, outcome });
            }
            Effect::SetTimer { timer, after } => self.set_timer(node, timer, after),
            Effect::CancelTimer(timer) => process.timers.cancel(timer),
            Effect::Append(record) => process.disk.append(record),
            Effect::Sync(sync) => self.sync(node, sync),
            rare => return self.carry_out_rare(node, rare),
        }
        false
    }

    /// What no message or timer waits for: kept apart, so that the others have a short way. Returns the same.
    #[cold]
    fn carry_out_rare(&mut self, node: NodeId, effect: Effect<N>) -> bool {
        match effect {
            Effect::Compact(records) => {
                self.processes[node.index()].disk.compact(records);
                self.crashes_at(node, &Point::Compaction)
            }
            Effect::Halt(reason) => {
                self.halt(node, reason);
                true
            }
            Effect::Probe(index) => {
                self.reach(node, index);
                self.crashes_at_probe(node, index)
            }
            _ => unreachable!("all others are carried out by the caller"),
        }
    }

    #[inline]
    pub(super) fn set_timer(&mut self, node: NodeId, timer: N::Timer, after: Duration) {
        let process = &mut self.processes[node.index()];
        let after = if self.unusual {
            process.clock.true_time(after)
        } else {
            after
        };
        let deadline = self.queue.next_position(self.now + after);
        if let Some(slot) = process.timers.set(timer, deadline) {
            let incarnation = process.incarnation;
            self.queue.push(
                deadline,
                Event::Timer {
                    node,
                    incarnation,
                    slot,
                },
            );
        }
    }

    fn sync(&mut self, node: NodeId, sync: SyncId) {
        let process = &mut self.processes[node.index()];
        let mark = process.disk.mark(sync);
        // The address of a sync's duration: syncs of one node at one instant differ by their number.
        let draw = keyed(
            self.disk_key,
            [node.index() as u64, self.now.as_nanos(), sync.0],
        );
        let delays = match process.sync_delays.last() {
            Some((_, delays)) => delays,
            None => &self.sync_delays,
        };
        let done = self.now + Duration::from_nanos(delays.draw(draw));
        let done = done.max(process.disk.busy_until);
        process.disk.busy_until = done;
        process.outbox.push_back(Held::Barrier(sync));
        let incarnation = process.incarnation;
        let position = self.queue.next_position(done);
        self.queue.push(
            position,
            Event::Synced {
                node,
                incarnation,
                mark,
            },
        );
    }

    /// Lets the output leave that waited for the sync whose barrier was just taken away.
    pub(super) fn release(&mut self, node: NodeId) {
        loop {
            let outbox = &mut self.processes[node.index()].outbox;
            if let None | Some(Held::Barrier(_)) = outbox.front() {
                return;
            }
            match outbox.pop_front() {
                Some(Held::Send { to, message }) => {
                    self.transmit_out_of_line(node, to, message);
                    // A crash here empties the outbox.
                    self.crashes_at(node, &Point::AfterSend);
                }
                Some(Held::Complete { id, outcome }) => self.end_op(id, outcome),
                Some(Held::Barrier(_)) | None => return,
            }
        }
    }

    #[inline(never)]
    fn transmit_out_of_line(&mut self, from: NodeId, to: NodeId, message: N::Message) {
        self.transmit(from, to, message);
    }

    /// Hands a message to the network.
    #[expect(clippy::inline_always, reason = "once a message: as with `travel`")]
    #[inline(always)]
    fn transmit(&mut self, from: NodeId, to: NodeId, message: N::Message) {
        self.stats.messages_sent += 1;
        self.trace_detail(|| What::Send {
            from,
            to,
            message: format!("{message:?}"),
        });
        let Some(receiver) = self.processes.get(to.index()) else {
            self.stats.dropped_unknown_node += 1;
            self.trace_detail(|| What::Drop {
                from,
                to,
                why: "there is no such node",
            });
            return;
        };
        let incarnation = receiver.incarnation;
        // Asked of every message, so that a cut does not change the address of a later one.
        let fate = self.network.fate(from, to, self.now);
        if !self.links.connected(from, to) {
            self.stats.dropped_by_partition += 1;
            self.trace_detail(|| What::Drop {
                from,
                to,
                why: "the link is cut",
            });
            return;
        }
        match fate {
            Fate::Lost => self.lose(from, to, "lost"),
            Fate::Delivered {
                delay_ns,
                copy_delay_ns,
            } => {
                let sent = Sent {
                    from,
                    to,
                    incarnation,
                    message,
                    delay_ns,
                    copy_delay_ns,
                };
                if self.network.has_special_links() {
                    self.pass(sent);
                } else {
                    self.travel(sent);
                }
            }
        }
    }

    /// A message is on its way after all.
    #[cold]
    #[inline(never)]
    pub(super) fn let_go(&mut self, sent: Sent<N>) {
        self.travel(sent);
    }

    /// A message is on its way.
    #[expect(
        clippy::inline_always,
        reason = "once a message: a copy of it less, a tenth of all instructions"
    )]
    #[inline(always)]
    fn travel(&mut self, sent: Sent<N>) {
        let Sent {
            from,
            to,
            incarnation,
            message,
            delay_ns,
            copy_delay_ns,
        } = sent;
        if let Some(copy_delay_ns) = copy_delay_ns {
            self.stats.duplicated += 1;
            let message = message.clone();
            self.deliver_at(
                copy_delay_ns,
                Event::Deliver {
                    from,
                    to,
                    incarnation,
                    message,
                },
            );
        }
        self.deliver_at(
            delay_ns,
            Event::Deliver {
                from,
                to,
                incarnation,
                message,
            },
        );
    }

    /// A message comes to a link that may be more than latency, loss and duplication.
    #[cold]
    fn pass(&mut self, mut sent: Sent<N>) {
        let Sent { from, to, .. } = sent;
        let size_bytes = N::size_bytes(&sent.message);
        let wait = |sent: &mut Sent<N>, wait_ns: u64| {
            sent.delay_ns = sent.delay_ns.saturating_add(wait_ns);
            sent.copy_delay_ns = sent.copy_delay_ns.map(|ns| ns.saturating_add(wait_ns));
        };
        match self.network.passage(from, to, self.now, size_bytes) {
            Passage::Through { wait_ns } => {
                wait(&mut sent, wait_ns);
                self.let_go(sent);
            }
            Passage::Clogged { wait_ns } => {
                wait(&mut sent, wait_ns);
                self.stats.clogged += 1;
                self.clogged.push(sent);
            }
            Passage::LostInBurst => {
                self.stats.dropped_in_bursts += 1;
                self.lose(from, to, "lost in a burst");
            }
            Passage::Overflow => {
                self.stats.dropped_by_overflow += 1;
                self.trace_detail(|| What::Drop {
                    from,
                    to,
                    why: "the queue of the link is full",
                });
            }
        }
    }

    #[cold]
    fn lose(&mut self, from: NodeId, to: NodeId, why: &'static str) {
        self.stats.dropped_by_loss += 1;
        self.trace_detail(|| What::Drop { from, to, why });
    }

    #[inline]
    fn deliver_at(&mut self, delay_ns: u64, event: Event<N>) {
        let at = Time::from_nanos(self.now.as_nanos().saturating_add(delay_ns));
        let position = self.queue.next_position(at);
        self.queue.push(position, event);
    }

    /// Ends an operation in the history; a second end is counted and ignored.
    pub(super) fn end_op(&mut self, id: OpId, outcome: Outcome<N::Ret>) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else {
            self.stats.late_answers += 1;
            return;
        };
        let open = self.open.swap_remove(at);
        let process = open.process;
        self.digest
            .value(tag(TAG_END, 0, self.now), &(process.0, &outcome));
        self.trace_note(|| {
            let outcome = match &outcome {
                Outcome::Ok(ret) => format!("ok {ret:?}"),
                Outcome::Fail(why) => format!("fail: {why}"),
                Outcome::Info => "info: nobody knows".to_owned(),
            };
            What::End {
                node: open.node,
                process,
                outcome,
            }
        });
        let now_ns = self.now.as_nanos();
        match &outcome {
            Outcome::Ok(ret) => {
                self.stats.ops_ok += 1;
                self.history.ok(now_ns, process, ret.clone());
            }
            Outcome::Fail(_) => {
                self.stats.ops_fail += 1;
                self.history.fail(now_ns, process);
            }
            Outcome::Info => {
                self.stats.ops_info += 1;
                self.history.info(now_ns, process);
            }
        }
        self.ended.push(Ended { process, outcome });
    }
}
