//! Carrying out what a handler did, in order (law 4).

use super::process::Held;
use super::{Ended, Event, TAG_END, What, World, tag};
use crate::network::{Fate, keyed};
use splitbrain_core::{Effect, Node, NodeId, OpId, Outcome, SyncId, Time};
use std::time::Duration;

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
            self.carry_out_one(node, effect);
        }
        self.effects = effects;
    }

    #[inline]
    fn carry_out_one(&mut self, node: NodeId, effect: Effect<N>) {
        let process = &mut self.processes[node.index()];
        match effect {
            Effect::Send { to, message } if process.outbox.is_empty() => {
                self.transmit(node, to, message);
            }
            Effect::Send { to, message } => process.outbox.push_back(Held::Send { to, message }),
            Effect::SendEager { to, message } => self.transmit(node, to, message),
            Effect::Complete { id, outcome } if process.outbox.is_empty() => self.end(id, outcome),
            Effect::Complete { id, outcome } => {
                process.outbox.push_back(Held::Complete { id, outcome });
            }
            Effect::SetTimer { timer, after } => self.set_timer(node, timer, after),
            Effect::CancelTimer(timer) => process.timers.cancel(timer),
            Effect::Append(record) => process.disk.append(record),
            Effect::Compact(records) => process.disk.compact(records),
            Effect::Sync(sync) => self.sync(node, sync),
            Effect::Probe(index) => self.reach(node, index),
        }
    }

    #[inline]
    fn set_timer(&mut self, node: NodeId, timer: N::Timer, after: Duration) {
        let process = &mut self.processes[node.index()];
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
        let done = self.now + Duration::from_nanos(self.sync_delays.draw(draw));
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
                Some(Held::Send { to, message }) => self.transmit(node, to, message),
                Some(Held::Complete { id, outcome }) => self.end(id, outcome),
                Some(Held::Barrier(_)) | None => return,
            }
        }
    }

    /// Hands a message to the network.
    #[inline]
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
            Fate::Lost => {
                self.stats.dropped_by_loss += 1;
                self.trace_detail(|| What::Drop {
                    from,
                    to,
                    why: "lost",
                });
            }
            Fate::Delivered {
                delay_ns,
                copy_delay_ns,
            } => {
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
        }
    }

    #[inline]
    fn deliver_at(&mut self, delay_ns: u64, event: Event<N>) {
        let at = Time::from_nanos(self.now.as_nanos().saturating_add(delay_ns));
        let position = self.queue.next_position(at);
        self.queue.push(position, event);
    }

    /// Ends an operation in the history; a second end is counted and ignored.
    pub(super) fn end(&mut self, id: OpId, outcome: Outcome<N::Ret>) {
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
