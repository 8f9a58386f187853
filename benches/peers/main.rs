//! How much faster ours is than what others have for the same work: messages, start-up, a whole cluster, a checker. What
//! criterion has no table for: ratios.
//!
//! `cargo bench --bench peers --features peer`, with words after `--` for only those lines that have one of them in it. Both sides of a
//! ratio run in this process, one right after the other and each as often the first; what is compared is the time of the processor.

#[cfg(not(feature = "peer"))]
fn main() {
    println!("needs --features peer");
}

#[cfg(feature = "peer")]
mod cluster;
#[cfg(feature = "peer")]
mod echo;
#[cfg(feature = "peer")]
mod history;
#[cfg(feature = "peer")]
mod table;

#[cfg(feature = "peer")]
fn main() {
    let table = table::Table::from_arguments();
    table.head();
    let line = |what, peer, goal, ours: fn() -> f64, theirs: fn() -> f64| {
        table.line(what, peer, goal, ours, theirs);
    };
    let (message, ours): (_, fn() -> f64) =
        ("a message sent back, 20 outstanding", || echo::ours(20));
    line(message, "madsim Endpoint", "12", ours, || echo::madsim(20));
    line(message, "turmoil UDP", "8", ours, || echo::turmoil(20));
    line(message, "moonpool-sim TCP", "15", ours, || {
        echo::moonpool(20)
    });
    let (message, ours): (_, fn() -> f64) =
        ("a message sent back, 1 outstanding", || echo::ours(1));
    line(message, "madsim Endpoint", "-", ours, || echo::madsim(1));
    line(message, "turmoil UDP", "-", ours, || echo::turmoil(1));
    line(message, "moonpool-sim TCP", "-", ours, || echo::moonpool(1));
    let start = "a world of 5 nodes, started";
    let our_start = echo::our_start_up;
    line(start, "madsim", "10", our_start, echo::madsim_start_up);
    line(start, "turmoil", "10", our_start, echo::turmoil_start_up);
    line(
        start,
        "moonpool-sim",
        "10",
        our_start,
        echo::moonpool_start_up,
    );
    let cluster = "a second of 5 Raft servers";
    line(
        cluster,
        "madsim Endpoint",
        "4",
        cluster::ours,
        cluster::madsim,
    );
    let distinct = "a register, 3 clients, 24 operations";
    line(
        distinct,
        "stateright",
        "-",
        history::ours,
        history::stateright,
    );
}
