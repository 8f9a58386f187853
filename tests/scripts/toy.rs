//! A node that exists to show the driver: a notary, who writes a deed down before he confirms it.

use super::driver::{Arguments, Protocol, Setup};
use splitbrain::{Cluster, Context, Invariant, Journal, Node, NodeId, OpId, Outcome, Violation};

/// The adapter.
pub(crate) struct Toy;

#[derive(Clone)]
pub(crate) struct Notary {
    /// The one whom to tell, round robin; nobody if the notary is alone.
    next: Option<NodeId>,
    deeds: u32,
    durable: u32,
    told: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// So many deeds are written, and safe.
    Written(u32),
    /// A new deed is here, not yet safe.
    Rumour,
    /// Thank you: to be answered by the same, for ever.
    Thanks,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    Chat,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Deed(u32);

impl Node for Notary {
    type Message = Message;
    type Timer = Timer;
    type Record = Deed;
    type Op = ();
    type Ret = Deed;
    type Config = Option<NodeId>;

    fn start(next: &Option<NodeId>, journal: Journal<Deed>, cx: &mut Context<'_, Self>) -> Notary {
        cx.set_timer(Timer::Chat, std::time::Duration::from_secs(1));
        let deeds = journal.len() as u32;
        Notary {
            next: *next,
            deeds,
            durable: deeds,
            told: 0,
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Self>) {
        match message {
            Message::Written(deeds) => self.told = deeds,
            Message::Rumour => cx.note(format_args!("hears a rumour")),
            Message::Thanks => cx.send(from, Message::Thanks),
        }
    }

    fn on_timer(&mut self, Timer::Chat: Timer, cx: &mut Context<'_, Self>) {
        self.next.inspect(|&next| cx.send(next, Message::Thanks));
    }

    fn on_invoke(&mut self, id: OpId, (): (), cx: &mut Context<'_, Self>) {
        self.deeds += 1;
        cx.append(Deed(self.deeds));
        cx.sync();
        if let Some(next) = self.next {
            cx.send_eager(next, Message::Rumour);
            cx.send(next, Message::Written(self.deeds));
        }
        cx.complete(id, Outcome::Ok(Deed(self.deeds)));
    }

    fn on_synced(&mut self, _: splitbrain::SyncId, cx: &mut Context<'_, Self>) {
        self.durable += 1;
        cx.note(format_args!("has {} deed(s) on disk", self.durable));
    }
}

/// A deliberately false hope: nobody ever hears of three deeds.
#[derive(Debug)]
struct FewDeeds;

impl Invariant<Notary> for FewDeeds {
    fn property(&self) -> &'static str {
        "few-deeds"
    }
    fn observe(&mut self, cluster: Cluster<'_, Notary>, id: NodeId) -> Result<(), Violation> {
        match cluster.node(id) {
            Some(notary) if notary.told > 2 => {
                self.violated(format!("{id} was told of {} deeds", notary.told))
            }
            _ => Ok(()),
        }
    }
}

impl Protocol for Toy {
    type Node = Notary;

    fn cluster(arguments: &mut Arguments) -> Result<Setup<Notary>, String> {
        let notaries: usize = arguments.take("notaries")?.unwrap_or(1);
        let next = |index| (notaries > 1).then(|| NodeId::from_index((index + 1) % notaries));
        Ok(Setup {
            configs: (0..notaries).map(next).collect(),
            invariants: vec![Box::new(FewDeeds)],
        })
    }

    fn op(words: &[&str]) -> Result<(), String> {
        match words {
            ["deed"] => Ok(()),
            _ => Err("the operation is `deed`".into()),
        }
    }

    fn message(message: &Message) -> String {
        match message {
            Message::Written(deeds) => format!("Written deeds={deeds}"),
            Message::Rumour => "Rumour".into(),
            Message::Thanks => "Thanks".into(),
        }
    }

    fn record(Deed(number): &Deed) -> String {
        format!("deed {number}")
    }

    fn ret(Deed(number): &Deed) -> String {
        format!("deed {number}")
    }

    fn state(notary: &Notary) -> String {
        format!(
            "deeds={} durable={} told={}",
            notary.deeds, notary.durable, notary.told
        )
    }
}
