//! What a checker says.

use std::fmt;

/// Three values: a checker that gives up says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<Why = Counterexample> {
    /// The history satisfies the model.
    Valid,
    /// It does not, and this is why.
    Invalid(Why),
    /// Undecided.
    Unknown(Reason),
}

/// Why a checker gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The steps taken: all that the budget allowed.
    pub steps: u64,
    /// The keys that are neither valid nor invalid yet, in order.
    pub undecided: Vec<Undecided>,
}

/// How far a checker came with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// In words; nothing if the model cannot be split.
    pub key: Option<String>,
    /// How many of the completed operations, in order of completion, have a legal order.
    pub linearized: usize,
    /// How many completed operations there are.
    pub operations: usize,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} steps", self.steps)?;
        for Undecided {
            key,
            linearized,
            operations,
        } in &self.undecided
        {
            f.write_str("; ")?;
            if let Some(key) = key {
                write!(f, "key {key}: ")?;
            }
            write!(
                f,
                "ordered the first {linearized} of {operations} completed operations"
            )?;
        }
        Ok(())
    }
}

/// Operations of one key that have no legal order, as few as the checker could find.
///
/// It is a proof in itself, given where it starts from: any legal order of the whole history would contain a
/// legal order of [`operations`](Counterexample::operations), from one of the states of
/// [`start`](Counterexample::start).
///
/// * It ends where the first operation returns that cannot be ordered: a prefix of a linearizable
///   history is linearizable.
/// * It starts at the beginning, or at a later moment with the states that the search found the key could be in
///   then. Operations that were open at that moment are left out if they had taken effect in every order,
///   and otherwise shown (as optional ones, if they had taken effect in some).
/// * Left out is what the rest does not miss: run the operations with and without it, side by side in any order,
///   and whatever is possible with it is also possible without. So a read can always be left out, but never a
///   write of what a remaining operation read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The key in words; nothing if the model cannot be split.
    pub key: Option<String>,
    /// Where it starts.
    pub start: Start,
    /// The operations, in order of invocation.
    pub operations: Vec<Shown>,
    /// The longest legal order found: indices into `operations`.
    pub longest: Vec<usize>,
    /// The state after it, in words: `x is 2`.
    pub state: String,
    /// The operations that could come next, and why none can.
    pub blocked: Vec<Blocked>,
}

/// The situation before the operations of a [`Counterexample`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// When, in nanoseconds; nothing at the beginning of the history.
    pub time_ns: Option<u64>,
    /// How many operations of the key had completed.
    pub completed: usize,
    /// The states that the key could be in, in words: `x is 2`. At least one; the first is that in which
    /// [`Counterexample::longest`] starts.
    pub states: Vec<String>,
    /// So many writes were open and may have changed the state then or later, but do not help; they are left out.
    pub open: usize,
    /// The last operation invoked before that can have led to the first state.
    pub last: Option<Shown>,
}

/// An operation to be shown to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its index in [`History::operations`](crate::History::operations).
    pub operation: usize,
    /// What was asked for and answered, by whom and when, in words: `get x -> 1 by p2 (4.210s..4.300s)`.
    pub words: String,
    /// Whether it may also never happen, as far as the counterexample is concerned.
    pub optional: bool,
}

/// An operation that cannot come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// An index into [`Counterexample::operations`].
    pub operation: usize,
    /// What would have to hold: `x = 1`.
    pub needs: String,
    /// When it last could have come.
    pub possible: Possible,
}

/// When an operation could have given its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possible {
    /// After this operation, the last such that was invoked before the answer came.
    After(Shown),
    /// Only in the initial state.
    AtFirst,
    /// In no state that any operation of the history leads to.
    Never,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "key {key}: ")?;
        }
        writeln!(f, "no order of these operations is legal")?;
        self.start.fmt(f)?;
        for (index, shown) in self.operations.iter().enumerate() {
            let optional = if shown.optional {
                "  (need not take effect)"
            } else {
                ""
            };
            writeln!(f, "  {}. {}{optional}", index + 1, shown.words)?;
        }
        if self.longest.is_empty() {
            write!(f, "nothing can come first: {}, but", self.state)?;
        } else {
            let numbers: Vec<String> = self.longest.iter().map(|i| (i + 1).to_string()).collect();
            let numbers = numbers.join(", ");
            write!(
                f,
                "the longest legal order found is {numbers}; then {}, but",
                self.state
            )?;
        }
        for blocked in &self.blocked {
            write!(f, "\n  {} needs {}", blocked.operation + 1, blocked.needs)?;
            match &blocked.possible {
                Possible::After(shown) => write!(f, ", last made so by {}", shown.words)?,
                Possible::AtFirst => f.write_str(", as it was only at first")?,
                Possible::Never => f.write_str(", which no operation makes so")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states.join(", or ");
        match self.time_ns {
            None => write!(f, "  at first {states}")?,
            Some(time_ns) => {
                let (time, completed) = (seconds(time_ns), self.completed);
                let operations = if completed == 1 {
                    "operation"
                } else {
                    "operations"
                };
                write!(
                    f,
                    "  at {time}, after {completed} {operations} in whatever order, {states}"
                )?;
            }
        }
        if let Some(last) = &self.last {
            write!(f, ",\n     last made so by {}", last.words)?;
        }
        if self.open > 0 {
            let open = self.open;
            write!(
                f,
                "\n     ({open} more still open then, which do not help in any order)"
            )?;
        }
        writeln!(f)
    }
}

/// Milliseconds, at which people compare events: `4.210s`.
pub(crate) fn seconds(time_ns: u64) -> String {
    let ms = time_ns / 1_000_000;
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}
