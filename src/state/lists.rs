//! Lists that only grow, many in one arena.

/// Values in chunks that are never moved: each page of memory is touched once, when its first
/// value comes. A table of large entries would be copied, and its memory touched anew, whenever
/// it grows.
///
/// ```
/// use thalweg::state::{List, Lists};
///
/// let mut lists = Lists::new();
/// let (mut odd, mut even) = (List::default(), List::default());
/// for n in 0..5 {
///     lists.push(if n % 2 == 1 { &mut odd } else { &mut even }, n);
/// }
/// assert_eq!(lists.iter(even).copied().collect::<Vec<_>>(), [4, 2, 0]);
/// assert_eq!(lists.iter(odd).count(), 2);
/// ```
///
/// They are saved while they grow: [`begin_save`](Lists::begin_save) takes no time, and
/// [`save_some`](Lists::save_some) then shows the values that were there at that moment and were
/// not shown before, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    chunks: Chunks<T>,
    /// How many values were shown, and up to which the save goes that has begun.
    shown: usize,
    until: usize,
    /// What was forgotten while it was being saved: the chunks, and what of them is to be shown.
    leaving: Option<(Chunks<T>, std::ops::Range<usize>)>,
    /// Whether all was forgotten since the save before.
    cleared: bool,
}

type Chunks<T> = Vec<Vec<(T, List)>>;

/// One list of a [`Lists`]; empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The place of the newest value, counted from 1; 0 when there is none.
    newest: u32,
}

impl List {
    /// Whether it holds no value.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.newest == 0
    }
}

/// Values of a chunk.
const CHUNK: usize = 1024;

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Lists::new()
    }
}

impl<T> Lists<T> {
    /// An arena without lists.
    pub fn new() -> Self {
        Lists { chunks: Vec::new(), shown: 0, until: 0, leaving: None, cleared: false }
    }

    /// Puts a value before the others of a list.
    ///
    /// # Panics
    /// With 2³² − 1 values in the arena.
    #[inline(always)]
    pub fn push(&mut self, list: &mut List, value: T) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.push((value, *list));
        let newest = u32::try_from(full + chunk.len());
        list.newest = newest.expect("a shard's lists hold fewer than 2^32 values");
    }

    /// The values of a list, newest first.
    #[inline(always)]
    pub fn iter(&self, list: List) -> impl Iterator<Item = &T> {
        let mut list = list;
        std::iter::from_fn(move || {
            let place = (list.newest as usize).checked_sub(1)?;
            let (value, next) = &self.chunks[place / CHUNK][place % CHUNK];
            list = *next;
            Some(value)
        })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Forgets all lists; those handed out must not be used any more. What a save that has begun
    /// still has to show stays until then.
    pub fn clear(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        if self.shown < self.until {
            self.leaving = Some((chunks, self.shown..self.until));
        }
        (self.shown, self.until, self.cleared) = (0, 0, true);
    }

    /// Begins to save the values that are there now: all, or those that were not shown before. The
    /// save before must have come to its end. True when all values of saves before are forgotten.
    pub fn begin_save(&mut self, full: bool) -> bool {
        debug_assert!(self.leaving.is_none() && self.shown == self.until, "one save at a time");
        if full {
            self.shown = 0;
        }
        self.until = self.len();
        std::mem::take(&mut self.cleared) && !full
    }

    /// Whether a save has begun of which not all was shown.
    pub fn is_saving(&self) -> bool {
        self.leaving.is_some() || self.shown < self.until
    }

    /// Shows some `values` of the save that was begun; true when that was all of it.
    pub fn save_some(&mut self, values: usize, mut show: impl FnMut(&T)) -> bool {
        let (chunks, range) = match &mut self.leaving {
            Some((chunks, range)) => (&*chunks, range),
            None => (&self.chunks, &mut (self.shown..self.until)),
        };
        let end = range.end.min(range.start + values);
        for place in range.start..end {
            show(&chunks[place / CHUNK][place % CHUNK].0);
        }
        range.start = end;
        let done = end == range.end;
        match &self.leaving {
            Some(_) if done => self.leaving = None,
            Some(_) => {}
            None => self.shown = end,
        }
        done
    }
}
