//! A campaign that is written down while it runs, and goes on after its process ended.

use super::{Campaign, Summary};
use crate::case::Case;
use crate::replay::{Hex, json_error};
use crate::run::Script;
use crate::scenario::one_line;
use serde::{Deserialize, Serialize};
use splitbrain_core::Seed;
use std::fs;
use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// The version of the format. A file of another version is refused, not guessed at.
const FORMAT: u32 = 1;

/// A campaign that cannot be resumed, or not be written down.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{}{}: {message}", file.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// The line, from one, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        message: String,
    },
    /// It is whole, and what it began is not this campaign.
    #[error("{}: another campaign, which cannot be resumed here: its {what} is {there}, and here it is {here}", file.display())]
    Other {
        /// Which file.
        file: PathBuf,
        /// In what they differ.
        what: &'static str,
        /// As the file says.
        there: String,
        /// As it would have to be.
        here: String,
    },
}

/// The file of a campaign that can be resumed.
#[derive(Debug)]
pub struct SavedCampaign {
    file: PathBuf,
    campaign: Identity,
}

/// What must be the same for a campaign to be the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    version: String,
    scenario: String,
    fingerprint: Hex,
    seeds: (Seed, Seed),
    /// The digest of the first seed. Where it is another one, the code of the protocol is.
    first_digest: Hex,
    stop_at_first: bool,
    distinct: Option<NonZeroU64>,
    tell_apart: u64,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    campaign: Identity,
    next_seed: Seed,
    summary: Summary,
    /// Over all that stands before it.
    checksum: Hex,
}

impl File {
    fn checksum(&self) -> serde_json::Result<Hex> {
        let content = (self.format, &self.campaign, self.next_seed, &self.summary);
        serde_json::to_vec(&content).map(|bytes| Hex(xxh3_64(&bytes)))
    }
}

/// Only what tells whether to go on at all: what another version wrote may look like anything else.
#[derive(Deserialize)]
struct Head {
    format: u32,
    campaign: HeadCampaign,
}

#[derive(Deserialize)]
struct HeadCampaign {
    version: String,
}

impl SavedCampaign {
    /// Reads what the campaign found so far, or begins the file if there is none. For the rest of the campaign, hand the
    /// summary to [`Campaign::resume`], and [`save`](SavedCampaign::save) what it finds now and then
    /// ([`Watch::on_round`](super::Watch::on_round)) and in the end.
    ///
    /// # Errors
    /// A file that cannot be read, that is damaged, or of a campaign that differs from this one in anything but the
    /// number of jobs, or in that this one asks for more distinct failures: nothing is ever begun anew where there is a
    /// file.
    pub fn open(
        file: &Path,
        campaign: &Campaign,
        case: &dyn Case,
    ) -> Result<(SavedCampaign, Summary), ResumeError> {
        let saved = SavedCampaign {
            file: file.to_owned(),
            campaign: Identity::of(campaign, case),
        };
        let none = Summary::none(Seed(campaign.seeds.start));
        let summary = match fs::metadata(file) {
            Ok(metadata) if metadata.is_file() => {
                let summary = saved.load()?;
                saved.same_probes(&summary, &case.probes())?;
                summary
            }
            Ok(_) => return Err(saved.cannot_read(io::Error::other("it is not a file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What cannot be written is better found out before the work is done.
                saved.save(&none)?;
                none
            }
            Err(error) => return Err(saved.cannot_read(error)),
        };
        Ok((saved, summary))
    }

    /// Writes down what was found so far. The file is replaced as a whole: there is always one to go on from.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, summary: &Summary) -> Result<(), ResumeError> {
        self.replace(summary).map_err(|source| ResumeError::Write {
            file: self.file.clone(),
            source,
        })
    }

    fn replace(&self, summary: &Summary) -> io::Result<()> {
        let mut whole = File {
            format: FORMAT,
            campaign: self.campaign.clone(),
            next_seed: Seed(summary.next_seed()),
            summary: summary.clone(),
            checksum: Hex(0),
        };
        whole.checksum = whole.checksum()?;
        let mut text = serde_json::to_vec(&whole)?;
        text.push(b'\n');
        let mut beside = self.file.clone().into_os_string();
        beside.push(".new");
        let written = fs::File::create(&beside).and_then(|mut new| {
            new.write_all(&text)?;
            new.sync_all()?;
            fs::rename(&beside, &self.file)
        });
        if written.is_err() {
            // It is of no use, and there may be none.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn load(&self) -> Result<Summary, ResumeError> {
        let bytes = fs::read(&self.file).map_err(|error| self.cannot_read(error))?;
        let wrong = |error: serde_json::Error| {
            let (line, text) = json_error(&error);
            self.damaged(line, format!("not a campaign that can be resumed: {text}"))
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(wrong)?;
        if head.format != FORMAT {
            let found = head.format;
            let message = format!("a campaign of format {found}: expected format {FORMAT}");
            return Err(self.damaged(None, message));
        }
        self.same("version", &head.campaign.version, &self.campaign.version)?;
        let found: File = serde_json::from_slice(&bytes).map_err(wrong)?;
        let whole = found.checksum().map_err(wrong)? == found.checksum;
        let (start, end) = found.campaign.seeds;
        let summary = found.summary;
        let next = Seed(summary.next_seed());
        if !whole || summary.first != start || next != found.next_seed || next > end {
            let message = "damaged: its checksum does not fit what it says";
            return Err(self.damaged(None, message.to_owned()));
        }
        self.check(&found.campaign)?;
        Ok(summary)
    }

    /// Whether this is the campaign that the file began.
    fn check(&self, there: &Identity) -> Result<(), ResumeError> {
        let here = &self.campaign;
        let seeds = |Identity { seeds, .. }: &Identity| format!("{}..{}", seeds.0, seeds.1);
        let hex = |number: Hex| String::from(number);
        let distinct = |&Identity { distinct, .. }: &Identity| {
            distinct.map_or("none".to_owned(), |number| number.to_string())
        };
        let code = "code (the digest of its first seed)";
        self.same("scenario", &there.scenario, &here.scenario)?;
        self.same(
            "scenario's content (its fingerprint)",
            &hex(there.fingerprint),
            &hex(here.fingerprint),
        )?;
        self.same("range of seeds", &seeds(there), &seeds(here))?;
        self.same(code, &hex(there.first_digest), &hex(here.first_digest))?;
        self.same(
            "stopping at the first violation",
            &there.stop_at_first.to_string(),
            &here.stop_at_first.to_string(),
        )?;
        // To ask for more than before is to go on from where it stopped.
        let more = there
            .distinct
            .zip(here.distinct)
            .is_some_and(|(there, here)| there <= here);
        if !more {
            self.same(
                "number of distinct failures asked for",
                &distinct(there),
                &distinct(here),
            )?;
        }
        self.same(
            "number of failures told apart",
            &there.tell_apart.to_string(),
            &here.tell_apart.to_string(),
        )
    }

    /// Whether what was counted is what is counted here: counts are told apart by their place.
    fn same_probes(&self, there: &Summary, here: &[&str]) -> Result<(), ResumeError> {
        if there.seeds == 0 {
            return Ok(());
        }
        let digest = |names: Vec<&str>| String::from(Hex(xxh3_64(names.join("\n").as_bytes())));
        let names = there.probes.iter().map(|probe| probe.name.as_str());
        let what = "list of probes (its digest)";
        self.same(what, &digest(names.collect()), &digest(here.to_vec()))
    }

    fn same(&self, what: &'static str, there: &str, here: &str) -> Result<(), ResumeError> {
        if there == here {
            return Ok(());
        }
        Err(ResumeError::Other {
            file: self.file.clone(),
            what,
            // It comes from the file, which may say anything.
            there: one_line(there),
            here: here.to_owned(),
        })
    }

    fn cannot_read(&self, source: io::Error) -> ResumeError {
        ResumeError::Read {
            file: self.file.clone(),
            source,
        }
    }

    fn damaged(&self, line: Option<usize>, message: String) -> ResumeError {
        ResumeError::Damaged {
            file: self.file.clone(),
            line,
            message,
        }
    }
}

impl Identity {
    fn of(campaign: &Campaign, case: &dyn Case) -> Identity {
        let first = Seed(campaign.seeds.start);
        Identity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: case.name().to_owned(),
            fingerprint: Hex(case.fingerprint()),
            seeds: (first, Seed(campaign.seeds.end)),
            first_digest: Hex(case.run(first, &Script::DRAWN, None).digest),
            stop_at_first: campaign.stop_at_first,
            distinct: campaign.distinct,
            tell_apart: campaign.tell_apart,
        }
    }
}
