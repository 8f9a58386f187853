//! One campaign from the command line: it shows how far it is, ends when its time is up, and is written down so that
//! it can go on another day.

use super::progress::Progress;
use splitbrain::campaign::{Campaign, Met, ResumeError, SavedCampaign, Summary, Watch};
use splitbrain::case::Case;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// A campaign is written down this often, and not more often than takes a twentieth of its time.
const SAVE_EVERY: Duration = Duration::from_secs(3);

/// What a campaign came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) summary: Summary,
    pub(super) met: Met,
    /// How many seeds an earlier process had run, if this one was told to go on.
    pub(super) done_before: Option<u64>,
    /// Of this process.
    pub(super) wall: Duration,
    pub(super) ended: Ended,
    /// Why it could not be written down. It goes on all the same: what it finds is worth more.
    pub(super) unsaved: Option<ResumeError>,
}

/// Why a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All seeds were run.
    AllSeeds,
    /// It was to stop at what it found.
    Found,
    /// Its time was up.
    Time,
    /// Somebody wanted it to.
    Interrupted,
}

impl Ended {
    /// As it is called in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Ended::AllSeeds => "all-seeds",
            Ended::Found => "found",
            Ended::Time => "time",
            Ended::Interrupted => "interrupted",
        }
    }
}

/// What happens between two rounds of seeds.
#[derive(Debug)]
struct Between<'a> {
    saved: Option<&'a SavedCampaign>,
    /// When it was last written down.
    last: Duration,
    /// How long that took.
    took: Duration,
    unsaved: Option<ResumeError>,
    time_is_up: bool,
}

/// Runs a campaign, or the rest of one whose file this is.
///
/// # Errors
/// A file that cannot be resumed from, or not be written.
pub(super) fn run(
    campaign: &Campaign,
    case: &dyn Case,
    stop: &AtomicBool,
    time: Option<Duration>,
    resume: Option<&Path>,
) -> Result<Outcome, ResumeError> {
    let opened = resume.map(|file| SavedCampaign::open(file, campaign, case));
    let (saved, so_far) = match opened.transpose()? {
        Some((saved, so_far)) => (Some(saved), so_far),
        None => (None, Summary::none(splitbrain::Seed(campaign.seeds.start))),
    };
    let done_before = saved.as_ref().map(|_| so_far.seeds);
    let asked = campaign.seeds.end - campaign.seeds.start;
    let progress = Progress::new(case.name(), asked, &so_far, time);
    let clock = Clock::start();
    let between = RefCell::new(Between {
        saved: saved.as_ref(),
        last: Duration::ZERO,
        took: Duration::ZERO,
        unsaved: None,
        time_is_up: false,
    });
    let watch = Watch {
        stop,
        on_report: &|report| progress.report(report),
        on_round: &|summary| {
            progress.round(summary);
            between.borrow_mut().round(summary, &clock, time)
        },
    };
    let summary = campaign.resume(case, so_far, watch);
    let wall = clock.elapsed();
    progress.finish();
    let mut between = between.into_inner();
    between.save(&summary, &clock);
    let ended = if campaign.found_enough(&summary) {
        Ended::Found
    } else if campaign.is_over(&summary) {
        Ended::AllSeeds
    } else if between.time_is_up && !stop.load(Relaxed) {
        Ended::Time
    } else {
        Ended::Interrupted
    };
    let Between { unsaved, .. } = between;
    Ok(Outcome {
        met: summary.met(case),
        summary,
        done_before,
        wall,
        ended,
        unsaved,
    })
}

impl Between<'_> {
    fn round(
        &mut self,
        summary: &Summary,
        clock: &Clock,
        time: Option<Duration>,
    ) -> ControlFlow<()> {
        let now = clock.elapsed();
        if now.saturating_sub(self.last) >= SAVE_EVERY.max(self.took * 20) {
            self.save(summary, clock);
        }
        self.time_is_up = time.is_some_and(|time| now >= time);
        if self.time_is_up {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn save(&mut self, summary: &Summary, clock: &Clock) {
        let begin = clock.elapsed();
        // The last word counts: a disk that was full may have room again.
        self.unsaved = self.saved.and_then(|saved| saved.save(summary).err());
        self.last = clock.elapsed();
        self.took = self.last.saturating_sub(begin);
    }
}

/// The clock on the wall: for people, outside of any run.
#[expect(clippy::disallowed_types, reason = "measures the harness, not a run")]
struct Clock(std::time::Instant);

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "measures the harness, not a run"
)]
impl Clock {
    fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
