//! The commands `node` and `client` alone: what is deployed need not hold the simulator.

use clap::{Parser, Subcommand};
use splitbrain_server::{Status, client, node};
use std::process::ExitCode;

/// A replicated key-value store
#[derive(Debug, Parser)]
#[command(name = "splitbrain-server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one server of a replicated key-value store, over real TCP
    Node(node::Arguments),
    /// Ask servers of the key-value store
    Client(client::Arguments),
}

fn main() -> ExitCode {
    let status = match Arguments::parse().command {
        Command::Node(arguments) => node::command(&arguments),
        Command::Client(arguments) => client::command(&arguments),
    };
    match status {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::NotDone) => ExitCode::from(1),
        Ok(Status::Unknown) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
