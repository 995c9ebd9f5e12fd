//! Saving a table while it is used, and taking up what was saved.

use super::PagedTable;
use super::directory::{At, Prefix};
use super::page::{Page, Slot};
use crate::key;
use crate::record::Key;

/// What has changed since the save before. All that is cleared goes before anything is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a, K, V> {
    /// The entries whose hashes begin so are there no more.
    Cleared(Prefix),
    /// The key has this value.
    Put(&'a K, &'a V),
}

/// A save that has begun.
#[derive(Clone, Copy)]
pub(super) enum Save {
    /// Of a table without pages: the entries from a place on are to be shown.
    Small { next: usize },
    /// Of pages: whether all is shown, not only what has changed; and where those begin that have
    /// not been looked at.
    Pages { full: bool, next: u64 },
}

/// While a table is saved as many of its copies are shown at a time: one of so many.
const SHARE: usize = 256;

/// Shows what has changed on a page, or all, and marks it as saved.
fn show<K, V>(
    page: &mut Page<'_, K, V>,
    prefix: Prefix,
    full: bool,
    mut show: impl FnMut(Change<'_, K, V>),
) {
    let lost = page.has_lost();
    if lost && !full {
        show(Change::Cleared(prefix));
    }
    let mut put = |slot: Slot| {
        let (key, value) = page.get(slot);
        show(Change::Put(key, value));
    };
    let mut any = lost;
    if full || lost {
        any |= page.len() > 0;
        page.slots().for_each(&mut put);
    } else {
        page.changed().for_each(|slot| {
            any = true;
            put(slot);
        });
    }
    if any {
        page.settle();
    }
}

impl<K: Key, V: Clone> PagedTable<K, V> {
    /// Begins to save the table as it is now: all of it, or what has changed since this was called
    /// before. The save before must have come to its end.
    pub fn begin_save(&mut self, full: bool) {
        debug_assert!(self.save.is_none() && self.copied.is_empty(), "one save at a time");
        let cleared = (std::mem::take(&mut self.lost) && !full).then_some(Prefix::ALL);
        let changed = std::mem::take(&mut self.changed) || full;
        if self.is_small() {
            self.open = false;
            cleared.into_iter().for_each(|prefix| self.copied.clear(prefix));
            self.save = (changed && self.len > 0).then_some(Save::Small { next: 0 });
            return;
        }
        cleared.into_iter().for_each(|prefix| self.copied.clear(prefix));
        self.beside.iter().chain(&self.single).for_each(|entry| self.copied.put(entry.clone()));
        if changed {
            self.pages.barrier();
            self.save = Some(Save::Pages { full, next: 0 });
        }
    }

    /// Whether a save has begun of which not all was shown.
    pub fn is_saving(&self) -> bool {
        self.save.is_some() || !self.copied.is_empty()
    }

    /// Shows what is to be saved of some `pages` pages, or as many entries that were copied, and
    /// more of them when they are many; true when that was all of the save that was begun.
    pub fn save_some(&mut self, pages: usize, mut to: impl FnMut(Change<'_, K, V>)) -> bool {
        let entries = pages.saturating_mul(Page::<K, V>::FULL);
        let copies = self.copied.len().min(entries.saturating_add(self.copied.len() / SHARE));
        self.copied.show(copies, &mut to);
        let pages = pages.saturating_sub(copies.div_ceil(Page::<K, V>::FULL));
        self.save = match self.save {
            None => None,
            Some(Save::Small { next }) => {
                let places = pages.saturating_mul(Page::<K, V>::SLOTS);
                let end = next.saturating_add(places).min(self.beside.places());
                let entries = (next..end).filter_map(|place| self.beside.at(place));
                entries.for_each(|(key, value)| to(Change::Put(key, value)));
                (end < self.beside.places()).then_some(Save::Small { next: end })
            }
            Some(Save::Pages { full, next }) => {
                let page = |first: &u64| self.save_page(*first, full, &mut to);
                let last = std::iter::successors(Some(next), page).nth(pages);
                last.map(|next| Save::Pages { full, next })
            }
        };
        !self.is_saving()
    }

    /// Shows what is to be saved of the page whose hashes begin so; says how those of the next one
    /// begin.
    fn save_page(
        &mut self,
        first: u64,
        full: bool,
        to: &mut impl FnMut(Change<'_, K, V>),
    ) -> Option<u64> {
        let hash = Prefix::hash_at(first);
        // Others are packed instead of what is unpacked.
        self.pages.relieve();
        let prefix = self.pages.prefix(hash);
        let at = self.pages.at(hash)?;
        if !at.is_saved() {
            if full || !at.has_rested() {
                self.pages.unpack(hash);
                show(&mut self.pages.page(at), prefix, full, to);
            }
            self.pages.rests(hash);
        }
        prefix.next()
    }

    /// Sees to it that a table without pages may be changed: copies what is still to be saved.
    #[cold]
    #[inline(never)]
    pub(super) fn open_small(&mut self) {
        if let Some(Save::Small { next }) = self.save.take() {
            let left = (next..self.beside.places()).filter_map(|place| self.beside.at(place));
            left.for_each(|entry| self.copied.put(entry.clone()));
        }
        (self.open, self.changed) = (true, true);
    }

    /// Sees to it that a page may be changed: unpacks it, copies what is still to be saved of it.
    #[cold]
    #[inline(never)]
    pub(super) fn make_open(&mut self, hash: u64) -> Option<At> {
        self.pages.relieve();
        self.pages.unpack(hash);
        let at = self.pages.at(hash)?;
        let full = matches!(self.save, Some(Save::Pages { full: true, .. }));
        if !at.is_saved() && (full || !at.has_rested()) {
            let (prefix, copied) = (self.pages.prefix(hash), &mut self.copied);
            show(&mut self.pages.page(at), prefix, full, |change| match change {
                Change::Cleared(prefix) => copied.clear(prefix),
                Change::Put(key, value) => copied.put((key.clone(), value.clone())),
            });
        }
        self.pages.opens(hash);
        self.changed = true;
        self.pages.at(hash)
    }

    /// Takes all entries out. What a save that has begun still has to show of them is copied.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        if let Some(Save::Small { .. }) = self.save {
            self.open_small();
        }
        let mut next = match self.save {
            Some(Save::Pages { next, .. }) => Some(next),
            _ => None,
        };
        while let Some(first) = next {
            let hash = Prefix::hash_at(first);
            self.open(hash);
            next = self.pages.prefix(hash).next();
        }
        (self.len, self.lost, self.save) = (0, true, None);
        let paged = self.pages.drain(self.backend.clone());
        paged.chain(self.beside.drain()).chain(self.single.take())
    }

    /// Drops all entries and keeps the pages, for a table of something else: no save will say that
    /// they have gone. Not while it is saved.
    pub fn reset(&mut self) {
        debug_assert!(!self.is_saving(), "what is to be shown is still here");
        self.pages.reset();
        self.beside.reset();
        (self.single, self.len) = (None, 0);
        (self.open, self.changed, self.lost) = (false, false, false);
    }

    /// Takes out the entries whose hashes begin so and for which `of` holds.
    pub fn clear(&mut self, prefix: Prefix, of: impl Fn(u64) -> bool) {
        let goes = |key: &K| {
            let hash = key::hash(key);
            prefix.holds(hash) && of(hash)
        };
        if self.is_small() && !self.open {
            self.open_small();
        }
        let before = self.beside.len();
        self.beside.retain(|key| !goes(key));
        let beside = before - self.beside.len();
        self.len -= beside;
        self.lost |= self.is_small() && beside > 0;
        if self.single.take_if(|(key, _)| goes(key)).is_some() {
            (self.len, self.lost) = (0, true);
        }
        let mut next = Some(prefix.first);
        while let Some(hash) = next.map(Prefix::hash_at).filter(|hash| prefix.holds(*hash)) {
            let Some(at) = self.open(hash) else { return };
            // A page that was too heavy may have become two.
            next = self.pages.prefix(hash).next();
            let mut page = self.pages.page(at);
            page.set_lost(page.has_lost() || beside > 0);
            let slots: Vec<Slot> = page.slots().filter(|slot| goes(&page.get(*slot).0)).collect();
            self.len -= slots.len();
            slots.into_iter().for_each(|slot| drop(page.take(slot)));
        }
    }
}
