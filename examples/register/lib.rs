//! An ordinary asynchronous service: a register with a copy on each server, over TCP, by the algorithm of Attiya, Bar-Noy and Dolev
//! (*Sharing memory robustly in message-passing systems*, JACM 1995). `server.rs` and `client.rs` know nothing of Splitbrain, and
//! `tested.rs` is all that it takes to put them under test. `docs/guide/async-service.md` tells the story.
#![warn(missing_docs)]

pub mod client;
pub mod server;
#[cfg(madsim)]
pub mod tested;

/// A value, and the number of the write that made it; of two with the same number the greater value counts as the later one.
pub type Version = (u64, Option<i64>);

fn parse(text: &str) -> Option<Version> {
    let (number, value) = text.split_once(' ')?;
    let value = match value {
        "-" => None,
        value => Some(value.parse().ok()?),
    };
    Some((number.parse().ok()?, value))
}

fn show((number, value): Version) -> String {
    let value = value.map_or("-".to_owned(), |value| value.to_string());
    format!("{number} {value}")
}
