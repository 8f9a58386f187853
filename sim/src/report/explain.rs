//! What happened and what is wrong with it, for people.

use super::timeline::{Timeline, timeline};
use crate::case::{Case, Report};
use crate::network::{Bursts, Capacity, Latency, LinkProfile};
use crate::protocol::Contradiction;
use crate::run::{Finding, Verdict};
use crate::scenario::NetworkSpec;
use crate::span::Span;
use crate::world::{Trace, What};
use splitbrain_core::Time;
use std::fmt::Write as _;
use std::time::Duration;

/// How long before the finding the timeline begins.
const LEAD_IN: Duration = Duration::from_secs(5);

/// A run with at most so many faults and operations is shown whole.
const SMALL: usize = 20;

/// Of links that differ from the others, at most so many are described.
const LINKS_MAX: usize = 4;

/// A run that was traced as a timeline, and under it what was found: the property and the states or operations that
/// contradict each other. The operations are marked in the timeline. Of a run in which nothing was found, its end.
pub fn explanation(case: &dyn Case, report: &Report) -> String {
    let finding = match &report.verdict {
        Verdict::Invalid(finding) => Some(finding),
        _ => None,
    };
    let mut text = report
        .trace
        .as_ref()
        .map_or(String::new(), |trace| picture(case, report, trace, finding));
    if let Some(finding) = finding {
        let _ = write!(text, "\n{}", in_words(report, finding));
    }
    text
}

fn in_words(report: &Report, finding: &Finding) -> String {
    let Finding { property, what, at } = finding;
    let besides = if report.contradiction.mentioned.is_empty() {
        ""
    } else {
        "; what else is mentioned, *"
    };
    let marked = match report.contradiction.operations.len() {
        0 => String::new(),
        1 => format!(" (marked *1 above{besides})"),
        last => format!(" (marked *1 to *{last} above{besides})"),
    };
    let (first, rest) = what.split_once('\n').unwrap_or((what, ""));
    let line_end = if rest.is_empty() { "" } else { "\n" };
    format!("{property} at {at}: {first}{marked}{line_end}{rest}\n")
}

fn picture(case: &dyn Case, report: &Report, trace: &Trace, finding: Option<&Finding>) -> String {
    let until = finding.map_or(report.virtual_time, |finding| finding.at);
    let begun = report.operations.as_ref().map_or(0, Vec::len);
    let small = begun + report.faults.len() <= SMALL;
    let from = if small {
        Time::ZERO
    } else {
        let late = Time::ZERO.max(until - LEAD_IN);
        first_invoked(trace, &report.contradiction).map_or(late, |first| first.min(late))
    };
    let what = Timeline {
        nodes: case.servers(),
        from,
        until,
        operations: small,
        marked: Some(&report.contradiction),
        rows_max: 60,
        width: 110,
        finding,
        states: report.states.as_deref().unwrap_or_default(),
    };
    timeline(trace, &what)
}

/// When the first of these operations began.
fn first_invoked(trace: &Trace, contradiction: &Contradiction) -> Option<Time> {
    let Contradiction {
        operations,
        mentioned,
    } = contradiction;
    let first = operations.iter().chain(mentioned).min()?;
    let invoked = |what: &What| matches!(what, What::Invoke { .. });
    let mut invoked = trace.events.iter().filter(|event| invoked(&event.what));
    invoked.nth(*first).map(|event| event.at)
}

/// `3 servers and 1 client; messages take 1ms to 10ms, 1/10 are lost; syncs take 1ms`.
pub(super) fn conditions(case: &dyn Case) -> String {
    let clients = case.nodes() - case.servers();
    let count = |number: usize, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    let mut text = count(case.servers(), "server");
    if clients > 0 {
        let _ = write!(text, " and {}", count(clients, "client"));
    }
    let network = case.network();
    let _ = write!(text, "; {}", link(&network.profile()));
    let NetworkSpec { links, sync, .. } = network;
    if links.len() <= LINKS_MAX {
        for differing in links {
            let (from, to) = (differing.from, differing.to);
            let _ = write!(
                text,
                "; {from} to {to}: {}",
                link(&differing.profile(network))
            );
        }
    } else {
        let _ = write!(text, "; {} links are not like the others", links.len());
    }
    let _ = write!(text, "; syncs take {}", latency(sync));
    text
}

fn link(profile: &LinkProfile) -> String {
    let mut text = format!("messages take {}", latency(&profile.latency));
    for (ratio, what) in [
        (profile.loss, "are lost"),
        (profile.duplication, "come twice"),
    ] {
        if !ratio.is_never() {
            let _ = write!(text, ", {ratio} {what}");
        }
    }
    if let Some(Bursts { good, bad, loss }) = profile.bursts {
        let _ = write!(
            text,
            ", {loss} are lost in bursts of {bad} with {good} between them"
        );
    }
    if let Some(Capacity {
        bytes_per_s,
        queue_bytes,
    }) = profile.capacity
    {
        let _ = write!(
            text,
            ", {bytes_per_s} bytes/s fit through and {queue_bytes} bytes may wait"
        );
    }
    text
}

fn latency(latency: &Latency) -> String {
    let Latency {
        min,
        mean,
        tail,
        tail_max,
    } = latency;
    let most = Span((mean.0 * 2).saturating_sub(min.0));
    let mut text = min.to_string();
    if most > *min {
        let _ = write!(text, " to {most}");
    }
    if !tail.is_never() {
        let _ = write!(text, ", {tail} up to {tail_max}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_core::Ratio;

    #[test]
    fn everything_that_is_bad_about_a_link_is_said() {
        let bad = LinkProfile {
            loss: Ratio::new(1, 10).unwrap(),
            bursts: Some(Bursts {
                good: Span::from_secs(1),
                bad: Span::from_millis(100),
                loss: Ratio::new(1, 2).unwrap(),
            }),
            capacity: Some(Capacity {
                bytes_per_s: 1000,
                queue_bytes: 64,
            }),
            ..LinkProfile::default()
        };
        let words = "messages take 1ms to 10ms, 1/10 are lost, \
            1/2 are lost in bursts of 100ms with 1s between them, \
            1000 bytes/s fit through and 64 bytes may wait";
        assert_eq!(link(&bad), words);
        assert_eq!(link(&bad.plain()), "messages take 1ms to 10ms");
    }
}
