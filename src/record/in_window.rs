//! What a window gives: a value of a key and a window.
#![allow(unsafe_code)]

use super::stored::Layout;
use super::{Record, Schema, Shape, Type, Visitor};
use crate::time::Timestamp;

/// A value that belongs to a key and to the window `[start, end)`. Its event time is the last
/// microsecond of the window.
///
/// Its view has the same fields, each a view: `result.key`, `result.value.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InWindow<K, V> {
    /// The key, `()` for a window over the whole stream.
    pub key: K,
    /// The first microsecond of the window.
    pub start: Timestamp,
    /// The first microsecond after it.
    pub end: Timestamp,
    /// What was aggregated.
    pub value: V,
}

type Parts<K, V> = (K, Timestamp, Timestamp, V);

// SAFETY: 1. to 3. it is written, read and measured as the tuple of its fields, which keeps
// `Record`'s promises. 4. and 5. `STORED` and `check` are the tuple's; `valid` stays false.
unsafe impl<K: Record, V: Record> Record for InWindow<K, V> {
    type View<'a> = InWindow<K::View<'a>, V::View<'a>>;
    const SIZE: Option<usize> = <Parts<K, V> as Record>::SIZE;

    fn data_type() -> Type {
        let (key, value) = (K::data_type(), V::data_type());
        let times = [("window_start", Type::Time), ("window_end", Type::Time)];
        let [start, end] = times;
        Type::Struct(Schema::new("InWindow", [("key", key), start, end, ("value", value)]))
    }
    fn shape() -> Option<Shape> {
        let times = [("window_start", Some(Shape::Time)), ("window_end", Some(Shape::Time))];
        let [start, end] = times;
        let (key, value) = (("key", K::shape()), ("value", V::shape()));
        Shape::of_struct("InWindow", &[key, start, end, value])
    }
    #[inline(always)]
    fn lend<X>(&self, look: impl FnOnce(Self::View<'_>) -> X) -> X {
        let InWindow { start, end, .. } = *self;
        self.key.lend(|key| {
            self.value.lend(|value| {
                look(InWindow { key: K::shorten(key), start, end, value: V::shorten(value) })
            })
        })
    }
    #[inline(always)]
    fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
        let InWindow { key, start, end, value } = view;
        InWindow { key: K::shorten(key), start, end, value: V::shorten(value) }
    }
    #[inline(always)]
    fn own(view: Self::View<'_>) -> Self {
        let InWindow { key, start, end, value } = view;
        InWindow { key: K::own(key), start, end, value: V::own(value) }
    }
    #[inline(always)]
    fn size(view: Self::View<'_>) -> usize {
        <Parts<K, V>>::size((view.key, view.start, view.end, view.value))
    }
    #[inline(always)]
    unsafe fn write(view: Self::View<'_>, to: *mut u8) {
        // SAFETY: 1. and 2. passed on: the tuple asks for the same, and has the same size.
        unsafe { <Parts<K, V>>::write((view.key, view.start, view.end, view.value), to) }
    }
    #[inline(always)]
    unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
        // SAFETY: 1. to 3. passed on: `write` wrote the tuple.
        let ((key, start, end, value), size) = unsafe { <Parts<K, V>>::read(from) };
        (InWindow { key, start, end, value }, size)
    }
    const STORED: Layout = <Parts<K, V> as Record>::STORED;
    fn check(bytes: &[u8]) -> Option<usize> {
        <Parts<K, V>>::check(bytes)
    }
    fn visit(&self, to: &mut dyn Visitor) {
        to.fields();
        to.field("key");
        self.key.visit(to);
        to.field("window_start");
        to.time(self.start);
        to.field("window_end");
        to.time(self.end);
        to.field("value");
        self.value.visit(to);
        to.end();
    }
}
