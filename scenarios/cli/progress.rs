//! How far a campaign is: a line on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use splitbrain::campaign::Summary;
use splitbrain::case::Report;
use splitbrain::run::Verdict;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is shown of a campaign that is under way.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    counters: Arc<Counters>,
}

/// Seeds and events of this process, as what an earlier one did took its time elsewhere; failures of the whole campaign.
#[derive(Debug, Default)]
struct Counters {
    seeds: AtomicU64,
    events: AtomicU64,
    failures: AtomicU64,
    distinct: AtomicU64,
}

impl Progress {
    /// Of a campaign over so many seeds, of which some are done, that ends after this time if there is one.
    pub(super) fn new(name: &str, seeds: u64, so_far: &Summary, time: Option<Duration>) -> Self {
        let counters = Arc::new(Counters::default());
        counters.failures.store(so_far.invalid, Relaxed);
        counters
            .distinct
            .store(so_far.distinct.len() as u64, Relaxed);
        let bar = ProgressBar::new(seeds);
        let template =
            "{prefix} [{bar:20}] {human_pos}/{human_len} seeds, {rates}, {left} left{found}";
        // Where only the time ends it, nobody knows how many seeds that will be.
        let endless = "{prefix} {human_pos} seeds, {rates}, {left} left{found}";
        let template = if seeds > ENDLESS { endless } else { template };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rates = Arc::clone(&counters);
            let found = Arc::clone(&counters);
            let style = style
                .progress_chars("=> ")
                .with_key(
                    "rates",
                    move |state: &ProgressState, out: &mut dyn Write| {
                        let seeds = state.per_sec();
                        let events = seeds * rates.events_per_seed();
                        // What cannot be shown is not worth an error.
                        let _ = write!(out, "{} seeds/s, {} events/s", human(seeds), human(events));
                    },
                )
                .with_key("left", move |state: &ProgressState, out: &mut dyn Write| {
                    let seeds = Some(state.eta()).filter(|left| !left.is_zero());
                    let time = time.map(|time| time.saturating_sub(state.elapsed()));
                    let left = seeds.into_iter().chain(time).min().unwrap_or_default();
                    let left = Duration::from_secs(left.as_secs());
                    let _ = write!(out, "{}", humantime::format_duration(left));
                })
                .with_key("found", move |_: &ProgressState, out: &mut dyn Write| {
                    let failures = found.failures.load(Relaxed);
                    let distinct = found.distinct.load(Relaxed);
                    let _ = match (failures, distinct) {
                        (0, _) => Ok(()),
                        (_, 0) => write!(out, ", {failures} invalid"),
                        _ => write!(out, ", {failures} invalid ({distinct} distinct)"),
                    };
                });
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.set_position(so_far.seeds);
        // Else the seeds that were done before would count for its speed.
        bar.reset_eta();
        Progress { bar, counters }
    }

    /// A seed was run.
    pub(super) fn report(&self, report: &Report) {
        self.counters.seeds.fetch_add(1, Relaxed);
        self.counters.events.fetch_add(report.stats.events, Relaxed);
        if matches!(report.verdict, Verdict::Invalid(_)) {
            self.counters.failures.fetch_add(1, Relaxed);
        }
        self.bar.inc(1);
    }

    /// A round of seeds was judged.
    pub(super) fn round(&self, summary: &Summary) {
        let distinct = summary.distinct.len() as u64;
        self.counters.distinct.store(distinct, Relaxed);
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// More seeds than this are run by nobody: seventy years of a million a second.
const ENDLESS: u64 = 1 << 51;

impl Counters {
    fn events_per_seed(&self) -> f64 {
        let seeds = self.seeds.load(Relaxed).max(1);
        self.events.load(Relaxed) as f64 / seeds as f64
    }
}

/// `12.3 M`: three digits and how many thousands of thousands.
fn human(number: f64) -> String {
    let mut number = number;
    for unit in ["", " k", " M"] {
        if number < 999.5 {
            return match number {
                _ if unit.is_empty() => format!("{number:.0}"),
                small if small < 99.95 => format!("{small:.1}{unit}"),
                large => format!("{large:.0}{unit}"),
            };
        }
        number /= 1000.0;
    }
    format!("{number:.1} G")
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn numbers_are_short() {
        for (number, expected) in [
            (0.0, "0"),
            (7.4, "7"),
            (999.0, "999"),
            (999.6, "1.0 k"),
            (1_234.0, "1.2 k"),
            (99_960.0, "100 k"),
            (999_400.0, "999 k"),
            (12_345_678.0, "12.3 M"),
            (2_000_000_000.0, "2.0 G"),
        ] {
            assert_eq!(human(number), expected);
        }
    }
}
