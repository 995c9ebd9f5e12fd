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
#[derive(Clone, Debug)]
pub struct Lists<T> {
    chunks: Vec<Vec<(T, List)>>,
}

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
        Lists { chunks: Vec::new() }
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

    /// Forgets all lists; those handed out must not be used any more.
    pub fn clear(&mut self) {
        self.chunks.clear();
    }
}
