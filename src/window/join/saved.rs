//! The panes of window joins on their way to a checkpoint and back.

use super::closing::PaneOf;
use super::rows::PaneSides;
use crate::error::Result;
use crate::key;
use crate::operator::Keep;
use crate::record::{Key, Record};
use crate::state::{Loader, Saver};
use crate::time::Timestamp;
use crate::window::Panes;

/// Saves panes: each side's keys and records, at the pane's start.
pub(super) fn save<K: Key, L: Record, R: Record, S: Keep<R>>(
    part: &str,
    panes: &[(Timestamp, &PaneOf<K, L, S>)],
    to: &mut Saver,
) -> Result {
    let entries = || {
        let all = panes.iter().map(|&(pane, table)| (pane, table));
        all.flat_map(|(pane, table)| table.iter().map(move |entry| (pane, entry)))
    };
    to.part::<(K, L)>(format!("{part} left"), |part| {
        for (pane, (key, sides)) in entries() {
            for left in sides.left.iter() {
                key.lend(|key| {
                    left.lend(|left| part.put_at(pane, (K::shorten(key), L::shorten(left))));
                });
            }
        }
    })?;
    to.part::<(K, S::Kept)>(format!("{part} right"), |part| {
        for (pane, (key, sides)) in entries() {
            for right in sides.right.kept() {
                key.lend(|key| {
                    right.lend(|right| {
                        part.put_at(pane, (K::shorten(key), S::Kept::shorten(right)));
                    });
                });
            }
        }
    })
}

/// Puts what is this shard's into panes, those of each shard that saved it.
pub(super) fn load<K: Key, L: Record, R: Record, S: Keep<R>>(
    part: &str,
    mut panes: Vec<Panes<K, PaneSides<L, S>>>,
    from: &Loader<'_>,
) -> Result<Vec<Panes<K, PaneSides<L, S>>>> {
    from.part::<(K, L)>(&format!("{part} left"), |shard, pane, (key, left)| {
        if let Some(sides) = own(&mut panes[shard], pane, key, from) {
            sides.left.push(L::own(left));
        }
    })?;
    from.part::<(K, S::Kept)>(&format!("{part} right"), |shard, pane, (key, right)| {
        if let Some(sides) = own(&mut panes[shard], pane, key, from) {
            sides.right.keep_again(right);
        }
    })?;
    Ok(panes)
}

/// What a pane keeps of a key, if the key is this shard's.
fn own<'p, K: Key, V: Default>(
    panes: &'p mut Panes<K, V>,
    pane: Timestamp,
    key: K::View<'_>,
    from: &Loader<'_>,
) -> Option<&'p mut V> {
    let key = K::own(key);
    let hash = key::hash(&key);
    let make = || (key.clone(), V::default());
    from.owns(hash).then(|| panes.at(pane).entry(hash, |other| *other == key, make))
}
