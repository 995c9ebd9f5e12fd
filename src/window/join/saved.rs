//! The panes of window joins on their way to a checkpoint and back.

use super::rows::PaneSides;
use crate::error::Result;
use crate::key;
use crate::operator::Keep;
use crate::record::{Key, Record};
use crate::state::{Few, Loader, Saver, Series};
use crate::time::Timestamp;

/// What is kept of a key in a pane: with the pane's start, all records of either side.
pub(super) type Kept<K, L, R> = (K, Timestamp, Vec<L>, Vec<R>);

/// Saves more of panes; true when that is all.
pub(super) fn more<K: Key, L: Record, R: Record, S: Keep<R>>(
    part: &str,
    panes: &mut Series<K, PaneSides<L, S>>,
    to: &mut Saver,
) -> Result<bool> {
    to.series::<_, _, Kept<K, L, S::Kept>>(part, panes, |part, pane, key, sides| {
        let left: Vec<L> = sides.left.iter().map(|left| left.lend(L::own)).collect();
        let right: Vec<S::Kept> =
            sides.right.kept().map(|right| right.lend(S::Kept::own)).collect();
        (key.clone(), pane, left, right).lend(|record| part.put(record));
    })
}

/// Takes up what this shard's keys have.
pub(super) fn load<K: Key, L: Record, R: Record, S: Keep<R>>(
    part: &str,
    panes: &mut Series<K, PaneSides<L, S>>,
    from: &Loader<'_>,
) -> Result {
    from.series::<_, _, Kept<K, L, S::Kept>>(part, panes, |panes, (key, pane, left, right)| {
        let key = K::own(key);
        let hash = key::hash(&key);
        if from.owns(hash) {
            let mut sides = PaneSides { left: Few::default(), right: S::default() };
            left.iter().for_each(|left| sides.left.push(L::own(left)));
            right.iter().for_each(|right| sides.right.keep_again(right));
            panes.at(pane).put(hash, key, sides);
        }
    })
}
