//! What madsim cannot do, said when a scenario is loaded.

use splitbrain::engine::Wanted;
use splitbrain::scenario::NetworkSpec;
use std::time::Duration;

/// The kinds of fault that there are under madsim.
const FAULTS: [&str; 4] = ["partition", "crash", "wipe", "pause"];

/// The probes of the kernel that are counted under madsim, too.
pub(crate) const PROBES: [&str; 6] = [
    "a crash ended an operation",
    "a crash lost records that were not synced",
    "a crash lost output that waited for a sync",
    "a message was cut in flight",
    "a sync became durable while its process was paused",
    "a paused process found a backlog when it resumed",
];

/// madsim sleeps for a millisecond at least, and does so before it sends and after it has received.
pub(crate) const OVERHEAD: Duration = Duration::from_millis(2);

pub(crate) fn refuse(what: Wanted<'_>) -> Result<(), String> {
    match what {
        Wanted::Fault(kind) if FAULTS.contains(&kind) => Ok(()),
        Wanted::Fault(kind) => Err(format!(
            "cannot do `{kind}`: expected one of {}",
            FAULTS.join(", ")
        )),
        Wanted::KernelProbe(probe) if PROBES.contains(&probe) => Ok(()),
        Wanted::KernelProbe(probe) => Err(format!("does not tell whether `{probe}`")),
        Wanted::Network(network) => refuse_network(network),
    }
}

fn refuse_network(network: &NetworkSpec) -> Result<(), String> {
    let without = |key: &str, what: &str| Err(format!("has no `{key}`: {what}"));
    if !network.links.is_empty() {
        return without("links", "all links are alike");
    }
    if network.bursts.is_some() {
        return without("bursts", "every message is lost as likely as any other");
    }
    if network.capacity.is_some() {
        return without("capacity", "everything fits through a link");
    }
    if network.latency.mean.0 < OVERHEAD {
        let mean = network.latency.mean;
        return Err(format!(
            "cannot have a `latency` of {mean} on average: a message takes 2ms at least"
        ));
    }
    Ok(())
}
