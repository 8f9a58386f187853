//! A cluster that a script drives: the commands.

use super::process::Process;
use super::words::{self, Arguments, Filter};
use super::{Protocol, Setup};
use splitbrain::{Invariant, Links, Node, NodeId, OpId, Status, Time};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many messages `stabilize` delivers before it says that the cluster never gets quiet.
const STABILIZE_LIMIT: usize = 10_000;

pub(super) type MessageOf<P> = <<P as Protocol>::Node as Node>::Message;

/// A message in flight.
pub(super) struct Letter<M> {
    pub(super) number: u64,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) message: M,
}

/// The state of one script.
pub(super) struct Script<P: Protocol> {
    pub(super) now: Time,
    pub(super) auto_sync: bool,
    pub(super) configs: Vec<<P::Node as Node>::Config>,
    pub(super) nodes: Vec<Option<P::Node>>,
    pub(super) status: Vec<Status>,
    pub(super) processes: Vec<Process<P::Node>>,
    pub(super) links: Links,
    /// Those not yet violated: what a violated one says afterwards means nothing.
    pub(super) invariants: Vec<Box<dyn Invariant<P::Node>>>,
    pub(super) flying: Vec<Letter<MessageOf<P>>>,
    pub(super) next_number: u64,
    pub(super) open: BTreeMap<OpId, NodeId>,
    pub(super) next_op: OpId,
    pub(super) printed: String,
}

impl<P: Protocol> Script<P> {
    pub(super) fn new() -> Script<P> {
        Script {
            now: Time::ZERO,
            auto_sync: true,
            configs: Vec::new(),
            nodes: Vec::new(),
            status: Vec::new(),
            processes: Vec::new(),
            links: Links::whole(0),
            invariants: Vec::new(),
            flying: Vec::new(),
            next_number: 1,
            open: BTreeMap::new(),
            next_op: OpId(1),
            printed: String::new(),
        }
    }

    /// Runs one command and returns what it prints.
    pub(super) fn run(&mut self, command: &str) -> Result<String, String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some((&verb, words)) = words.split_first() else {
            return Ok(String::new());
        };
        match verb {
            "quietly" => self.quietly(words)?,
            "cluster" => self.cluster(words)?,
            "timer" => self.timer(words)?,
            "deliver" => self.deliver(words)?,
            "drop" => self.drop(words)?,
            "duplicate" => self.duplicate(words)?,
            "stabilize" => self.stabilize(words)?,
            "invoke" => self.invoke(words)?,
            "sync" => self.sync(words)?,
            "auto-sync" => self.set_auto_sync(words)?,
            "crash" => self.crash(words)?,
            "restart" => self.restart(words)?,
            "wipe" => self.wipe(words)?,
            "corrupt" => self.corrupt(words)?,
            "disk" => self.disk(words)?,
            "pause" => self.turn(words, Status::Up, Status::Paused)?,
            "resume" => self.turn(words, Status::Paused, Status::Up)?,
            "partition" => self.partition(words)?,
            "heal" => self.heal(words)?,
            "clock" => self.clock(words)?,
            "messages" => self.messages(words)?,
            "state" => self.state(words)?,
            _ => return Err(format!("there is no command `{verb}`")),
        }
        Ok(std::mem::take(&mut self.printed))
    }

    /// Runs a command whose output is told elsewhere. What must not happen is printed all the same.
    fn quietly(&mut self, words: &[&str]) -> Result<(), String> {
        let printed = self.run(&words.join(" "))?;
        let lines = printed.split_inclusive('\n');
        let violations = lines.filter(|line| line.starts_with("VIOLATION"));
        self.printed = violations.collect();
        Ok(())
    }

    fn cluster(&mut self, words: &[&str]) -> Result<(), String> {
        let mut arguments = Arguments::parse(words)?;
        let Setup {
            configs,
            invariants,
        } = P::cluster(&mut arguments)?;
        arguments.finish()?;
        let count = configs.len();
        *self = Script {
            processes: configs
                .iter()
                .enumerate()
                .map(|(index, config)| {
                    Process::new(NodeId::from_index(index), P::Node::format(config))
                })
                .collect(),
            nodes: (0..count).map(|_| None).collect(),
            status: vec![Status::Down; count],
            links: Links::whole(count),
            configs,
            invariants,
            ..Script::new()
        };
        for index in 0..count {
            self.start(NodeId::from_index(index));
        }
        Ok(())
    }

    fn timer(&mut self, words: &[&str]) -> Result<(), String> {
        let [node, wanted] = words else {
            return Err("expected `timer n1 election`".into());
        };
        let id = self.up(node)?;
        let armed = &self.processes[id.index()].timers;
        let fits = |timer: &&<P::Node as Node>::Timer| {
            let name = format!("{timer:?}").to_lowercase();
            let mut parts = name.split(|c: char| !c.is_alphanumeric());
            parts.any(|part| part.starts_with(&wanted.to_lowercase()))
        };
        let mut fitting = armed.iter().filter(fits);
        let (Some(&timer), None) = (fitting.next(), fitting.next()) else {
            return Err(format!("not one timer of {id}; armed are {armed:?}"));
        };
        self.processes[id.index()].timers.remove(&timer);
        self.print(format_args!("{id}: timer {timer:?}"));
        self.step(id, |node, cx| node.on_timer(timer, cx));
        Ok(())
    }

    fn deliver(&mut self, words: &[&str]) -> Result<(), String> {
        for number in self.select(words, |to| self.reads(to))? {
            self.deliver_one(number);
        }
        Ok(())
    }

    fn drop(&mut self, words: &[&str]) -> Result<(), String> {
        for number in self.select(words, |_| true)? {
            let letter = self.take(number);
            let text = P::message(&letter.message);
            self.print(format_args!("{} -x {}: {text}", letter.from, letter.to));
        }
        Ok(())
    }

    fn duplicate(&mut self, words: &[&str]) -> Result<(), String> {
        for number in self.select(words, |_| true)? {
            let letter = self.take(number);
            self.fly(letter.from, letter.to, letter.message.clone());
            self.flying.push(letter);
            self.flying.sort_by_key(|letter| letter.number);
        }
        Ok(())
    }

    fn stabilize(&mut self, words: &[&str]) -> Result<(), String> {
        nothing_more(words)?;
        for _ in 0..STABILIZE_LIMIT {
            let mut deliverable = self.flying.iter().filter(|letter| self.reads(letter.to));
            let Some(number) = deliverable.next().map(|letter| letter.number) else {
                return Ok(());
            };
            self.deliver_one(number);
        }
        Err(format!(
            "not quiet after {STABILIZE_LIMIT} messages: the nodes answer each other for ever"
        ))
    }

    fn invoke(&mut self, words: &[&str]) -> Result<(), String> {
        let Some((node, words)) = words.split_first() else {
            return Err("expected `invoke n4` and an operation".into());
        };
        let id = self.up(node)?;
        let op = P::op(words)?;
        let number = self.next_op;
        self.next_op.0 += 1;
        self.open.insert(number, id);
        self.print(format_args!("{id}: op{} {}", number.0, words.join(" ")));
        self.step(id, |node, cx| node.on_invoke(number, op, cx));
        Ok(())
    }

    fn sync(&mut self, words: &[&str]) -> Result<(), String> {
        let [node] = words else {
            return Err("expected `sync n1`".into());
        };
        let id = self.up(node)?;
        if !self.processes[id.index()].holds() {
            return Err(format!("{id} has no sync pending"));
        }
        self.print(format_args!("{id}: durable"));
        self.complete_sync(id);
        self.settle(id);
        Ok(())
    }

    fn set_auto_sync(&mut self, words: &[&str]) -> Result<(), String> {
        self.auto_sync = match words {
            ["on"] => true,
            ["off"] => false,
            _ => return Err("expected `auto-sync on` or `auto-sync off`".into()),
        };
        if self.auto_sync && self.processes.iter().any(Process::holds) {
            return Err("a sync is pending: `sync` that node first".into());
        }
        Ok(())
    }

    fn crash(&mut self, words: &[&str]) -> Result<(), String> {
        let [node] = words else {
            return Err("expected `crash n1`".into());
        };
        let id = self.existing(node)?;
        if self.status[id.index()] == Status::Down {
            return Err(format!("{id} is down already"));
        }
        self.print(format_args!("{id}: crashes"));
        self.stop(id);
        self.observe(id);
        Ok(())
    }

    /// Takes everything from the disk of a node that is down.
    fn wipe(&mut self, words: &[&str]) -> Result<(), String> {
        let [node] = words else {
            return Err("expected `wipe n1`".into());
        };
        let id = self.existing(node)?;
        if self.status[id.index()] != Status::Down {
            return Err(format!("{id} is not down: `crash` it first"));
        }
        self.processes[id.index()].wipe();
        Ok(())
    }

    /// Makes one record unreadable on the disk of a node that is down.
    fn corrupt(&mut self, words: &[&str]) -> Result<(), String> {
        let [node, position] = words else {
            return Err("expected `corrupt n1 3`".into());
        };
        let id = self.existing(node)?;
        if self.status[id.index()] != Status::Down {
            return Err(format!("{id} is not down: `crash` it first"));
        }
        let process = &mut self.processes[id.index()];
        match position.parse() {
            Ok(position) if process.corrupt(position) => Ok(()),
            _ => Err(format!(
                "`{position}` is no record of {id}: it has {}, counted from 0",
                process.durable().len()
            )),
        }
    }

    /// Lists what is on the disk of a node, and durable.
    fn disk(&mut self, words: &[&str]) -> Result<(), String> {
        let [node] = words else {
            return Err("expected `disk n1`".into());
        };
        let id = self.existing(node)?;
        let mut list = format!("{id}, on its disk:\n");
        for (position, record) in self.processes[id.index()].durable().iter().enumerate() {
            let text = match record {
                Ok(record) => P::record(record),
                Err(damage) => damage.to_string(),
            };
            let _ = writeln!(list, "  {position}: {text}");
        }
        self.printed += &list;
        Ok(())
    }

    /// The process of a node ends: only what is durable is left.
    pub(super) fn stop(&mut self, id: NodeId) {
        self.nodes[id.index()] = None;
        self.status[id.index()] = Status::Down;
        let (records, outputs) = self.processes[id.index()].crash();
        if records > 0 {
            self.print(format_args!(
                "  loses {records} record(s) that were not durable"
            ));
        }
        if outputs > 0 {
            self.print(format_args!(
                "  never sends {outputs} held message(s) or answer(s)"
            ));
        }
        let on_their_way = self.flying.extract_if(.., |letter| letter.to == id).count();
        if on_their_way > 0 {
            self.print(format_args!(
                "  misses {on_their_way} message(s) on their way to it"
            ));
        }
        let lost: Vec<OpId> = self
            .open
            .extract_if(.., |_, at| *at == id)
            .map(|(op, _)| op)
            .collect();
        for op in lost {
            self.print(format_args!("  op{} -> info", op.0));
        }
    }

    fn restart(&mut self, words: &[&str]) -> Result<(), String> {
        let [node] = words else {
            return Err("expected `restart n1`".into());
        };
        let id = self.existing(node)?;
        if self.status[id.index()] != Status::Down {
            return Err(format!("{id} is not down"));
        }
        self.start(id);
        Ok(())
    }

    fn turn(&mut self, words: &[&str], from: Status, to: Status) -> Result<(), String> {
        let [node] = words else {
            return Err("expected the name of a node".into());
        };
        let id = self.existing(node)?;
        if self.status[id.index()] != from {
            return Err(format!("{id} is {:?}", self.status[id.index()]));
        }
        self.status[id.index()] = to;
        Ok(())
    }

    fn partition(&mut self, words: &[&str]) -> Result<(), String> {
        let groups = words::groups(words)?;
        if let Some(stranger) = groups.keys().find(|id| id.index() >= self.nodes.len()) {
            return Err(format!("there is no {stranger}"));
        }
        self.links = Links::whole(self.nodes.len());
        for (&from, group) in &groups {
            for (&to, other) in &groups {
                if group != other {
                    self.links.cut(from, to);
                }
            }
        }
        Ok(())
    }

    fn heal(&mut self, words: &[&str]) -> Result<(), String> {
        nothing_more(words)?;
        self.links = Links::whole(self.nodes.len());
        Ok(())
    }

    fn clock(&mut self, words: &[&str]) -> Result<(), String> {
        let [step] = words else {
            return Err("expected `clock +250ms`".into());
        };
        self.now = words::later(self.now, step)?;
        Ok(())
    }

    fn messages(&mut self, words: &[&str]) -> Result<(), String> {
        nothing_more(words)?;
        let mut list = String::new();
        for letter in &self.flying {
            let text = P::message(&letter.message);
            let _ = writeln!(
                list,
                "#{} {} -> {}: {text}",
                letter.number, letter.from, letter.to
            );
        }
        if list.is_empty() {
            list.push_str("none in flight\n");
        }
        self.printed += &list;
        Ok(())
    }

    fn state(&mut self, words: &[&str]) -> Result<(), String> {
        let only = words.iter().map(|word| self.existing(word));
        let only: Vec<NodeId> = only.collect::<Result<_, _>>()?;
        for index in 0..self.nodes.len() {
            let id = NodeId::from_index(index);
            if !only.is_empty() && !only.contains(&id) {
                continue;
            }
            let line = match (&self.nodes[index], self.status[index]) {
                (Some(node), Status::Paused) => format!("{} (paused)", P::state(node)),
                (Some(node), _) => P::state(node),
                (None, _) => "down".to_owned(),
            };
            self.print(format_args!("{id}: {line}"));
        }
        Ok(())
    }

    /// The messages in flight to these receivers that are meant; it is an error if there is none.
    fn select(
        &self,
        words: &[&str],
        receivers: impl Fn(NodeId) -> bool,
    ) -> Result<Vec<u64>, String> {
        let filter = Filter::parse(words)?;
        let selected: Vec<u64> = self
            .flying
            .iter()
            .filter(|letter| {
                let text = P::message(&letter.message);
                receivers(letter.to) && filter.fits(letter.number, letter.from, letter.to, &text)
            })
            .map(|letter| letter.number)
            .collect();
        if selected.is_empty() {
            return Err("no such message is in flight (to a node that is not paused)".into());
        }
        Ok(selected)
    }

    pub(super) fn take(&mut self, number: u64) -> Letter<MessageOf<P>> {
        let at = self
            .flying
            .iter()
            .position(|letter| letter.number == number);
        self.flying
            .remove(at.expect("a selected message is in flight"))
    }

    /// Whether messages to this node go anywhere: to a paused one they wait.
    fn reads(&self, id: NodeId) -> bool {
        self.status[id.index()] != Status::Paused
    }

    fn existing(&self, name: &str) -> Result<NodeId, String> {
        let id = words::node(name)?;
        match self.nodes.len() {
            0 => Err("there is no cluster yet: begin with `cluster`".into()),
            count if id.index() < count => Ok(id),
            count => Err(format!("there is no {id}: the nodes are n1 to n{count}")),
        }
    }

    fn up(&self, name: &str) -> Result<NodeId, String> {
        let id = self.existing(name)?;
        match self.status[id.index()] {
            Status::Up => Ok(id),
            status => Err(format!("{id} is {status:?}")),
        }
    }

    pub(super) fn print(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.printed, "{line}");
    }
}

fn nothing_more(words: &[&str]) -> Result<(), String> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(format!("`{word}` is one word too many")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::toy::Toy;

    #[test]
    fn a_command_that_cannot_be_followed_says_why() {
        let mut script = Script::<Toy>::new();
        let mut error = |command| script.run(command).expect_err(command);
        assert_eq!(
            error("crash n1"),
            "there is no cluster yet: begin with `cluster`"
        );
        assert_eq!(error("cluster kings=2"), "this protocol knows no `kings`");
        script.run("cluster notaries=2").unwrap();
        for (command, why) in [
            ("clap", "there is no command `clap`"),
            (
                "cluster notaries=x",
                "`notaries=x`: not a value that `notaries` can have",
            ),
            ("cluster 3", "`3` is not of the form key=value"),
            ("crash n3", "there is no n3: the nodes are n1 to n2"),
            ("crash 1", "`1` is not a node: expected n1, n2, n3, .."),
            ("timer n1 war", "not one timer of n1; armed are {Chat}"),
            (
                "deliver",
                "no such message is in flight (to a node that is not paused)",
            ),
            ("deliver #x", "`#x` is not the number of a message"),
            ("deliver a b", "`b` is a second kind of message"),
            ("stabilize n1", "`n1` is one word too many"),
            ("sync n1", "n1 has no sync pending"),
            ("corrupt n1 0", "n1 is not down: `crash` it first"),
            ("disk", "expected `disk n1`"),
            ("resume n1", "n1 is Up"),
            ("restart n1", "n1 is not down"),
            ("partition n1,n2 | n2", "n2 is on two sides"),
            ("partition n1 | n3", "there is no n3"),
            (
                "clock 5ms",
                "`5ms` is not a step of the clock: expected +250ms or +2s",
            ),
            ("invoke n1 war", "the operation is `deed`"),
        ] {
            assert_eq!(script.run(command).expect_err(command), why);
        }
    }

    #[test]
    fn a_cluster_that_never_gets_quiet_is_an_error() {
        let mut script = Script::<Toy>::new();
        script.run("cluster notaries=2").unwrap();
        script.run("timer n1 chat").unwrap();
        assert!(
            script
                .run("stabilize")
                .unwrap_err()
                .starts_with("not quiet")
        );
    }
}
