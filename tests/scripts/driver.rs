//! Runs the scripts of one protocol: drives its nodes by hand, event by event, and prints what each of them did.
//!
//! There is no network here and no time: a message arrives when the script delivers it, a timer runs out when the
//! script says so, the clock stands still until it is moved. What remains is the protocol itself, readable line by
//! line. `README.md` beside this file lists the commands; [`Protocol`] is what a new protocol brings along.

mod process;
mod script;
mod step;
mod words;

pub(crate) use words::Arguments;

use datadriven::TestCase;
use script::Script;
use splitbrain::{Invariant, Node};

/// How one protocol appears in a script: what `cluster` builds, how an operation is written, how things are shown.
///
/// To bring a protocol along: put an adapter that implements this (a unit struct) in `<protocol>.rs` beside this
/// file, scripts in `<protocol>/*.txt`, and in `tests/scripts.rs` one `mod` line and one test that calls [`walk`].
/// Texts are one line each, in the paper's words, and short: they are what the reader of a script reads.
pub(crate) trait Protocol {
    /// The node that is driven.
    type Node: Node;

    /// What `cluster key=value ..` asks for: the configuration of each node in order, and the invariants that watch
    /// them. Takes what it knows from the arguments; what is left over is an error in the script.
    fn cluster(arguments: &mut Arguments) -> Result<Setup<Self::Node>, String>;

    /// The operation in `invoke n4 put x 1`, from the words after the node.
    fn op(words: &[&str]) -> Result<<Self::Node as Node>::Op, String>;

    /// A message: its kind first (`RequestVote term=2 last=1.3`), since `deliver` selects by that word.
    fn message(message: &<Self::Node as Node>::Message) -> String;

    /// A journal record.
    fn record(record: &<Self::Node as Node>::Record) -> String;

    /// The answer to an operation.
    fn ret(ret: &<Self::Node as Node>::Ret) -> String;

    /// The line of a node in the output of `state`.
    fn state(node: &Self::Node) -> String;
}

/// What a `cluster` command builds.
pub(crate) struct Setup<N: Node> {
    /// The configuration of each node: the first is that of n1.
    pub(crate) configs: Vec<N::Config>,
    /// Observed after every step; a violation is part of the output.
    pub(crate) invariants: Vec<Box<dyn Invariant<N>>>,
}

/// Runs `tests/scripts/<folder>/*.txt`, or rewrites the output in them when `REWRITE` is set.
///
/// # Panics
/// If a script cannot be followed (a typo, an unknown node, a timer that is not armed), naming file, line and command;
/// or if the machine's words differ from those in the file.
pub(crate) fn walk<P: Protocol>(folder: &str) {
    let folder = format!("{}/scripts/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    datadriven::walk(&folder, |file| {
        files += 1;
        let source = std::fs::read_to_string(&file.filename).expect("datadriven has just read it");
        let lines: Vec<&str> = source.lines().collect();
        let name = file.filename.clone();
        let mut script = Script::<P>::new();
        let mut read = 0;
        file.run(|case| {
            // Not returned as an error: `datadriven` would go on and report the last one of many, not the first.
            run_block(&mut script, case, &lines, &mut read)
                .unwrap_or_else(|why| panic!("{name}:{why}"))
        });
    });
    assert!(files > 0, "there is no script in {folder}");
}

/// Runs the commands of one block and returns what they print; on an error, `line: command: what is wrong`.
/// `read` is how far in the file we are: a command is the next line after it that has this text.
fn run_block<P: Protocol>(
    script: &mut Script<P>,
    case: &TestCase,
    lines: &[&str],
    read: &mut usize,
) -> Result<String, String> {
    let mut printed = String::new();
    let mut read_up_to = |text: &str| {
        *read += lines[*read..]
            .iter()
            .take_while(|line| **line != text)
            .count();
        *read += 1;
        *read
    };
    if case.directive != "run" || !case.args.is_empty() {
        return Err(format!(
            " `{}`: a block begins with the line `run`; its commands follow, one per line, then `----`",
            case.directive
        ));
    }
    for command in case.input.lines() {
        let line = read_up_to(command);
        printed += &script
            .run(command)
            .map_err(|why| format!("{line}: `{}`: {why}", command.trim()))?;
    }
    Ok(printed)
}
