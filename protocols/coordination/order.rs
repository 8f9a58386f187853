//! Who is in, of those who stand in line: the heart of locks, read-write locks, semaphores, elections and groups.
//!
//! Everybody has a key of their own below the same prefix, and came when their key was created. From that order each can tell
//! whether it is in, and otherwise whom to wait for: the one predecessor that matters, so that whoever goes wakes one and
//! not all (ZooKeeper: *Recipes*, "herd effect"; Curator: `InterProcessReadWriteLock`, `InterProcessSemaphoreV2`).

use super::op::How;
use crate::kv::{Key, KeyRange, KeyValue, LeaseId, Revision};
use std::cmp::Ordering;

/// What the order of a line means to one who stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in, and this is its token: when its key was created.
    In(Revision),
    /// It is not, and nothing changes for it until something happens to these keys.
    Waits(KeyRange),
    /// It does not stand in the line any more: its lease has run out.
    Gone,
}

/// The key of whoever stands in line below `prefix` under this lease. It tells how the place was taken, as readers need to
/// know who is a writer.
pub fn own_key(prefix: &str, how: How, lease: LeaseId) -> Key {
    let letter = match how {
        How::Exclusive => WRITER,
        How::Shared => 's',
        How::Permit(_) => 'p',
        How::Member => 'm',
    };
    format!("{prefix}{letter}-{}", lease.0).into()
}

const WRITER: char = 'x';

/// What the order means to the holder of `own`. `line` is everybody below `prefix`, by create revision.
pub fn standing(prefix: &str, how: How, line: &[KeyValue], own: &Key) -> Standing {
    let Some(place) = line.iter().position(|found| found.key == *own) else {
        return Standing::Gone;
    };
    let before = &line[..place];
    let token = line[place].create_revision;
    let deletion_of = |found: &KeyValue| KeyRange::Key(found.key.clone());
    let wait_for = match how {
        How::Member => None,
        How::Exclusive => before.last().map(deletion_of),
        How::Shared => {
            let is_writer = |found: &&KeyValue| {
                let rest = found.key.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.starts_with(WRITER))
            };
            // All readers behind a writer wait for it: they are all in when it goes.
            before.iter().rev().find(is_writer).map(deletion_of)
        }
        How::Permit(permits) => {
            let permits = usize::try_from(permits.get()).unwrap_or(usize::MAX);
            match place.cmp(&permits) {
                Ordering::Less => None,
                // Any of those who are in may be the next to go, and only the first who is not in waits for all of them.
                Ordering::Equal => Some(KeyRange::Prefix(prefix.into())),
                // The one before says when it is in, and then it is this one's turn to be the first.
                Ordering::Greater => before.last().map(deletion_of),
            }
        }
    };
    wait_for.map_or(Standing::In(token), Standing::Waits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    const PREFIX: &str = "lock/a/";

    fn lease(nth: usize) -> LeaseId {
        LeaseId::new(nth as u64 + 1).unwrap()
    }

    fn line(hows: &[How]) -> Vec<KeyValue> {
        let place = |(nth, how): (usize, &How)| KeyValue {
            key: own_key(PREFIX, *how, lease(nth)),
            value: "".into(),
            create_revision: Revision(10 + nth as u64),
            mod_revision: Revision(10 + nth as u64),
            version: 1,
            lease: Some(lease(nth)),
        };
        hows.iter().enumerate().map(place).collect()
    }

    fn standings(hows: &[How]) -> Vec<Standing> {
        let line = line(hows);
        let each = hows.iter().zip(&line);
        each.map(|(how, own)| standing(PREFIX, *how, &line, &own.key))
            .collect()
    }

    fn waits_for(hows: &[How], nth: usize) -> Standing {
        Standing::Waits(KeyRange::Key(line(hows)[nth].key.clone()))
    }

    #[test]
    fn who_waits_for_a_mutex_waits_for_one() {
        let hows = [How::Exclusive; 3];
        let expected = [
            Standing::In(Revision(10)),
            waits_for(&hows, 0),
            waits_for(&hows, 1),
        ];
        assert_eq!(standings(&hows), expected);
        let gone = own_key(PREFIX, How::Exclusive, lease(7));
        let standing = standing(PREFIX, How::Exclusive, &line(&hows), &gone);
        assert_eq!(standing, Standing::Gone);
    }

    #[test]
    fn readers_are_in_together_and_a_writer_parts_them() {
        use How::{Exclusive, Shared};
        let hows = [Shared, Shared, Exclusive, Shared, Shared, Exclusive];
        let expected = [
            Standing::In(Revision(10)),
            Standing::In(Revision(11)),
            waits_for(&hows, 1),
            waits_for(&hows, 2),
            waits_for(&hows, 2),
            waits_for(&hows, 4),
        ];
        assert_eq!(standings(&hows), expected);
    }

    #[test]
    fn only_the_first_who_waits_for_a_permit_looks_at_all_who_have_one() {
        let hows = [How::Permit(NonZeroU64::MIN.saturating_add(1)); 5];
        let expected = [
            Standing::In(Revision(10)),
            Standing::In(Revision(11)),
            Standing::Waits(KeyRange::Prefix(PREFIX.into())),
            waits_for(&hows, 2),
            waits_for(&hows, 3),
        ];
        assert_eq!(standings(&hows), expected);
    }

    #[test]
    fn nobody_waits_to_be_a_member() {
        let all = standings(&[How::Member; 4]);
        assert!(all.iter().all(|one| matches!(one, Standing::In(_))));
    }
}
