//! A bound on transactions within transactions, for whoever reads them: what comes from elsewhere may be nested as deep as its
//! bytes are many, and to read that would take a stack of the same depth, which no process survives.
//!
//! It is a bound on the operation, and not on the message or record that carries it: what one server has taken from a client it must be
//! able to pass on in an entry, and to find again in its journal.

use super::TRANSACTION_OPS_MAX;
use serde::de::{Deserialize, Deserializer, Error};
use std::cell::Cell;

/// How deep they may lie in each other: no store does what lies deeper, in whatever state it is.
pub(crate) const NESTING_MAX: usize = TRANSACTION_OPS_MAX + 1;

thread_local! {
    /// How many transactions are being read, each within the one before. Zero whenever nothing is read: a format reads from
    /// the outside in, and has no place for such a number.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One more, for as long as this lives.
struct Deeper;

impl Deeper {
    fn new() -> Option<Deeper> {
        let depth = DEPTH.get();
        if depth == NESTING_MAX {
            return None;
        }
        DEPTH.set(depth + 1);
        Some(Deeper)
    }
}

impl Drop for Deeper {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Reads a transaction, or the answer to one, unless it lies too deep.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let Some(_deeper) = Deeper::new() else {
        return Err(D::Error::custom(format_args!(
            "transactions within each other, more than {NESTING_MAX} deep"
        )));
    };
    T::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::super::ret::Transacted;
    use super::super::{Op, Refusal, Ret, Revision, Store, Transaction};
    use super::*;
    use std::sync::Arc;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Carried(#[serde(with = "super::super::wire")] Op);

    /// A transaction with nothing in it, in so many others.
    fn nested(others: usize) -> Op {
        (0..others).fold(Op::Transaction(Arc::default()), |within, _| {
            let then = vec![within];
            Op::Transaction(
                Transaction {
                    then,
                    ..Transaction::default()
                }
                .into(),
            )
        })
    }

    #[test]
    fn all_that_the_store_does_is_read_and_nothing_that_lies_deeper() {
        let deepest = nested(NESTING_MAX - 1);
        let done = Store::new().apply(&deepest);
        assert!(matches!(done, Ret::Transaction(_)), "{done:?}");
        let bytes = postcard::to_stdvec(&Carried(deepest.clone())).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(Carried(deepest)));
        // The answer to it, too.
        let bytes = postcard::to_stdvec(&done).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(done));

        let deeper = nested(NESTING_MAX);
        let refused = Store::new().apply(&deeper);
        assert_eq!(refused, Ret::Refused(Refusal::TooLong));
        let bytes = postcard::to_stdvec(&Carried(deeper)).unwrap();
        assert!(postcard::from_bytes::<Carried>(&bytes).is_err());
        // That it was refused is forgotten: one beside another is not deeper.
        let bytes = postcard::to_stdvec(&Carried(nested(NESTING_MAX - 1))).unwrap();
        assert!(postcard::from_bytes::<Carried>(&bytes).is_ok());
    }

    #[test]
    fn a_million_of_them_are_refused_and_not_read() {
        // What a transaction begins with: nothing to compare, and one thing to do.
        let [op, compare, then] = [7, 0, 1];
        let bytes = [op, compare, then].repeat(1_000_000);
        assert!(postcard::from_bytes::<Carried>(&bytes).is_err());
        let transacted = Ret::Transaction(
            Transacted {
                revision: Revision(1),
                succeeded: true,
                rets: vec![Ret::Written],
            }
            .into(),
        );
        let bytes = postcard::to_stdvec(&transacted).unwrap();
        let begins = &bytes[..bytes.len() - 1];
        assert!(postcard::from_bytes::<Ret>(&begins.repeat(1_000_000)).is_err());
    }
}
