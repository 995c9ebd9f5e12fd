//! The rows of one window, key by key.

use crate::error::Result;
use crate::operator::{Emitter, Keep, KeyOf, Output, Pairing, Sides};
use crate::record::Record;
use crate::state::{Few, PagedTable};
use crate::time::Timestamp;

/// What is kept of a key's records in a pane.
pub(super) type PaneSides<L, S> = Sides<Few<L>, S>;

/// What is kept of a record's key; empty when the key is new.
#[inline(always)]
pub(super) fn sides_of<'t, R: Record, K: KeyOf<R>, L: Record, S: Clone + Default>(
    by: &K,
    table: &'t mut PagedTable<K::Key, PaneSides<L, S>>,
    record: R::View<'_>,
) -> &'t mut PaneSides<L, S> {
    let part = by.part(record);
    let make = || (K::own(by.part(record)), Sides::default());
    table.entry(K::hash(&part), |key| K::is(&part, key), make)
}

/// Where the rows of a window go.
pub(super) struct Rows<'a, P, O> {
    pub pairing: &'a mut P,
    pub emitter: &'a mut Emitter<O>,
    /// The event time of the rows.
    pub at: Timestamp,
}

impl<P, O: Record> Rows<'_, P, O> {
    /// The pairs of one key from what its panes hold.
    pub fn pairs<L, R, S>(&mut self, panes: &[&PaneSides<L, S>], out: &mut Output<'_>) -> Result
    where
        L: Record,
        R: Record,
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        for left in panes.iter().flat_map(|pane| pane.left.iter()) {
            self.pair(left, panes.iter().flat_map(|pane| pane.right.kept()), out)?;
        }
        Ok(())
    }

    /// The pairs that records bring for which the window was closed once, `held` being what it
    /// held of their key before.
    pub fn late_pairs<L, R, S>(
        &mut self,
        new: &PaneSides<L, S>,
        held: &[&PaneSides<L, S>],
        out: &mut Output<'_>,
    ) -> Result
    where
        L: Record,
        R: Record,
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let before = || held.iter().flat_map(|pane| pane.right.kept());
        for left in new.left.iter() {
            self.pair(left, before().chain(new.right.kept()), out)?;
        }
        if P::ONCE && before().next().is_some() {
            return Ok(());
        }
        for left in held.iter().flat_map(|pane| pane.left.iter()) {
            self.pair(left, new.right.kept(), out)?;
        }
        Ok(())
    }

    fn pair<'s, L, R>(
        &mut self,
        left: &L,
        rights: impl Iterator<Item = &'s R>,
        out: &mut Output<'_>,
    ) -> Result
    where
        L: Record,
        R: Record,
        P: Pairing<L, R, Out = O>,
    {
        let Rows { pairing, emitter, at } = self;
        for right in rights {
            let row = left.lend(|left| right.lend(|right| pairing.pair(left, right)));
            emitter.give(*at, &row, out)?;
            if P::ONCE {
                break;
            }
        }
        Ok(())
    }

    /// The rows of a key of which the window holds records of one side only.
    pub fn alone<L, R, S>(&mut self, panes: &[&PaneSides<L, S>], out: &mut Output<'_>) -> Result
    where
        L: Record,
        R: Record,
        S: Keep<R>,
        P: Pairing<L, S::Kept, Out = O>,
    {
        let Rows { pairing, emitter, at } = self;
        let lefts = || panes.iter().flat_map(|pane| pane.left.iter());
        let rights = || panes.iter().flat_map(|pane| pane.right.kept());
        if P::LEFT && rights().next().is_none() {
            for left in lefts() {
                if let Some(row) = left.lend(|left| pairing.left(left)) {
                    emitter.give(*at, &row, out)?;
                }
            }
        }
        if P::RIGHT && lefts().next().is_none() {
            for right in rights() {
                if let Some(row) = right.lend(|right| pairing.right(right)) {
                    emitter.give(*at, &row, out)?;
                }
            }
        }
        Ok(())
    }
}
