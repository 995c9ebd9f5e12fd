//! What is to be saved of a table and has changed before it was shown.

use std::collections::VecDeque;

use super::directory::Prefix;
use super::save::Change;
use crate::state::memory::in_small_pages;

/// Bytes of a shelf, once there are many copies.
const SHELF: usize = 1 << 20;

/// Copies of entries, in shelves that are filled one after the other and used again by later saves:
/// the system would clear fresh memory first, which takes longer than to copy.
pub struct Copies<K, V> {
    cleared: Vec<Prefix>,
    shelves: VecDeque<Vec<(K, V)>>,
    /// Entries of the first shelf that were shown.
    shown: usize,
    /// Entries that were not shown.
    len: usize,
    /// Empty shelves.
    spare: Vec<Vec<(K, V)>>,
}

impl<K, V> Default for Copies<K, V> {
    fn default() -> Self {
        let (cleared, shelves, spare) = Default::default();
        Copies { cleared, shelves, shown: 0, len: 0, spare }
    }
}

impl<K, V> Copies<K, V> {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.cleared.is_empty()
    }

    /// How many entries are to be shown.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Entries with such hashes are to be forgotten.
    pub fn clear(&mut self, prefix: Prefix) {
        self.cleared.push(prefix);
    }

    /// An entry is to be kept.
    #[inline]
    pub fn put(&mut self, entry: (K, V)) {
        self.len += 1;
        match self.shelves.back_mut() {
            Some(shelf) if shelf.len() < shelf.capacity() => shelf.push(entry),
            _ => self.put_on_next(entry),
        }
    }

    #[cold]
    fn put_on_next(&mut self, entry: (K, V)) {
        let before = self.shelves.back().map_or(2, Vec::capacity);
        let mut shelf = self.spare.pop().unwrap_or_else(|| {
            let most = SHELF / size_of::<(K, V)>().max(1);
            let shelf = Vec::with_capacity((before * 2).min(most).max(1));
            in_small_pages(&shelf);
            shelf
        });
        shelf.push(entry);
        self.shelves.push_back(shelf);
    }

    /// Shows all that is to be forgotten, and so many entries; forgets them.
    pub fn show(&mut self, entries: usize, mut to: impl FnMut(Change<'_, K, V>)) {
        self.cleared.drain(..).for_each(|prefix| to(Change::Cleared(prefix)));
        let mut left = entries.min(self.len);
        self.len -= left;
        while left > 0
            && let Some(shelf) = self.shelves.front_mut()
        {
            let end = (self.shown + left).min(shelf.len());
            shelf[self.shown..end].iter().for_each(|(key, value)| to(Change::Put(key, value)));
            left -= end - self.shown;
            self.shown = end;
            if end == shelf.len() {
                shelf.clear();
                self.shown = 0;
                self.spare.extend(self.shelves.pop_front());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn every_copy_is_shown_once_and_dropped() {
        let alive = Rc::new(());
        let mut copies: Copies<usize, Rc<()>> = Copies::default();
        let (mut next, mut expected) = (0, 0);
        for round in 0..300 {
            for _ in 0..round * 7 % 1_000 {
                copies.put((next, alive.clone()));
                next += 1;
            }
            copies.show(round * 5 % 900, |change| {
                let Change::Put(number, _) = change else { panic!("nothing was cleared") };
                assert_eq!(*number, expected);
                expected += 1;
            });
            assert_eq!(copies.len(), next - expected);
        }
        copies.clear(Prefix::ALL);
        let mut last = 0;
        copies.show(usize::MAX, |_| last += 1);
        assert!(last == next - expected + 1 && copies.is_empty() && next > 100_000);
        assert_eq!(Rc::strong_count(&alive), 1, "what was shown is gone");
    }
}
