//! Messages that are sent back as soon as they arrive: the kernel with nothing in it.

use splitbrain::{
    Context, Journal, Latency, LinkProfile, Node, NodeId, OpId, Outcome, Ratio, Seed, Span, World,
    WorldConfig,
};

/// A message of 64 bytes.
pub type Payload = [u64; 8];

/// Starts some messages to its neighbours, and answers every message it gets.
#[derive(Clone, Debug)]
pub struct Echo {
    received: u64,
}

/// What an echo node knows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many messages each node starts.
    pub outstanding: usize,
}

impl Node for Echo {
    type Message = Payload;
    type Timer = ();
    type Record = ();
    type Op = ();
    type Ret = ();
    type Config = Config;

    fn start(config: &Config, _: Journal<()>, cx: &mut Context<'_, Self>) -> Self {
        let own = cx.id().index();
        for nth in 0..config.outstanding {
            let to = (own + 1 + nth % (config.nodes - 1)) % config.nodes;
            cx.send(NodeId::from_index(to), [nth as u64; 8]);
        }
        Echo { received: 0 }
    }
    fn on_message(&mut self, from: NodeId, mut message: Payload, cx: &mut Context<'_, Self>) {
        self.received += 1;
        message[0] = self.received;
        cx.send(from, message);
    }
    fn on_timer(&mut self, (): (), _: &mut Context<'_, Self>) {}
    fn on_invoke(&mut self, id: OpId, (): (), cx: &mut Context<'_, Self>) {
        cx.complete(id, Outcome::Ok(()));
    }
}

/// A world of five nodes with 20 messages outstanding each, 1 to 10 ms of latency, and draws for loss and duplication
/// that are made but (almost) never hit, so that the number of messages stays the same.
pub fn world(seed: u64) -> World<Echo> {
    world_with(seed, 20)
}

/// The same with so many messages outstanding.
pub fn world_with(seed: u64, outstanding: usize) -> World<Echo> {
    let rare = Ratio::new(1, u32::MAX).unwrap_or(Ratio::NEVER);
    let links = LinkProfile {
        latency: Latency::uniform(Span::from_millis(1), Span::from_millis(10)),
        loss: rare,
        duplication: rare,
        ..LinkProfile::default()
    };
    let config = WorldConfig {
        links,
        ..WorldConfig::default()
    };
    World::new(
        Seed(seed),
        &config,
        vec![
            Config {
                nodes: 5,
                outstanding
            };
            5
        ],
    )
}
