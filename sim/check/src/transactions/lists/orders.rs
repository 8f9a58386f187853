//! The order of the versions of one list, from all that was read of it, and what no order can explain.

use super::scan::Read;
use super::{Inference, Kind, Order};
use crate::transactions::anomaly::Anomaly;
use crate::transactions::history::{History, Key, Status, Value};
use crate::transactions::words::show;

pub(super) struct Orders<'a, 'b> {
    pub(super) inference: &'a mut Inference<'b>,
    pub(super) key: usize,
    pub(super) reads: &'a [Read],
}

impl Orders<'_, '_> {
    pub(super) fn order(mut self) -> Order {
        let history = self.inference.history;
        let elements = |read: &Read| history.elements(read.list);
        // The first of the longest ones.
        let mut longest: Option<&Read> = None;
        for read in self.reads {
            if longest.is_none_or(|longest| elements(read).len() > elements(longest).len()) {
                longest = Some(read);
            }
        }
        let mut order = Order {
            versions: Vec::new(),
            seen: Vec::with_capacity(self.reads.len()),
            compatible: true,
        };
        let Some(longest) = longest else {
            return order;
        };
        let whole = elements(longest);
        order.versions = self.versions(longest, whole);
        for read in self.reads {
            let list = elements(read);
            let seen = list.len() - read.own as usize;
            if whole.starts_with(list) {
                order.seen.push(Some(seen as u32));
            } else {
                order.compatible = false;
                let seen = self.incompatible(longest, read, &list[..seen], whole);
                order.seen.push(seen);
            }
        }
        self.single_reads(&order);
        self.own_elements(longest, &order);
        self.dirty_updates(&order);
        order
    }

    /// The versions of the elements of a list.
    fn versions(&mut self, read: &Read, elements: &[Value]) -> Vec<Option<u32>> {
        let mut versions = Vec::with_capacity(elements.len());
        for element in elements {
            let version = self.inference.lookup.find(self.key, *element);
            let Some(version) = version else {
                self.thin_air(read, *element);
                versions.push(None);
                continue;
            };
            let writer = self.inference.writer(version);
            if self.inference.history.transactions()[writer as usize].status == Status::Info {
                self.inference.committed[writer as usize] = true;
            }
            versions.push(Some(version));
        }
        self.duplicates(read, &mut versions);
        versions
    }

    fn thin_air(&mut self, read: &Read, element: Value) {
        let (key, reader) = (Key(self.key as u32), read.transaction);
        let anomaly = |history: &History| Anomaly::ThinAir {
            key: history.key_name(key).to_string(),
            value: history.value_name(element).to_string(),
            read: show(history, reader),
        };
        self.inference.add(Kind::ThinAir, anomaly);
    }

    /// Forgets elements that were in the list before.
    fn duplicates(&mut self, read: &Read, versions: &mut [Option<u32>]) {
        let mut sorted: Vec<(u32, usize)> = (0..)
            .zip(versions.iter())
            .filter_map(|(place, version)| Some(((*version)?, place)))
            .collect();
        sorted.sort_unstable();
        let mut twice: Vec<usize> = sorted
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1)
            .collect();
        twice.sort_unstable();
        for place in twice {
            let Some(version) = versions[place].take() else {
                continue;
            };
            let version = self.inference.versions.all[version as usize];
            let reader = read.transaction;
            let anomaly = |history: &History| Anomaly::DuplicateElement {
                key: history.key_name(version.key).to_string(),
                element: history.value_name(version.value).to_string(),
                read: show(history, reader),
            };
            self.inference.add(Kind::Duplicate, anomaly);
        }
    }

    /// A read that is not the beginning of the longest list. Says which place in it the read is nearest to: after its last element.
    fn incompatible(
        &mut self,
        longest: &Read,
        read: &Read,
        seen: &[Value],
        whole: &[Value],
    ) -> Option<u32> {
        let key = Key(self.key as u32);
        let (first, second) = (*longest, *read);
        let anomaly = |history: &History| Anomaly::IncompatibleOrders {
            key: history.key_name(key).to_string(),
            first: show(history, first.transaction),
            first_list: history.list_words(history.elements(first.list)),
            second: show(history, second.transaction),
            second_list: history.list_words(history.elements(second.list)),
        };
        self.inference.add(Kind::Incompatible, anomaly);
        for version in self.versions(read, seen).into_iter().flatten() {
            if self.inference.failed(version) {
                self.aborted(read, version);
            }
            if self.inference.writer(version) == read.transaction {
                self.future(version);
            }
        }
        let last = seen.last()?;
        let place = whole.iter().position(|element| element == last)?;
        Some(place as u32 + 1)
    }

    fn aborted(&mut self, read: &Read, version: u32) {
        let version = self.inference.versions.all[version as usize];
        let reader = read.transaction;
        let anomaly = |history: &History| Anomaly::AbortedRead {
            key: history.key_name(version.key).to_string(),
            value: history.value_name(version.value).to_string(),
            read: show(history, reader),
            write: show(history, version.writer),
        };
        self.inference.add(Kind::Aborted, anomaly);
    }

    /// Reads of what was aborted (the first one of each such element), and of what its writer went on to change.
    fn single_reads(&mut self, order: &Order) {
        let failed = |version: &u32| self.inference.failed(*version);
        let failed: Vec<(usize, u32)> = (0..)
            .zip(&order.versions)
            .filter_map(|(place, version)| Some((place, version.filter(failed)?)))
            .collect();
        for (place, version) in failed {
            let mut reads = self.reads.iter().zip(&order.seen);
            let read = reads.find(|(_, seen)| seen.is_some_and(|seen| seen as usize > place));
            if let Some((read, _)) = read {
                self.aborted(read, version);
            }
        }
        for (read, seen) in self.reads.iter().zip(&order.seen) {
            let last = seen.and_then(|seen| (seen as usize).checked_sub(1));
            let Some(version) = last.and_then(|last| order.versions[last]) else {
                continue;
            };
            let version = self.inference.versions.all[version as usize];
            if version.overwritten && version.writer != read.transaction {
                let reader = read.transaction;
                let anomaly = |history: &History| Anomaly::IntermediateRead {
                    key: history.key_name(version.key).to_string(),
                    value: history.value_name(version.value).to_string(),
                    read: show(history, reader),
                    write: show(history, version.writer),
                };
                self.inference.add(Kind::Intermediate, anomaly);
            }
        }
    }

    /// What concerns elements of one transaction: that it sees none before it appends it, and that they are in its order.
    fn own_elements(&mut self, longest: &Read, order: &Order) {
        let all = self.inference.versions.of_key(self.key);
        let mut places = vec![u32::MAX; all.len()];
        for (place, version) in (0..).zip(&order.versions) {
            if let Some(version) = version {
                places[(version - all.start) as usize] = place;
            }
        }
        for later in order.versions.iter().flatten().copied() {
            let place = |version: u32| places[(version - all.start) as usize];
            let earlier = later.checked_sub(1).filter(|earlier| {
                *earlier >= all.start
                    && self.inference.writer(*earlier) == self.inference.writer(later)
                    && place(*earlier) > place(later)
            });
            if let Some(earlier) = earlier {
                self.torn(longest, earlier, later);
            }
        }
        // Reads are in order of transactions, as are the versions of a key.
        let mut from = all.start;
        for (read, seen) in self.reads.iter().zip(&order.seen) {
            while from < all.end && self.inference.writer(from) < read.transaction {
                from += 1;
            }
            let mut version = from;
            while version < all.end && self.inference.writer(version) == read.transaction {
                let place = places[(version - all.start) as usize];
                if seen.is_some_and(|seen| place < seen) {
                    self.future(version);
                }
                version += 1;
            }
        }
    }

    fn torn(&mut self, read: &Read, earlier: u32, later: u32) {
        let earlier = self.inference.versions.all[earlier as usize];
        let later = self.inference.versions.all[later as usize];
        let reader = read.transaction;
        let anomaly = |history: &History| Anomaly::TornAppend {
            key: history.key_name(later.key).to_string(),
            earlier: history.value_name(earlier.value).to_string(),
            later: history.value_name(later.value).to_string(),
            read: show(history, reader),
            write: show(history, later.writer),
        };
        self.inference.add(Kind::Torn, anomaly);
    }

    fn future(&mut self, version: u32) {
        let version = self.inference.versions.all[version as usize];
        let anomaly = |history: &History| Anomaly::FutureRead {
            key: history.key_name(version.key).to_string(),
            value: history.value_name(version.value).to_string(),
            transaction: show(history, version.writer),
        };
        self.inference.add(Kind::Future, anomaly);
    }

    /// Elements of aborted transactions, each with the next one of a committed one.
    fn dirty_updates(&mut self, order: &Order) {
        let mut aborted: Option<u32> = None;
        for version in order.versions.iter().flatten().copied() {
            if self.inference.failed(version) {
                aborted = Some(version);
            } else if let Some(aborted) = aborted.take() {
                let aborted = self.inference.versions.all[aborted as usize];
                let committed = self.inference.writer(version);
                let anomaly = |history: &History| Anomaly::DirtyUpdate {
                    key: history.key_name(aborted.key).to_string(),
                    value: history.value_name(aborted.value).to_string(),
                    aborted: show(history, aborted.writer),
                    committed: show(history, committed),
                };
                self.inference.add(Kind::DirtyUpdate, anomaly);
            }
        }
    }
}
