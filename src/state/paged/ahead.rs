//! Many keys at a time: what is to be read is asked for ahead.

use std::mem::needs_drop;

use super::PagedTable;
use super::directory::At;
use super::page::{Guess, Page};
use crate::record::Key;

/// Keys that are under way at a time: more than a core waits for at once.
const AHEAD: usize = 64;
/// Tables of so many bytes stay in the cache of a core.
const CACHE: usize = 1 << 19;

impl<K: Key, V: Clone> PagedTable<K, V> {
    /// Gives `act` the value of each key, by its number; hashes are those of the keys in turn, and
    /// `is` and `make` are as for [`entry`](Self::entry). Where the table is larger than a cache,
    /// this is faster than one key after the other: the tags of many keys are asked for, then the
    /// slots of all these, and only then are the keys looked at (group prefetching: Chen,
    /// Ailamaki, Gibbons, Mowry, "Improving hash join performance through prefetching", 2004).
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    pub fn each_entry(
        &mut self,
        hashes: &[u64],
        is: impl Fn(usize, &K) -> bool,
        mut make: impl FnMut(usize) -> (K, V),
        mut act: impl FnMut(usize, &mut V),
    ) {
        let (is, make) = (&is, &mut make);
        if !self.is_far() {
            for (number, hash) in hashes.iter().enumerate() {
                act(number, self.entry(*hash, move |key| is(number, key), || make(number)));
            }
            return;
        }
        let mut pages: [Option<At>; AHEAD] = [None; AHEAD];
        let mut guesses = [Guess::default(); AHEAD];
        for (chunk, first) in hashes.chunks(AHEAD).zip((0..).step_by(AHEAD)) {
            for (hash, page) in chunk.iter().zip(&mut pages) {
                *page = self.open(*hash);
                if let Some(at) = *page {
                    self.pages.page(at).prefetch_tags(*hash);
                }
            }
            for ((hash, page), guess) in chunk.iter().zip(&pages).zip(&mut guesses) {
                if let Some(at) = *page {
                    *guess = self.pages.page(at).guess(*hash);
                }
            }
            for (((hash, page), guess), number) in
                chunk.iter().zip(&pages).zip(&guesses).zip(first..)
            {
                // A page may have been split meanwhile: then the key is not where it was. Or it was
                // packed.
                let found = page.and_then(|at| {
                    let mut page = self.pages.page(at);
                    // The head of a page is a line of its own: it isn't looked at without need.
                    if needs_drop::<(K, V)>() && page.is_packed() {
                        return None;
                    }
                    page.confirm(*guess, *hash, |key| is(number, key))
                });
                match found {
                    Some((_, value)) => act(number, value),
                    None => act(number, self.entry(*hash, |key| is(number, key), || make(number))),
                }
            }
        }
    }

    /// Whether it is so large that what is looked up is hardly in the cache.
    #[inline]
    pub fn is_far(&self) -> bool {
        // Tests with small tables shall test what is done with large ones.
        (self.pages.pages() * Page::<K, V>::BYTES > CACHE || cfg!(test)) && !K::SINGLE
    }

    /// Begins to bring the value of a hash into the cache: what says where it is.
    #[inline(always)]
    pub fn foresee(&self, hash: u64) {
        if let Some(at) = self.pages.at(hash) {
            self.pages.look(at).prefetch_tags(hash);
        }
    }

    /// Brings the value of a hash that was foreseen into the cache.
    #[inline(always)]
    pub fn expect(&self, hash: u64) {
        if let Some(at) = self.pages.at(hash) {
            self.pages.look(at).guess(hash);
        }
    }
}
