//! What happens to a node in one step, and the words that are printed about it.

use super::Protocol;
use super::script::{Letter, MessageOf, Script};
use splitbrain::{Cluster, Context, Effect, Node, NodeId, Outcome, Status};
use std::fmt::Write as _;

impl<P: Protocol> Script<P> {
    /// Starts a node, with what is on its disk.
    pub(super) fn start(&mut self, id: NodeId) {
        let process = &mut self.processes[id.index()];
        let (config, journal) = (&self.configs[id.index()], process.journal());
        let found = if process.is_new() { 0 } else { journal.len() };
        let (node, effects, notes) =
            process.call(self.now, |cx| P::Node::start(config, journal, cx));
        self.nodes[id.index()] = Some(node);
        self.status[id.index()] = Status::Up;
        match found {
            0 => self.print(format_args!("{id}: starts")),
            _ => self.print(format_args!("{id}: starts, with {found} record(s)")),
        }
        self.carry_out(id, effects, &notes);
        self.settle(id);
    }

    pub(super) fn deliver_one(&mut self, number: u64) {
        let Letter {
            from, to, message, ..
        } = self.take(number);
        let text = P::message(&message);
        if self.status[to.index()] == Status::Down {
            self.print(format_args!("{from} -x {to}: {text} (down)"));
            return;
        }
        self.print(format_args!("{to} <- {from}: {text}"));
        self.step(to, |node, cx| node.on_message(from, message, cx));
    }

    /// Runs a handler of a node that is up, and everything that follows from it.
    pub(super) fn step(
        &mut self,
        id: NodeId,
        handler: impl FnOnce(&mut P::Node, &mut Context<'_, P::Node>),
    ) {
        self.handle(id, handler);
        self.settle(id);
    }

    fn handle(
        &mut self,
        id: NodeId,
        handler: impl FnOnce(&mut P::Node, &mut Context<'_, P::Node>),
    ) {
        let Some(node) = &mut self.nodes[id.index()] else {
            unreachable!("{id} is up");
        };
        let ((), effects, notes) =
            self.processes[id.index()].call(self.now, |cx| handler(node, cx));
        self.carry_out(id, effects, &notes);
    }

    /// Completes syncs if that is automatic, and lets the invariants see the step.
    pub(super) fn settle(&mut self, id: NodeId) {
        while self.auto_sync && self.complete_sync(id) {}
        self.observe(id);
    }

    /// Makes the oldest pending sync of a node durable, if there is one.
    pub(super) fn complete_sync(&mut self, id: NodeId) -> bool {
        let Some((sync, output)) = self.processes[id.index()].synced() else {
            return false;
        };
        for effect in output {
            self.leave(id, effect);
        }
        self.handle(id, |node, cx| node.on_synced(sync, cx));
        true
    }

    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect<P::Node>>, notes: &[String]) {
        for note in notes {
            self.print(format_args!("  {note}"));
        }
        for effect in effects {
            match effect {
                Effect::Halt(reason) => {
                    self.print(format_args!("{id}: halts: {reason}"));
                    self.stop(id);
                    return;
                }
                Effect::SetTimer { timer, .. } => {
                    self.processes[id.index()].timers.insert(timer);
                }
                Effect::CancelTimer(timer) => {
                    self.processes[id.index()].timers.remove(&timer);
                }
                Effect::Append(ref record) => {
                    self.print(format_args!("  appends {}", P::record(record)));
                    self.processes[id.index()].push(effect);
                }
                Effect::Compact(ref records) => {
                    let list: Vec<String> = records.iter().map(P::record).collect();
                    self.print(format_args!("  compacts to {}", list.join(", ")));
                    self.processes[id.index()].push(effect);
                }
                Effect::Sync(_) => {
                    if !self.auto_sync {
                        self.print(format_args!("  syncs"));
                    }
                    self.processes[id.index()].push(effect);
                }
                Effect::Probe(index) => {
                    self.print(format_args!(
                        "  reached: {}",
                        <P::Node as Node>::PROBES[index]
                    ));
                }
                Effect::Send { .. } | Effect::Complete { .. }
                    if self.processes[id.index()].holds() =>
                {
                    if !self.auto_sync {
                        self.print(format_args!("  holds {}", Self::text(&effect)));
                    }
                    self.processes[id.index()].push(effect);
                }
                output => self.leave(id, output),
            }
        }
    }

    /// Output leaves the node.
    fn leave(&mut self, id: NodeId, effect: Effect<P::Node>) {
        let mut text = Self::text(&effect);
        // Only where it makes a difference.
        let overtakes = !self.auto_sync && self.processes[id.index()].holds();
        if overtakes && matches!(effect, Effect::SendEager { .. }) {
            text.push_str(" (eager)");
        }
        match effect {
            Effect::Send { to, message } | Effect::SendEager { to, message } => {
                if to.index() < self.nodes.len() && self.links.connected(id, to) {
                    self.print(format_args!("  {text}"));
                    self.fly(id, to, message);
                } else {
                    self.print(format_args!("  {} (cut)", text.replacen("->", "-x", 1)));
                }
            }
            Effect::Complete { id: op, .. } => match self.open.remove(&op) {
                Some(_) => self.print(format_args!("  {text}")),
                None => self.print(format_args!("  {text} (ignored: answered before)")),
            },
            _ => unreachable!("only output leaves a node"),
        }
    }

    fn text(effect: &Effect<P::Node>) -> String {
        match effect {
            Effect::Send { to, message } | Effect::SendEager { to, message } => {
                format!("-> {to}: {}", P::message(message))
            }
            Effect::Complete { id, outcome } => match outcome {
                Outcome::Ok(ret) => format!("op{} -> ok {}", id.0, P::ret(ret)),
                Outcome::Fail(why) => format!("op{} -> fail: {why}", id.0),
                Outcome::Info => format!("op{} -> info", id.0),
            },
            _ => unreachable!("only output is shown like this"),
        }
    }

    pub(super) fn observe(&mut self, touched: NodeId) {
        let cluster = Cluster::new(self.now, &self.nodes, &self.status, &self.links);
        let printed = &mut self.printed;
        self.invariants
            .retain_mut(|invariant| match invariant.observe(cluster, touched) {
                Ok(()) => true,
                Err(violation) => {
                    let _ = writeln!(printed, "VIOLATION of {violation}");
                    false
                }
            });
    }

    pub(super) fn fly(&mut self, from: NodeId, to: NodeId, message: MessageOf<P>) {
        self.flying.push(Letter {
            number: self.next_number,
            from,
            to,
            message,
        });
        self.next_number += 1;
    }
}
