//! Records that lie in a frame as they lie in a Rust variable.
#![allow(unsafe_code)]

use super::stored::Layout;
use super::{Record, Shape, Type, Visitor, pad};
use crate::time::Timestamp;

/// A fixed-size type of your own: `Copy`, aligned to at most 8 bytes. Its view is `&Self`, so a
/// closure reads the fields natively. [`record!`](crate::record!) implements it for you.
///
/// ```
/// use thalweg::prelude::*;
/// use thalweg::record::{Plain, Type, Visitor};
///
/// #[derive(Clone, Copy)]
/// struct Celsius(f32);
///
/// impl Plain for Celsius {
///     fn data_type() -> Type { Type::Float(32) }
///     fn visit(&self, to: &mut dyn Visitor) { to.float(self.0.into()) }
/// }
/// assert_eq!(<Celsius as Record>::SIZE, Some(8));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record",
    label = "not a record",
    note = "declare one with `record! {{ struct Bid {{ price: u64 }} }}`",
    note = "`usize` and `isize` are as wide as the machine: say `u64` or `i64`",
    note = "a field of an archived record is rkyv's own (`u64_le`, `ArchivedString`): \
            `.to_native()` makes a number of it, `.as_str().to_owned()` text"
)]
pub trait Plain: Copy + Send + Sync + 'static {
    /// The shape, for schemas, CSV and JSON.
    fn data_type() -> Type;
    /// Shows the fields in the order of the shape.
    fn visit(&self, to: &mut dyn Visitor);

    /// As [`Record::shape`].
    #[doc(hidden)]
    fn shape() -> Option<Shape> {
        None
    }

    /// As [`Record::LAYOUT`]; none: the type can't be kept outside the process.
    #[doc(hidden)]
    const LAYOUT: Layout = None;

    /// As [`Record::valid`].
    #[doc(hidden)]
    fn valid(bytes: &[u8]) -> bool {
        let _ = bytes;
        false
    }
}

// SAFETY: 1. a typed copy of `T` writes no more than `size_of::<T>() <= SIZE` bytes; the padding is
// never read. 2. the same typed copy is read back by reference, at an address that is aligned to 8
// and therefore to `T`. 3. `pad` gives multiples of 8, and `size` is `SIZE`. 4. `LAYOUT` is some
// only for types of `record!`, whose fields `stored::fields` sees to fill the struct, each without
// padding of its own. 5. `check` is the default: as many bytes as `SIZE`, and `T::valid`, which
// `record!` makes of its fields' `valid`.
unsafe impl<T: Plain> Record for T {
    type View<'a> = &'a T;
    const SIZE: Option<usize> = {
        assert!(align_of::<T>() <= 8, "records are aligned to at most 8 bytes");
        Some(pad(size_of::<T>()))
    };

    fn data_type() -> Type {
        T::data_type()
    }
    fn shape() -> Option<Shape> {
        T::shape()
    }
    #[inline(always)]
    fn lend<X>(&self, look: impl FnOnce(&T) -> X) -> X {
        look(self)
    }
    #[inline(always)]
    fn shorten<'s, 'l: 's>(view: &'l T) -> &'s T {
        view
    }
    #[inline(always)]
    fn own(view: &T) -> T {
        *view
    }
    #[inline(always)]
    fn size(_: &T) -> usize {
        pad(size_of::<T>())
    }
    #[inline(always)]
    unsafe fn write(view: &T, to: *mut u8) {
        // SAFETY: 1. aligned by the caller's 1, since `T` is to at most 8. 2. room by its 2.
        unsafe { to.cast::<T>().write(*view) }
    }
    #[inline(always)]
    unsafe fn read<'a>(from: *const u8) -> (&'a T, usize) {
        // SAFETY: 1. aligned by the caller's 1, since `T` is to at most 8. 2. `write` put a `T`
        // there, by its 2. 3. it stays as it is for `'a`, by its 3.
        (unsafe { &*from.cast::<T>() }, pad(size_of::<T>()))
    }
    fn visit(&self, to: &mut dyn Visitor) {
        T::visit(self, to);
    }
    const LAYOUT: Layout = T::LAYOUT;
    fn valid(bytes: &[u8]) -> bool {
        T::valid(bytes)
    }
}

fn any(_: &[u8]) -> bool {
    true
}

fn truth(bytes: &[u8]) -> bool {
    matches!(bytes, [0 | 1])
}

fn letter(bytes: &[u8]) -> bool {
    let word = bytes.try_into().map(u32::from_ne_bytes);
    word.is_ok_and(|word| char::from_u32(word).is_some())
}

macro_rules! by_value {
    ($(
        $type:ty: $data:expr, $shape:expr, |$x:ident, $to:ident| $visit:expr, $valid:expr;
    )*) => {$(
        // SAFETY: 1. the value is copied into `pad(size_of)` bytes, the rest is neither written
        // nor read. 2. it is read back from there, unaligned where the type is wider than 8 bytes.
        // 3. `pad` gives multiples of 8, and `size` is `SIZE`. 4. no type of the list has padding.
        // 5. `check` is the default: as many bytes as `SIZE`, and `valid`, which is true for the
        // bytes of a value.
        unsafe impl Record for $type {
            type View<'a> = $type;
            const SIZE: Option<usize> = Some(pad(size_of::<$type>()));

            fn data_type() -> Type {
                $data
            }
            fn shape() -> Option<Shape> {
                Some($shape)
            }
            #[inline(always)]
            fn lend<X>(&self, look: impl FnOnce($type) -> X) -> X {
                look(*self)
            }
            #[inline(always)]
            fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
                view
            }
            #[inline(always)]
            fn own(view: $type) -> $type {
                view
            }
            #[inline(always)]
            fn size(_: $type) -> usize {
                pad(size_of::<$type>())
            }
            #[inline(always)]
            unsafe fn write(view: $type, to: *mut u8) {
                // SAFETY: 1. no alignment is asked for. 2. room by the caller's 2.
                unsafe { to.cast::<$type>().write_unaligned(view) }
            }
            #[inline(always)]
            unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
                // SAFETY: 1. no alignment is asked for. 2. `write` put a value there, by the
                // caller's 2. 3. it is copied, so it need not stay.
                (unsafe { from.cast::<$type>().read_unaligned() }, pad(size_of::<$type>()))
            }
            fn visit(&self, $to: &mut dyn Visitor) {
                let $x = *self;
                $visit
            }
            const LAYOUT: Layout = Some(size_of::<$type>() as u64);
            fn valid(bytes: &[u8]) -> bool {
                let valid: fn(&[u8]) -> bool = $valid;
                valid(bytes)
            }
        }
    )*};
}

by_value! {
    (): Type::Unit, Shape::Unit, |_x, _to| (), any;
    bool: Type::Bool, Shape::Bool, |x, to| to.bool(x), truth;
    char: Type::Text, Shape::Char, |x, to| to.text(x.encode_utf8(&mut [0; 4])), letter;
    u8: Type::Uint(8), Shape::Uint(8), |x, to| to.uint(x.into()), any;
    u16: Type::Uint(16), Shape::Uint(16), |x, to| to.uint(x.into()), any;
    u32: Type::Uint(32), Shape::Uint(32), |x, to| to.uint(x.into()), any;
    u64: Type::Uint(64), Shape::Uint(64), |x, to| to.uint(x.into()), any;
    u128: Type::Uint(128), Shape::Uint(128), |x, to| to.uint(x), any;
    i8: Type::Int(8), Shape::Int(8), |x, to| to.int(x.into()), any;
    i16: Type::Int(16), Shape::Int(16), |x, to| to.int(x.into()), any;
    i32: Type::Int(32), Shape::Int(32), |x, to| to.int(x.into()), any;
    i64: Type::Int(64), Shape::Int(64), |x, to| to.int(x.into()), any;
    i128: Type::Int(128), Shape::Int(128), |x, to| to.int(x), any;
    f32: Type::Float(32), Shape::Float(32), |x, to| to.float(x.into()), any;
    f64: Type::Float(64), Shape::Float(64), |x, to| to.float(x), any;
    Timestamp: Type::Time, Shape::Time, |x, to| to.time(x), any;
}

// SAFETY: 1. the array is copied into `pad(N)` bytes, the rest is neither written nor read. 2. it
// is read back from there. 3. `pad` gives multiples of 8, and `size` is `SIZE`. 4. an array of
// bytes has no padding. 5. `check` is the default, and all bytes are valid.
unsafe impl<const N: usize> Record for [u8; N] {
    type View<'a> = [u8; N];
    const SIZE: Option<usize> = Some(pad(N));

    fn data_type() -> Type {
        Type::Bytes
    }
    fn shape() -> Option<Shape> {
        Some(Shape::Bytes(N))
    }
    #[inline(always)]
    fn lend<X>(&self, look: impl FnOnce([u8; N]) -> X) -> X {
        look(*self)
    }
    #[inline(always)]
    fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
        view
    }
    #[inline(always)]
    fn own(view: [u8; N]) -> [u8; N] {
        view
    }
    #[inline(always)]
    fn size(_: [u8; N]) -> usize {
        pad(N)
    }
    #[inline(always)]
    unsafe fn write(view: [u8; N], to: *mut u8) {
        // SAFETY: 1. bytes are aligned anywhere. 2. room by the caller's 2.
        unsafe { to.cast::<[u8; N]>().write(view) }
    }
    #[inline(always)]
    unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
        // SAFETY: 1. bytes are aligned anywhere. 2. `write` put an array there, by the caller's 2.
        // 3. it is copied, so it need not stay.
        (unsafe { from.cast::<[u8; N]>().read() }, pad(N))
    }
    fn visit(&self, to: &mut dyn Visitor) {
        to.bytes(self);
    }
    const LAYOUT: Layout = Some(N as u64);
    fn valid(_: &[u8]) -> bool {
        true
    }
}
