//! Records made of records: text, tuples, options, lists.
#![allow(unsafe_code)]

use std::hash::Hasher;
use std::marker::PhantomData;

use super::stored::{Layout, both, check_all, word};
use super::{Record, Schema, Shape, Type, Visitor, pad};
use crate::key::KeyHasher;

/// Bytes of a length or a tag, which keeps what follows it aligned.
const WORD: usize = 8;

// SAFETY: layout `len: u64 | len bytes | padding to 8`. 1. `write` fills the length and the text,
// which `size` counts with the padding; that is neither written nor read. 2. `read` takes the
// length and the bytes that were written. 3. `pad` gives multiples of 8, and `SIZE` is none. 4. the
// padding is what the block holds there, not what `write` writes; `LAYOUT` is none. 5. `check` sees
// that length, text and padding lie in the bytes and that the text is UTF-8; `valid` stays false.
unsafe impl Record for String {
    type View<'a> = &'a str;
    const SIZE: Option<usize> = None;

    fn data_type() -> Type {
        Type::Text
    }
    fn shape() -> Option<Shape> {
        Some(Shape::Text)
    }
    #[inline(always)]
    fn lend<X>(&self, look: impl FnOnce(&str) -> X) -> X {
        look(self)
    }
    #[inline(always)]
    fn shorten<'s, 'l: 's>(view: &'l str) -> &'s str {
        view
    }
    fn own(view: &str) -> String {
        view.to_owned()
    }
    #[inline(always)]
    fn size(view: &str) -> usize {
        WORD + pad(view.len())
    }
    #[inline(always)]
    unsafe fn write(view: &str, to: *mut u8) {
        // SAFETY: 1. the word is aligned by the caller's 1. 2. by its 2 there is room for the word
        // and the text, which lies elsewhere.
        unsafe {
            to.cast::<u64>().write(view.len() as u64);
            to.add(WORD).copy_from_nonoverlapping(view.as_ptr(), view.len());
        }
    }
    #[inline(always)]
    unsafe fn read<'a>(from: *const u8) -> (&'a str, usize) {
        // SAFETY: 1. the word is aligned by the caller's 1. 2. `write` put a length and that many
        // bytes of valid UTF-8 there, by its 2. 3. they stay for `'a` by its 3.
        unsafe {
            let len = from.cast::<u64>().read() as usize;
            let bytes = std::slice::from_raw_parts(from.add(WORD), len);
            (std::str::from_utf8_unchecked(bytes), WORD + pad(len))
        }
    }
    fn visit(&self, to: &mut dyn Visitor) {
        to.text(self);
    }
    fn digest(view: &str) -> u64 {
        crate::key::hash(view)
    }
    const STORED: Layout = Some(1);
    fn check(bytes: &[u8]) -> Option<usize> {
        let (len, rest) = word(bytes)?;
        std::str::from_utf8(rest.get(..len)?).ok()?;
        (pad(len) <= rest.len()).then_some(WORD + pad(len))
    }
}

// SAFETY: layout `tag: u64 | the value when the tag is 1`, and for a fixed-size value always its
// bytes, which are neither written nor read when the tag is 0. 1. `write` fills the tag and what
// `A` writes, and `size` counts both. 2. `read` takes the tag and then what `A` reads. 3. a word
// and a size of `A`, both multiples of 8, fixed where `A`'s is. 4. `STORED` is some only where
// `A`'s is; the bytes of a value that is none are what the block holds there. 5. `check` takes no
// tag but 0 and 1 and leaves the value to `A::check`; `valid` stays false.
unsafe impl<A: Record> Record for Option<A> {
    type View<'a> = Option<A::View<'a>>;
    const SIZE: Option<usize> = match A::SIZE {
        Some(size) => Some(WORD + size),
        None => None,
    };

    fn data_type() -> Type {
        Type::Option(Box::new(A::data_type()))
    }
    fn shape() -> Option<Shape> {
        Some(Shape::Option(Box::new(A::shape()?)))
    }
    #[inline(always)]
    fn lend<X>(&self, look: impl FnOnce(Self::View<'_>) -> X) -> X {
        match self {
            Some(a) => a.lend(|a| look(Some(a))),
            None => look(None),
        }
    }
    #[inline(always)]
    fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
        view.map(A::shorten)
    }
    fn own(view: Self::View<'_>) -> Self {
        view.map(A::own)
    }
    #[inline(always)]
    fn size(view: Self::View<'_>) -> usize {
        WORD + A::SIZE.unwrap_or_else(|| view.map_or(0, A::size))
    }
    #[inline(always)]
    unsafe fn write(view: Self::View<'_>, to: *mut u8) {
        // SAFETY: 1. the tag is aligned by the caller's 1, the value behind it too. 2. by its 2
        // there is room for the tag and, when there is a value, for its size.
        unsafe {
            to.cast::<u64>().write(u64::from(view.is_some()));
            if let Some(a) = view {
                A::write(a, to.add(WORD));
            }
        }
    }
    #[inline(always)]
    unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
        // SAFETY: 1. the tag is aligned by the caller's 1, the value behind it too. 2. by its 2
        // `write` put a tag there, and the value when the tag is not 0. 3. passed on.
        unsafe {
            if from.cast::<u64>().read() == 0 {
                return (None, WORD + A::SIZE.unwrap_or(0));
            }
            let (view, size) = A::read(from.add(WORD));
            (Some(view), WORD + size)
        }
    }
    fn visit(&self, to: &mut dyn Visitor) {
        match self {
            Some(a) => a.visit(to),
            None => to.null(),
        }
    }
    const STORED: Layout = both(Some(2), A::STORED);
    fn check(bytes: &[u8]) -> Option<usize> {
        let (tag, rest) = word(bytes)?;
        let size = match tag {
            0 => A::SIZE.unwrap_or(0),
            1 => A::check(rest)?,
            _ => return None,
        };
        (size <= rest.len()).then_some(WORD + size)
    }
}

/// A view of a `Vec<A>`: its items are read in place, in order.
///
/// ```
/// use thalweg::prelude::*;
/// let sum = vec![1_u64, 2, 3].lend(|list| list.iter().sum::<u64>());
/// assert_eq!(sum, 6);
/// ```
pub struct List<'a, A> {
    first: *const u8,
    len: usize,
    items: PhantomData<&'a [A]>,
}

impl<A> Clone for List<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for List<'_, A> {}

impl<'a, A: Record> List<'a, A> {
    /// How many items there are.
    pub fn len(self) -> usize {
        self.len
    }
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
    /// The items' views.
    pub fn iter(self) -> impl Iterator<Item = A::View<'a>> {
        let mut at = self.first;
        (0..self.len).map(move |_| {
            // SAFETY: 1. the first item is aligned to 8, and all sizes are multiples of it. 2. a
            // list is only made of what `A::write` wrote, `len` items one after the other. 3. it
            // borrows them for `'a`.
            let (view, size) = unsafe { A::read(at) };
            at = at.wrapping_add(size);
            view
        })
    }
    /// The items, copied.
    pub fn to_vec(self) -> Vec<A> {
        self.iter().map(A::own).collect()
    }
}

impl<'a, A: Record> std::fmt::Debug for List<'a, A>
where
    A::View<'a>: std::fmt::Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// SAFETY: layout `bytes: u64 | count: u64 | items`, where `bytes` is the size of the items. 1.
// `write` fills two words and copies as many bytes of items as `size` counts. 2. `read` takes the
// same words, and the items as they were copied. 3. two words and sizes of `A`, all multiples of 8,
// and `SIZE` is none. 4. `STORED` is some only where `A`'s is. 5. `check` has each item checked by
// `A` and sees that they take up `bytes`; items of no size need no memory. `valid` stays false.
unsafe impl<A: Record> Record for Vec<A> {
    type View<'a> = List<'a, A>;
    const SIZE: Option<usize> = None;

    fn data_type() -> Type {
        Type::List(Box::new(A::data_type()))
    }
    fn shape() -> Option<Shape> {
        Some(Shape::List(Box::new(A::shape()?)))
    }
    fn lend<X>(&self, look: impl FnOnce(List<'_, A>) -> X) -> X {
        let bytes: usize = self.iter().map(|a| a.lend(A::size)).sum();
        let mut words = vec![0_u64; bytes / WORD];
        let mut at = words.as_mut_ptr().cast::<u8>();
        for item in self {
            // SAFETY: 1. the words are aligned to 8, and all sizes are multiples of it. 2. the
            // items' sizes were summed just now, and the words are as many.
            item.lend(|view| unsafe {
                A::write(view, at);
                at = at.add(A::size(view));
            });
        }
        look(List { first: words.as_ptr().cast(), len: self.len(), items: PhantomData })
    }
    fn shorten<'s, 'l: 's>(view: List<'l, A>) -> List<'s, A> {
        List { first: view.first, len: view.len, items: PhantomData }
    }
    fn own(view: List<'_, A>) -> Self {
        view.iter().map(A::own).collect()
    }
    fn size(view: List<'_, A>) -> usize {
        2 * WORD + view.iter().map(A::size).sum::<usize>()
    }
    unsafe fn write(view: List<'_, A>, to: *mut u8) {
        let bytes = Self::size(view) - 2 * WORD;
        // SAFETY: 1. the words are aligned by the caller's 1. 2. by its 2 there is room for them
        // and the items, which are copied as they lie; the view lends them from elsewhere.
        unsafe {
            to.cast::<u64>().write(bytes as u64);
            to.add(WORD).cast::<u64>().write(view.len as u64);
            to.add(2 * WORD).copy_from_nonoverlapping(view.first, bytes);
        }
    }
    unsafe fn read<'a>(from: *const u8) -> (List<'a, A>, usize) {
        // SAFETY: 1. the words are aligned by the caller's 1. 2. by its 2 `write` put two words
        // there and then the items. 3. the list borrows them for `'a`, for which they stay.
        unsafe {
            let bytes = from.cast::<u64>().read() as usize;
            let len = from.add(WORD).cast::<u64>().read() as usize;
            let list = List { first: from.add(2 * WORD), len, items: PhantomData };
            (list, 2 * WORD + bytes)
        }
    }
    fn visit(&self, to: &mut dyn Visitor) {
        to.list();
        for item in self {
            item.visit(to);
        }
        to.end();
    }
    const STORED: Layout = both(Some(3), A::STORED);
    fn check(bytes: &[u8]) -> Option<usize> {
        let (size, rest) = word(bytes)?;
        let (items, rest) = word(rest)?;
        // Items of no size could be claimed without end.
        let empty = A::SIZE == Some(0);
        let items = if empty { 0 } else { items };
        (check_all::<A>(rest, items)?.len() == size).then_some(2 * WORD + size)
    }
}

const fn sum(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        _ => None,
    }
}

macro_rules! lend_all {
    ($self:ident, $look:ident, [$($type:ident $done:ident)*]) => {
        $look(($($type::shorten($done),)*))
    };
    ($self:ident, $look:ident, [$($done:ident)*] $type:ident $n:tt $next:ident $($rest:tt)*) => {
        $self.$n.lend(|$next| lend_all!($self, $look, [$($done)* $type $next] $($rest)*))
    };
}

macro_rules! tuple {
    ($($type:ident $n:tt $name:ident $text:literal),*) => {
        // SAFETY: the parts lie one after the other and keep `Record`'s promises. 1. each part
        // fills its size, and `size` is their sum. 2. they are read in the order in which they
        // were written, each where the one before ends. 3. a sum of multiples of 8, fixed where
        // all are. 4. `STORED` is some only where all parts' are. 5. `check` has each part checked
        // where `read` will read it; `valid` stays false.
        unsafe impl<$($type: Record),*> Record for ($($type,)*) {
            type View<'a> = ($($type::View<'a>,)*);
            const SIZE: Option<usize> = {
                let size = Some(0);
                $(let size = sum(size, $type::SIZE);)*
                size
            };

            fn data_type() -> Type {
                Type::Struct(Schema::new("", [$(($text, $type::data_type())),*]))
            }
            fn shape() -> Option<Shape> {
                Shape::of_struct("", &[$(($text, $type::shape())),*])
            }
            #[inline(always)]
            fn lend<X>(&self, look: impl FnOnce(Self::View<'_>) -> X) -> X {
                lend_all!(self, look, [] $($type $n $name)*)
            }
            #[inline(always)]
            fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
                ($($type::shorten(view.$n),)*)
            }
            #[inline(always)]
            fn own(view: Self::View<'_>) -> Self {
                ($($type::own(view.$n),)*)
            }
            #[inline(always)]
            fn size(view: Self::View<'_>) -> usize {
                0 $(+ $type::size(view.$n))*
            }
            #[inline(always)]
            unsafe fn write(view: Self::View<'_>, to: *mut u8) {
                let at = to;
                $(
                    // SAFETY: 1. the first is aligned by the caller's 1, and each ends aligned.
                    // 2. by its 2 there is room for all parts.
                    let at = unsafe {
                        $type::write(view.$n, at);
                        at.add($type::size(view.$n))
                    };
                )*
                let _ = at;
            }
            #[inline(always)]
            unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
                let mut size = 0;
                $(
                    // SAFETY: 1. the first is aligned by the caller's 1, and each ends aligned.
                    // 2. `write` put the parts there in this order, by its 2. 3. passed on.
                    let ($name, bytes) = unsafe { $type::read(from.add(size)) };
                    size += bytes;
                )*
                (($($name,)*), size)
            }
            fn visit(&self, to: &mut dyn Visitor) {
                to.fields();
                $(to.field($text); self.$n.visit(to);)*
                to.end();
            }
            fn digest(view: Self::View<'_>) -> u64 {
                let mut hasher = KeyHasher::default();
                $(hasher.write_u64($type::digest(view.$n));)*
                hasher.finish()
            }
            const STORED: Layout = {
                let layout = Some(4);
                $(let layout = both(layout, $type::STORED);)*
                layout
            };
            fn check(bytes: &[u8]) -> Option<usize> {
                let size = 0;
                $(let size = size + $type::check(bytes.get(size..)?)?;)*
                Some(size)
            }
        }
    };
}

tuple!(A 0 a "0");
tuple!(A 0 a "0", B 1 b "1");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2", D 3 d "3");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2", D 3 d "3", E 4 e "4");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2", D 3 d "3", E 4 e "4", F 5 f "5");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2", D 3 d "3", E 4 e "4", F 5 f "5", G 6 g "6");
tuple!(A 0 a "0", B 1 b "1", C 2 c "2", D 3 d "3", E 4 e "4", F 5 f "5", G 6 g "6", H 7 h "7");
