//! Pairs of measurements, and what their ratios say.

use rustix::time::{ClockId, clock_gettime};

/// What is to be measured, and how often.
pub(crate) struct Table {
    words: Vec<String>,
    pairs: usize,
}

impl Table {
    pub(crate) fn from_arguments() -> Table {
        let mut arguments: Vec<String> = std::env::args().skip(1).collect();
        // `cargo test --benches` runs every benchmark once, to see that it does.
        let is_test = arguments.iter().any(|argument| argument == "--test");
        arguments.retain(|argument| !argument.starts_with('-'));
        Table {
            words: arguments,
            pairs: if is_test { 1 } else { 41 },
        }
    }

    pub(crate) fn head(&self) {
        println!(
            "{} pairs; microseconds of processor time, medians; ratio: theirs to ours, median and its 95 % interval",
            self.pairs
        );
        println!(
            "{:<38} {:<16} {:>10} {:>10} {:>7}  {:>17} {:>5}",
            "", "against", "ours", "theirs", "ratio", "interval", "goal"
        );
    }

    /// Measures both sides, pair by pair, and prints what came of it.
    pub(crate) fn line(
        &self,
        what: &str,
        peer: &str,
        goal: &str,
        ours: fn() -> f64,
        theirs: fn() -> f64,
    ) {
        let label = format!("{what} {peer}");
        if !self.words.is_empty() && !self.words.iter().any(|word| label.contains(word.as_str())) {
            return;
        }
        let (mut our, mut their, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..self.pairs {
            // Who comes second may find the machine in another state: each is as often the first.
            let (mine, other) = if pair % 2 == 0 {
                let mine = ours();
                (mine, theirs())
            } else {
                let other = theirs();
                (ours(), other)
            };
            our.push(mine / 1e3);
            their.push(other / 1e3);
            ratios.push(other / mine);
        }
        let [our, their, ratio] = [&mut our, &mut their, &mut ratios].map(|all| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        });
        let (low, high) = interval_of_median(&ratios);
        println!(
            "{what:<38} {peer:<16} {our:>10.3} {their:>10.3} {ratio:>7.1}  {low:>7.1} to {high:>6.1} {goal:>5}"
        );
    }
}

/// Between which two of these, in order, the median lies with 95 % confidence: by how many of so many tosses of a coin come up heads,
/// whatever the distribution.
fn interval_of_median(sorted: &[f64]) -> (f64, f64) {
    // 0.98 times the root, rounded up.
    let off = sorted.len().isqrt() + 1;
    let middle = sorted.len() / 2;
    let high = (middle + off).min(sorted.len() - 1);
    (sorted[middle.saturating_sub(off)], sorted[high])
}

/// How long this thread takes for it, in nanoseconds of processor time. Real time would count what else the machine does.
pub(crate) fn processor_ns<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    let start = now();
    let result = work();
    ((now() - start) as f64, result)
}
