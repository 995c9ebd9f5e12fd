//! Records: what a stream is made of, how it lies in memory, and how it is read in place.
//!
//! A record type has an *owned* form (what a closure returns) and a *view* (what a closure is
//! given): a borrowed reading of the bytes in a frame.
//!
//! | owned | view | encoded |
//! |---|---|---|
//! | `u64`, `f64`, `bool`, [`Timestamp`](crate::time::Timestamp), `[u8; N]`, … | itself | 8 bytes, or the next multiple of 8 |
//! | a fixed-size struct or enum of [`record!`](crate::record!) | `&Bid` | its own bytes |
//! | `String` | `&str` | length, text |
//! | a struct or enum of [`record!`](crate::record!) with strings or lists | [`&Archived<Person>`](Archived), reads as rkyv's `ArchivedPerson` | length, rkyv archive |
//! | `(A, B)`, `Option<A>` | `(A::View, B::View)`, `Option<A::View>` | one after the other |
//! | `Vec<A>` | [`List<A>`] | length, count, items |
//!
//! Every encoding is a multiple of 8 bytes long and starts at a multiple of 8, so fixed-size
//! records are read natively and nothing is ever deserialised on the way through the engine.
#![allow(unsafe_code)]

mod archived;
mod block;
mod compound;
mod declare;
mod digest;
mod frame;
mod in_window;
mod native;
mod schema;
mod shape;
#[doc(hidden)]
pub mod stored;

pub use archived::Archived;
pub use block::{Batch, Block, Records};
pub use compound::List;
pub use frame::{Frame, Payload};
pub use in_window::InWindow;
pub use native::Plain;
pub use schema::{Column, Schema, Type, Visitor};
pub use shape::{Misfit, Part, Place, Shape, Value, Variant};

/// Rounds up to the engine's alignment of 8 bytes.
pub(crate) const fn pad(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

#[diagnostic::on_unimplemented(
    message = "streams can't be made of `{Self}`: it is no record",
    label = "not a record",
    note = "numbers, `String`, `Timestamp`, `Option`, `Vec` and tuples of records are records; \
            declare one of your own with `record! {{ struct Bid {{ price: u64 }} }}`",
    note = "`usize` and `isize` are as wide as the machine: say `u64` or `i64`",
    note = "a field of an archived record is rkyv's own (`u64_le`, `ArchivedString`): \
            `.to_native()` makes a number of it, `.as_str().to_owned()` text"
)]
/// A type that streams can be made of. Implemented by [`record!`](crate::record!) and, for
/// fixed-size types of your own, through [`Plain`].
///
/// A record is the same on every machine, so `usize` is none:
///
/// ```compile_fail,E0277
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// let lengths = job.source(Files::lines("*.txt")).map(|line| line.len()); // `as u64` is missing
/// ```
///
/// # Safety
/// 1. [`write`](Record::write) touches no more than [`size`](Record::size) bytes and initialises
///    all of them that `read` looks at.
/// 2. [`read`](Record::read) of what `write` wrote gives an equal view and that same size.
/// 3. `size` is a multiple of 8, and equals [`SIZE`](Record::SIZE) where that is some.
/// 4. [`LAYOUT`](Record::LAYOUT) and [`STORED`](Record::STORED) are some only where no byte of the
///    value, or of what `write` writes, is padding.
/// 5. Where [`check`](Record::check) gives some size, `read` of these bytes gives a valid view and
///    that size; where [`valid`](Record::valid) is true, the bytes are a valid value.
pub unsafe trait Record: Sized + Send + 'static {
    /// What a closure gets: the record read in place.
    type View<'a>: Copy;

    /// Bytes of every record of the type, or none when they differ.
    const SIZE: Option<usize>;

    /// The shape, for schemas, CSV and JSON.
    fn data_type() -> Type;

    /// How the encoding lies, if that can be said; then a log that holds such records can be read
    /// by programs that do not know the type.
    fn shape() -> Option<Shape> {
        None
    }

    /// Looks at an owned record as a view.
    fn lend<T>(&self, look: impl FnOnce(Self::View<'_>) -> T) -> T;

    /// A view is also a view for a shorter time.
    fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s>;

    /// An owned copy of what a view shows.
    fn own(view: Self::View<'_>) -> Self;

    /// Encoded bytes of this record.
    fn size(view: Self::View<'_>) -> usize;

    /// Writes the record's encoding.
    ///
    /// # Safety
    /// 1. `to` is aligned to 8. 2. `size(view)` bytes from it may be written.
    unsafe fn write(view: Self::View<'_>, to: *mut u8);

    /// Reads a record in place; gives its view and its size.
    ///
    /// # Safety
    /// 1. `from` is aligned to 8. 2. `write` of this type wrote there. 3. The bytes stay as they
    ///    are for `'a`.
    unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize);

    /// Shows every field to `to`, in the order of [`Record::data_type`].
    fn visit(&self, to: &mut dyn Visitor);

    /// A hash of the whole content, for comparing results: equal records give equal digests in
    /// every run of one build. Unlike a key's hash it is not kept anywhere.
    fn digest(view: Self::View<'_>) -> u64 {
        digest::shown(&Self::own(view))
    }

    /// A number for how the owned value lies in memory, if none of its bytes is padding.
    const LAYOUT: stored::Layout = None;

    /// A number for how the encoding lies in memory, if it may be kept outside the process.
    const STORED: stored::Layout = Self::LAYOUT;

    /// Whether these `size_of::<Self>()` bytes are a value of a type whose [`LAYOUT`] is some.
    ///
    /// [`LAYOUT`]: Record::LAYOUT
    fn valid(bytes: &[u8]) -> bool {
        let _ = bytes;
        false
    }

    /// The size of the encoding at the start of `bytes`, which start aligned to 8; none when there
    /// is no valid one.
    fn check(bytes: &[u8]) -> Option<usize> {
        let (own, size) = (bytes.get(..size_of::<Self>())?, Self::SIZE?);
        (Self::LAYOUT.is_some() && size <= bytes.len() && Self::valid(own)).then_some(size)
    }
}

/// A record that can be a key: equal keys are equal as views and hash alike.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a key",
    label = "not a key",
    note = "a key is a record with `Eq` and `Hash`: `record! {{ #[derive(Eq, Hash)] struct \
            Route {{ … }} }}`; key by a borrowed part of a record with `key_by_ref`",
    note = "`usize` and `isize` are as wide as the machine: say `u64` or `i64`",
    note = "a field of an archived record is rkyv's own (`u64_le`, `ArchivedString`): \
            `.to_native()` makes a number of it, `.as_str().to_owned()` text"
)]
pub trait Key: Record + Clone + Eq + std::hash::Hash {
    /// Whether there is only one key, `()`: tables of it are one slot.
    const SINGLE: bool = size_of::<Self>() == 0;
}

impl<T: Record + Clone + Eq + std::hash::Hash> Key for T {}

/// What a borrowed key becomes when it must be kept: `str` becomes `String`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a key that is borrowed from the record",
    label = "not text",
    note = "text is borrowed: `key_by_ref(|person| person.name.as_str())`; other keys are \
            computed: `key_by(|person| person.id.to_native())`"
)]
pub trait ToKey: Eq + std::hash::Hash {
    /// The owned key; hashes like its borrowed form.
    type Key: Key + std::borrow::Borrow<Self>;
    /// Makes the owned key.
    fn to_key(&self) -> Self::Key;
}

impl ToKey for str {
    type Key = String;
    fn to_key(&self) -> String {
        self.to_owned()
    }
}
