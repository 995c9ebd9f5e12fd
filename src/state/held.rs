//! What is held for a key, and how it is encoded where it leaves memory.
#![allow(unsafe_code)]

use crate::record::{Key, Record};

/// What a table holds for a key: any record, or what is packed as one.
pub trait Held: Clone {
    /// The record.
    type As: Record;
    /// Looks at it as the record's view.
    fn lend_as<T>(&self, look: impl FnOnce(<Self::As as Record>::View<'_>) -> T) -> T;
    /// Makes it of a view.
    fn own_as(view: <Self::As as Record>::View<'_>) -> Self;
}

impl<R: Record + Clone> Held for R {
    type As = R;
    #[inline]
    fn lend_as<T>(&self, look: impl FnOnce(R::View<'_>) -> T) -> T {
        self.lend(look)
    }
    #[inline]
    fn own_as(view: R::View<'_>) -> Self {
        R::own(view)
    }
}

/// How entries are encoded: [`Held`] for tables that do not know that theirs are.
pub struct Codec<K, V> {
    /// Bytes of an entry.
    pub size: fn(&K, &V) -> usize,
    /// Appends an entry.
    pub put: fn(&K, &V, &mut Vec<u64>),
    /// Makes entries anew. The words must be what `put` appended for so many.
    pub take: unsafe fn(&[u64], usize) -> Vec<(K, V)>,
}

impl<K, V> Clone for Codec<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Codec<K, V> {}

impl<K: Key, V: Held> Codec<K, V> {
    /// That of these types.
    pub const OWN: Self = Codec { size: size::<K, V>, put: put::<K, V>, take: take::<K, V> };
}

type Row<K, V> = (K, <V as Held>::As);

fn size<K: Key, V: Held>(key: &K, value: &V) -> usize {
    key.lend(|key| {
        value.lend_as(|value| Row::<K, V>::size((K::shorten(key), V::As::shorten(value))))
    })
}

fn put<K: Key, V: Held>(key: &K, value: &V, to: &mut Vec<u64>) {
    key.lend(|key| {
        value.lend_as(|value| {
            let (view, from) = ((K::shorten(key), V::As::shorten(value)), to.len());
            to.resize(from + Row::<K, V>::size(view) / 8, 0);
            // SAFETY: 1. words are aligned to 8. 2. there are as many as the record takes.
            unsafe { Row::<K, V>::write(view, to[from..].as_mut_ptr().cast()) };
        });
    });
}

/// # Safety
/// The words are what `put` of these types appended for so many entries.
unsafe fn take<K: Key, V: Held>(words: &[u64], entries: usize) -> Vec<(K, V)> {
    let mut at = words.as_ptr().cast::<u8>();
    let own = |_| {
        // SAFETY: 1. words are aligned to 8, and sizes are multiples of it. 2. by the caller.
        // 3. the words are borrowed until the entry has been made.
        let ((key, value), size) = unsafe { Row::<K, V>::read(at) };
        at = at.wrapping_add(size);
        (K::own(key), V::own_as(value))
    };
    (0..entries).map(own).collect()
}
