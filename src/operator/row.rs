//! What is kept of a key of a process function.

use crate::error::Result;
use crate::record::{Key, Record};
use crate::state::{Held, Loader, PagedTable, Saver};
use crate::time::Timestamp;

/// The life of a key: the event-time timer that was set last, and its number, 0 before the first
/// timer is set.
pub type Life = (Timestamp, u64);

/// What is kept of a key: its state and, where there are timers, its life.
pub trait Row: Held + Default + Send + 'static {
    /// The state.
    type State: Record + Clone + Default;

    /// The state, and the life: `none` where there are no timers.
    fn parts<'a>(&'a mut self, none: &'a mut Life) -> (&'a mut Self::State, &'a mut Life);

    /// The number of the key's life.
    fn life(&self) -> u64;

    /// Begins to save a table of rows.
    ///
    /// # Errors
    /// As [`Saver::part`].
    fn save<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result;

    /// Saves more of it; true when that is all.
    ///
    /// # Errors
    /// As [`Saver::part`].
    fn save_more<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result<bool>;

    /// Takes up what was saved.
    ///
    /// # Errors
    /// As [`Loader::part`].
    fn load<K: Key>(table: &mut PagedTable<K, Self>, from: &Loader<'_>) -> Result;
}

/// The part of a checkpoint.
const KEYS: &str = "keys";

/// How a key is kept where there are timers: with its state and life.
type KeptTimed<K, S> = (K, S, Timestamp, u64);

/// State whose key may have timers.
#[derive(Clone, Default)]
pub struct Timed<S> {
    state: S,
    life: Life,
}

impl<S: Record + Clone> Held for Timed<S> {
    type As = (S, Timestamp, u64);
    fn lend_as<T>(&self, look: impl FnOnce(<Self::As as Record>::View<'_>) -> T) -> T {
        let (set, number) = self.life;
        self.state.lend(|state| look((state, set, number)))
    }
    fn own_as((state, set, number): <(S, Timestamp, u64) as Record>::View<'_>) -> Self {
        Timed { state: S::own(state), life: (set, number) }
    }
}

impl<S: Record + Clone + Default> Row for Timed<S> {
    type State = S;

    #[inline(always)]
    fn parts<'a>(&'a mut self, _: &'a mut Life) -> (&'a mut S, &'a mut Life) {
        (&mut self.state, &mut self.life)
    }

    fn life(&self) -> u64 {
        self.life.1
    }

    fn save<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result {
        to.begin_table::<_, _, KeptTimed<K, S>>(KEYS, table)
    }

    fn save_more<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result<bool> {
        to.table::<_, _, KeptTimed<K, S>>(KEYS, table, |part, key, Timed { state, life }| {
            key.lend(|key| {
                state.lend(|state| part.put((K::shorten(key), S::shorten(state), life.0, life.1)));
            });
        })
    }

    fn load<K: Key>(table: &mut PagedTable<K, Self>, from: &Loader<'_>) -> Result {
        if from.is::<(K, S)>(KEYS) {
            return from.table::<_, _, (K, S)>(KEYS, table, |(key, state)| {
                (K::own(key), Timed { state: S::own(state), ..Timed::default() })
            });
        }
        from.table::<_, _, KeptTimed<K, S>>(KEYS, table, |(key, state, set, number)| {
            (K::own(key), Timed { state: S::own(state), life: (set, number) })
        })
    }
}

/// State of a function that sets no timers.
#[derive(Clone, Default)]
pub struct Timeless<S>(S);

impl<S: Record + Clone> Held for Timeless<S> {
    type As = S;
    fn lend_as<T>(&self, look: impl FnOnce(S::View<'_>) -> T) -> T {
        self.0.lend(look)
    }
    fn own_as(state: S::View<'_>) -> Self {
        Timeless(S::own(state))
    }
}

impl<S: Record + Clone + Default> Row for Timeless<S> {
    type State = S;

    #[inline(always)]
    fn parts<'a>(&'a mut self, none: &'a mut Life) -> (&'a mut S, &'a mut Life) {
        (&mut self.0, none)
    }

    fn life(&self) -> u64 {
        0
    }

    fn save<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result {
        to.begin_table::<_, _, (K, S)>(KEYS, table)
    }

    fn save_more<K: Key>(table: &mut PagedTable<K, Self>, to: &mut Saver) -> Result<bool> {
        to.table::<_, _, (K, S)>(KEYS, table, |part, key, Timeless(state)| {
            key.lend(|key| {
                state.lend(|state| part.put((K::shorten(key), S::shorten(state))));
            });
        })
    }

    fn load<K: Key>(table: &mut PagedTable<K, Self>, from: &Loader<'_>) -> Result {
        // A function may have had timers, and engines before this one kept all as if they had.
        if from.is::<KeptTimed<K, S>>(KEYS) {
            return from.table::<_, _, KeptTimed<K, S>>(KEYS, table, |(key, state, _, _)| {
                (K::own(key), Timeless(S::own(state)))
            });
        }
        from.table::<_, _, (K, S)>(KEYS, table, |(key, state)| {
            (K::own(key), Timeless(S::own(state)))
        })
    }
}
