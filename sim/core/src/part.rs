//! A node made of nodes: a service that contains the server of a consensus protocol, a proxy that contains a client.

use crate::{Context, Effect, Node, OpId, Outcome};

/// A node that contains another one, of the type `P`: it passes on what is for it, and does what it asks for.
///
/// The part runs by the clock, the randomness and the journal of the whole, and its messages go to a part of the same kind in
/// the node they are sent to, or so the whole sees to it. [`Context::part`] calls it.
pub trait Contains<P: Node>: Node {
    /// Where the part's [probes](Node::PROBES) begin among those of the whole: see [`concatenated`].
    const PROBES_FROM: usize;

    /// A message of the part.
    fn message(message: P::Message) -> Self::Message;

    /// A timer of the part.
    fn timer(timer: P::Timer) -> Self::Timer;

    /// A record of the part. The whole gives it back to the part when it starts.
    fn record(record: P::Record) -> Self::Record;
}

/// What a part has done and the whole has not yet dealt with. It is kept with the part, so that its memory is used again.
#[derive(Clone, Debug)]
pub struct Doings<P: Node> {
    effects: Vec<Effect<P>>,
    completed: Vec<(OpId, Outcome<P::Ret>)>,
}

impl<P: Node> Doings<P> {
    /// Nothing.
    pub const fn new() -> Doings<P> {
        Doings {
            effects: Vec::new(),
            completed: Vec::new(),
        }
    }

    /// Takes the oldest answer that the part has given and nobody has taken yet. As in a node of its own, nothing that follows
    /// from it may leave before the part's earlier syncs are durable, and nothing does: the order of effects is the whole's.
    pub fn next_completed(&mut self) -> Option<(OpId, Outcome<P::Ret>)> {
        // There is hardly ever more than one.
        (!self.completed.is_empty()).then(|| self.completed.remove(0))
    }
}

impl<P: Node> Default for Doings<P> {
    fn default() -> Doings<P> {
        Doings::new()
    }
}

impl<N: Node> Context<'_, N> {
    /// Calls a handler of a part. What the part does is done by this node, in the same order; but its answers to
    /// operations are for this node, which finds them in `doings`.
    ///
    /// ```
    /// use splitbrain_core::{Contains, Context, Doings, Journal, Node, NodeId, OpId, Outcome};
    /// # #[derive(Clone, Debug)]
    /// # struct Echo;
    /// # impl Node for Echo {
    /// #     type Message = ();
    /// #     type Timer = ();
    /// #     type Record = ();
    /// #     type Op = ();
    /// #     type Ret = u8;
    /// #     type Config = ();
    /// #     fn start(_: &(), _: Journal<()>, _: &mut Context<'_, Self>) -> Self { Echo }
    /// #     fn on_message(&mut self, from: NodeId, (): (), cx: &mut Context<'_, Self>) { cx.send(from, ()) }
    /// #     fn on_timer(&mut self, (): (), _: &mut Context<'_, Self>) {}
    /// #     fn on_invoke(&mut self, id: OpId, (): (), cx: &mut Context<'_, Self>) { cx.complete(id, Outcome::Ok(7)) }
    /// # }
    ///
    /// #[derive(Clone, Debug)]
    /// struct Twice {
    ///     echo: Echo,
    ///     doings: Doings<Echo>,
    /// }
    ///
    /// impl Contains<Echo> for Twice {
    ///     const PROBES_FROM: usize = 0;
    ///     fn message(message: ()) -> Message { Message::Echo(message) }
    ///     fn timer(timer: ()) {}
    ///     fn record(record: ()) {}
    /// }
    ///
    /// #[derive(Clone, Debug)]
    /// enum Message {
    ///     Echo(()),
    /// }
    ///
    /// impl Node for Twice {
    /// #   type Timer = ();
    /// #   type Record = ();
    /// #   type Op = ();
    /// #   type Config = ();
    ///     type Message = Message;
    ///     type Ret = u8;
    /// #   fn start(_: &(), _: Journal<()>, _: &mut Context<'_, Self>) -> Self { unreachable!() }
    ///     fn on_message(&mut self, from: NodeId, Message::Echo(message): Message, cx: &mut Context<'_, Self>) {
    ///         let Twice { echo, doings } = self;
    ///         cx.part(doings, |cx| echo.on_message(from, message, cx));
    ///     }
    ///     fn on_invoke(&mut self, id: OpId, op: (), cx: &mut Context<'_, Self>) {
    ///         let Twice { echo, doings } = self;
    ///         cx.part(doings, |cx| echo.on_invoke(id, op, cx));
    ///         while let Some((id, outcome)) = doings.next_completed() {
    ///             cx.complete(id, outcome.map(|answer| 2 * answer));
    ///         }
    ///     }
    /// #   fn on_timer(&mut self, (): (), _: &mut Context<'_, Self>) {}
    /// }
    /// # use splitbrain_core::{Effect, Purpose, Seed, SyncId, Time};
    /// # let (mut rng, mut next_sync, mut effects) = (Seed(0).stream(Purpose::User(0)), SyncId(0), Vec::new());
    /// # let node = NodeId::from_index(0);
    /// # let mut cx = Context::new(node, Time::ZERO, &mut rng, &mut next_sync, &mut effects, None);
    /// # let mut twice = Twice { echo: Echo, doings: Doings::new() };
    /// # twice.on_message(node, Message::Echo(()), &mut cx);
    /// # twice.on_invoke(OpId(0), (), &mut cx);
    /// # let [Effect::Send { message: Message::Echo(()), .. }, Effect::Complete { outcome: Outcome::Ok(14), .. }] = &effects[..] else {
    /// #     panic!("{effects:?}")
    /// # };
    /// ```
    pub fn part<P: Node, R>(
        &mut self,
        doings: &mut Doings<P>,
        handler: impl FnOnce(&mut Context<'_, P>) -> R,
    ) -> R
    where
        N: Contains<P>,
    {
        let result = handler(&mut self.of_part(&mut doings.effects));
        for effect in doings.effects.drain(..) {
            match effect {
                Effect::Send { to, message } => self.send(to, N::message(message)),
                Effect::SendEager { to, message } => self.send_eager(to, N::message(message)),
                Effect::SetTimer { timer, after } => self.set_timer(N::timer(timer), after),
                Effect::CancelTimer(timer) => self.cancel_timer(N::timer(timer)),
                Effect::Append(record) => self.append(N::record(record)),
                Effect::Compact(records) => {
                    self.compact(records.into_iter().map(N::record).collect());
                }
                Effect::Sync(id) => self.synced_by_part(id),
                Effect::Complete { id, outcome } => doings.completed.push((id, outcome)),
                Effect::Halt(reason) => self.halt(reason),
                Effect::Probe(index) => self.probe(N::PROBES_FROM + index),
            }
        }
        result
    }
}

/// The [probes](Node::PROBES) of a node and of its parts, in one list.
///
/// # Panics
/// While compiling, if `COUNT` is not their number.
pub const fn concatenated<const COUNT: usize>(lists: &[&[&'static str]]) -> [&'static str; COUNT] {
    let mut all = [""; COUNT];
    let (mut next, mut list) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            all[next] = lists[list][index];
            next += 1;
            index += 1;
        }
        list += 1;
    }
    assert!(next == COUNT, "there are fewer probes than that");
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Journal, NodeId, Purpose, Seed, SyncId, Time};
    use std::time::Duration;

    const INNER: &[&str] = &["it was asked", "it has told"];
    const OUTER: &[&str] = &["it was passed on"];
    const ALL: [&str; 3] = concatenated(&[OUTER, INNER]);

    #[derive(Clone, Debug)]
    struct Inner;

    /// Does everything that can be done.
    impl Node for Inner {
        type Message = u8;
        type Timer = u8;
        type Record = u8;
        type Op = u8;
        type Ret = u8;
        type Config = ();
        const PROBES: &'static [&'static str] = INNER;

        fn start((): &(), _: Journal<u8>, _: &mut Context<'_, Self>) -> Self {
            Inner
        }
        fn on_message(&mut self, from: NodeId, message: u8, cx: &mut Context<'_, Self>) {
            cx.send_eager(from, message);
        }
        fn on_timer(&mut self, timer: u8, cx: &mut Context<'_, Self>) {
            cx.cancel_timer(timer);
        }
        fn on_invoke(&mut self, id: OpId, op: u8, cx: &mut Context<'_, Self>) {
            cx.append(op);
            cx.sync();
            cx.send(cx.id(), op);
            cx.probe(1);
            cx.complete(id, Outcome::Ok(op + 1));
            cx.complete(OpId(9), Outcome::Info);
            cx.set_timer(op, Duration::from_millis(3));
            cx.compact(vec![op]);
            cx.halt("enough");
        }
    }

    #[derive(Clone, Debug)]
    struct Outer(Inner);

    impl Contains<Inner> for Outer {
        const PROBES_FROM: usize = OUTER.len();
        fn message(message: u8) -> (u8,) {
            (message,)
        }
        fn timer(timer: u8) -> (u8,) {
            (timer,)
        }
        fn record(record: u8) -> (u8,) {
            (record,)
        }
    }

    impl Node for Outer {
        type Message = (u8,);
        type Timer = (u8,);
        type Record = (u8,);
        type Op = ();
        type Ret = ();
        type Config = ();
        const PROBES: &'static [&'static str] = &ALL;

        fn start((): &(), _: Journal<(u8,)>, _: &mut Context<'_, Self>) -> Self {
            Outer(Inner)
        }
        fn on_message(&mut self, _: NodeId, _: (u8,), _: &mut Context<'_, Self>) {}
        fn on_timer(&mut self, _: (u8,), _: &mut Context<'_, Self>) {}
        fn on_invoke(&mut self, _: OpId, (): (), _: &mut Context<'_, Self>) {}
    }

    #[test]
    fn what_a_part_does_the_whole_does_in_the_same_order() {
        let (mut rng, mut next_sync) = (Seed(0).stream(Purpose::User(0)), SyncId(5));
        let (mut effects, mut doings) = (Vec::<Effect<Outer>>::new(), Doings::new());
        let id = NodeId::from_index(2);
        let mut cx = Context::new(id, Time::ZERO, &mut rng, &mut next_sync, &mut effects, None);
        let mut outer = Outer(Inner);
        cx.sync();
        cx.part(&mut doings, |cx| outer.0.on_invoke(OpId(1), 7, cx));
        cx.part(&mut doings, |cx| outer.0.on_message(id, 8, cx));
        cx.part(&mut doings, |cx| outer.0.on_timer(9, cx));
        cx.sync();
        let done: Vec<String> = effects.iter().map(|effect| format!("{effect:?}")).collect();
        assert_eq!(
            done,
            [
                "Sync(SyncId(5))",
                "Append((7,))",
                "Sync(SyncId(6))",
                "Send { to: NodeId(2), message: (7,) }",
                "Probe(2)",
                "SetTimer { timer: (7,), after: 3ms }",
                "Compact([(7,)])",
                "Halt(\"enough\")",
                "SendEager { to: NodeId(2), message: (8,) }",
                "CancelTimer((9,))",
                "Sync(SyncId(7))",
            ]
        );
        assert_eq!(doings.next_completed(), Some((OpId(1), Outcome::Ok(8))));
        assert_eq!(doings.next_completed(), Some((OpId(9), Outcome::Info)));
        assert_eq!(doings.next_completed(), None);
    }

    #[test]
    fn what_a_part_says_of_itself_the_whole_says() {
        let (mut rng, mut next_sync) = (Seed(0).stream(Purpose::User(0)), SyncId(0));
        let (mut effects, mut notes) = (Vec::<Effect<Outer>>::new(), Vec::new());
        let id = NodeId::from_index(0);
        let mut cx = Context::new(
            id,
            Time::ZERO,
            &mut rng,
            &mut next_sync,
            &mut effects,
            Some(&mut notes),
        )
        .with_wall_clock(Time::from_secs(4));
        let mut doings = Doings::<Inner>::new();
        let wall_clock = cx.part(&mut doings, |cx| {
            cx.note(format_args!("is part of something"));
            cx.wall_clock()
        });
        assert_eq!(wall_clock, Time::from_secs(4));
        assert_eq!(notes, ["is part of something"]);
    }
}
