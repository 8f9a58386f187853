//! Transfers between accounts: what is read of all accounts at once has the same sum at all times (the bank test of Jepsen).

use super::show;
use crate::transactions::Name;
use crate::{History, HistoryError, Operation, Outcome, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operation. In JSON: `{"f":"transfer","from":"a","to":"b","amount":5}` answers `{}`; `{"f":"read"}` answers
/// `{"balances":[["a",5],["b",15]]}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Moves money.
    Transfer {
        /// Whose it was.
        from: Name,
        /// Whose it is then.
        to: Name,
        /// How much.
        amount: u64,
    },
    /// Reads all accounts.
    Read {},
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Read`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balances: Option<Vec<(Name, i64)>>,
}

/// What the bank is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The accounts, with what is in them at first.
    pub accounts: BTreeMap<Name, i64>,
    /// Whether an account may be overdrawn.
    pub negative: bool,
}

/// What is wrong with a read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Money came or went.
    #[error("{} has {total} in all, and there must be {expected}", .read.words)]
    WrongTotal {
        /// Which.
        read: Shown,
        /// What there is.
        total: i128,
        /// What there must be.
        expected: i128,
    },
    /// An account is overdrawn.
    #[error("{} has {balance} in {account}", .read.words)]
    Negative {
        /// Which.
        read: Shown,
        /// Whose.
        account: Name,
        /// How much.
        balance: i64,
    },
    /// An account is missing, or there twice.
    #[error("{} has {account} {times} times", .read.words)]
    NotOnce {
        /// Which.
        read: Shown,
        /// Whose.
        account: Name,
        /// How often it is there.
        times: usize,
    },
    /// There is no such account.
    #[error("{} has {account}, and there is no such account", .read.words)]
    Unknown {
        /// Which.
        read: Shown,
        /// Whose.
        account: Name,
    },
}

impl Violation {
    /// The operations that show it, in the order of its words.
    pub fn operations(&self) -> Vec<&Shown> {
        let (Violation::WrongTotal { read, .. }
        | Violation::Negative { read, .. }
        | Violation::NotOnce { read, .. }
        | Violation::Unknown { read, .. }) = self;
        vec![read]
    }
}

/// Everything that is wrong, in order of invocation.
///
/// # Errors
/// If the history makes no sense.
pub fn check(
    history: &History<Op, Ret>,
    settings: &Settings,
) -> Result<Vec<Violation>, HistoryError> {
    let operations = history.operations()?;
    let expected: i128 = settings.accounts.values().copied().map(i128::from).sum();
    let mut found = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        if let Outcome::Ok(Ret {
            balances: Some(balances),
        }) = operation.outcome
        {
            let read = words(index, balances, operation);
            check_read(settings, expected, balances, &read, &mut found);
        }
    }
    Ok(found)
}

fn words(index: usize, balances: &[(Name, i64)], operation: &Operation<&Op, &Ret>) -> Shown {
    let words: Vec<String> = balances
        .iter()
        .map(|(account, balance)| format!("{account} {balance}"))
        .collect();
    show(
        index,
        &format!("read -> {{{}}}", words.join(", ")),
        operation,
    )
}

fn check_read(
    settings: &Settings,
    expected: i128,
    balances: &[(Name, i64)],
    read: &Shown,
    found: &mut Vec<Violation>,
) {
    let read = || read.clone();
    let mut times: BTreeMap<&Name, usize> = settings.accounts.keys().map(|a| (a, 0)).collect();
    let mut total = 0;
    for (account, balance) in balances {
        total += i128::from(*balance);
        let Some(times) = times.get_mut(account) else {
            found.push(Violation::Unknown {
                read: read(),
                account: account.clone(),
            });
            continue;
        };
        *times += 1;
        if *balance < 0 && !settings.negative {
            found.push(Violation::Negative {
                read: read(),
                account: account.clone(),
                balance: *balance,
            });
        }
    }
    for (account, times) in times {
        if times != 1 {
            found.push(Violation::NotOnce {
                read: read(),
                account: account.clone(),
                times,
            });
        }
    }
    if total != expected {
        found.push(Violation::WrongTotal {
            read: read(),
            total,
            expected,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessId;

    fn found(negative: bool, balances: &[(&str, i64)]) -> Vec<String> {
        let accounts = [("a", 10), ("b", 10)];
        let accounts = accounts.map(|(name, balance)| (Name::from(name), balance));
        let settings = Settings {
            accounts: accounts.into(),
            negative,
        };
        let balances = balances
            .iter()
            .map(|(name, balance)| (Name::from(*name), *balance));
        let mut history = History::new();
        history.invoke(0, ProcessId(0), Op::Read {});
        let balances = Some(balances.collect());
        history.ok(1, ProcessId(0), Ret { balances });
        let found = check(&history, &settings).unwrap();
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn money_neither_comes_nor_goes() {
        assert_eq!(found(false, &[("a", 3), ("b", 17)]), [""; 0]);
        assert_eq!(
            found(false, &[("a", 3), ("b", 18)]),
            ["read -> {a 3, b 18} by p0 (0.000s..0.000s) has 21 in all, and there must be 20"]
        );
    }

    #[test]
    fn accounts_are_there_once_and_not_overdrawn() {
        assert_eq!(found(true, &[("a", -1), ("b", 21)]), [""; 0]);
        assert_eq!(found(false, &[("a", -1), ("b", 21)]).len(), 1);
        let twice = found(false, &[("a", 5), ("a", 5), ("c", 10)]);
        assert_eq!(twice.len(), 3, "{twice:?}");
        assert!(twice[1].contains("has a 2 times") && twice[2].contains("has b 0 times"));
    }
}
