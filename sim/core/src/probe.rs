//! Places in a protocol of which it is to be known whether a test ever comes there.

/// Says that the handler has come here: a *sometimes-assertion*. What an assertion says must always hold; what a probe
/// says must hold in some run, or nothing that lies behind it was ever tested. A campaign counts, for each probe, how
/// often and in how many seeds it was reached, and names those that never were.
///
/// The texts of all probes of a node are in [`Node::PROBES`](crate::Node::PROBES), under the name `PROBES` in the
/// scope of the call. The text is looked up while compiling: one that is not in the list is a compile error.
///
/// It is an [effect](crate::Effect::Probe), and has its place in their order: everything that the handler did before
/// it has been carried out when it is reached, and nothing after it. A probe changes nothing of what happens, and is
/// not in the digest: probes may be added and moved without making replays stale.
///
/// Text: a whole sentence in the past tense that says what has happened, "a conflicting tail was truncated".
///
/// ```
/// use splitbrain_core::{Context, Effect, Journal, Node, NodeId, OpId, probe};
///
/// const PROBES: &[&str] = &["a message was sent to its sender", "a timer ran out"];
///
/// #[derive(Clone, Debug)]
/// struct Mirror;
///
/// impl Node for Mirror {
///     type Message = ();
///     type Timer = ();
///     type Record = ();
///     type Op = ();
///     type Ret = ();
///     type Config = ();
///     const PROBES: &'static [&'static str] = PROBES;
///
///     fn start(_: &(), _: Journal<()>, _: &mut Context<'_, Self>) -> Self {
///         Mirror
///     }
///     fn on_message(&mut self, from: NodeId, (): (), cx: &mut Context<'_, Self>) {
///         if from == cx.id() {
///             probe!(cx, "a message was sent to its sender");
///         }
///         cx.send(from, ());
///     }
///     fn on_timer(&mut self, (): (), cx: &mut Context<'_, Self>) {
///         probe!(cx, "a timer ran out");
///     }
///     fn on_invoke(&mut self, _: OpId, (): (), _: &mut Context<'_, Self>) {}
/// }
///
/// # use splitbrain_core::{Purpose, Seed, SyncId, Time};
/// # let node = NodeId::from_index(0);
/// # let mut rng = Seed(0).stream(Purpose::User(0));
/// # let mut next_sync = SyncId(0);
/// let mut effects = Vec::new();
/// let mut cx = Context::new(node, Time::ZERO, &mut rng, &mut next_sync, &mut effects, None);
/// Mirror.on_timer((), &mut cx);
/// Mirror.on_message(node, (), &mut cx);
/// let [Effect::Probe(1), Effect::Probe(0), Effect::Send { .. }] = &effects[..] else {
///     panic!("{effects:?}")
/// };
/// ```
///
/// A text with a typing error does not compile:
///
/// ```compile_fail,E0080
/// # use splitbrain_core::{Context, Node, probe};
/// const PROBES: &[&str] = &["a timer ran out"];
///
/// fn on_timer<N: Node>(cx: &mut Context<'_, N>) {
///     probe!(cx, "a timer run out");
/// }
/// ```
#[macro_export]
macro_rules! probe {
    ($cx:expr, $text:literal $(,)?) => {{
        const INDEX: usize = $crate::probe_position(PROBES, $text);
        $cx.probe(INDEX);
    }};
}

/// Where a text is in a list of probes; for [`probe!`], while compiling.
///
/// # Panics
/// If it is not there.
#[doc(hidden)]
pub const fn position(probes: &[&str], text: &str) -> usize {
    let mut index = 0;
    while index < probes.len() {
        if equal(probes[index].as_bytes(), text.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("this probe is not in `PROBES`");
}

/// `==`, which is not yet `const`.
const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}
