//! `splitbrain list`.

use super::{Status, print};
use crate::catalog::catalog;
use serde::Serialize;
use splitbrain::scenario::ExpectedVerdict;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    summary: &'a str,
    /// `valid`, or the property that is to be violated.
    expect: &'a str,
}

pub(super) fn list(arguments: &Arguments) -> anyhow::Result<Status> {
    let cases = catalog()?;
    let listed: Vec<Listed<'_>> = cases
        .iter()
        .map(|case| {
            let expect = case.expect();
            let property = expect
                .property
                .as_deref()
                .filter(|_| expect.verdict == ExpectedVerdict::Violation);
            Listed {
                name: case.name(),
                summary: case.summary(),
                expect: property.unwrap_or("valid"),
            }
        })
        .collect();
    if arguments.json {
        let object = serde_json::json!({ "scenarios": listed });
        print(|out| writeln!(out, "{object}"))?;
        return Ok(Status::Valid);
    }
    let width = listed
        .iter()
        .map(|listed| listed.name.len())
        .max()
        .unwrap_or(0);
    print(|out| {
        listed.iter().try_for_each(
            |Listed {
                 name,
                 summary,
                 expect,
             }| {
                let expect = if *expect == "valid" {
                    String::new()
                } else {
                    format!(" [violates {expect}]")
                };
                writeln!(out, "{name:<width$}  {summary}{expect}")
            },
        )
    })?;
    Ok(Status::Valid)
}
