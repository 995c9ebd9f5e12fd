//! Records that are rkyv archives: written once, read in place.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::hash::Hasher;
use std::marker::PhantomData;
use std::ops::Deref;

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Portable};

use super::pad;
use super::stored::{Layout, both, word};
use crate::key::KeyHasher;

/// An archived record in place; it reads as rkyv's `ArchivedX`: `person.name.as_str()`.
///
/// ```text
/// encoded: | len: u64 | the archive, its root last | padding to 8 |
/// ```
#[repr(C)]
pub struct Archived<R> {
    aligned: [u64; 0],
    record: PhantomData<R>,
    bytes: [u8],
}

impl<R: Archive> Deref for Archived<R>
where
    R::Archived: Portable,
{
    type Target = R::Archived;

    #[inline(always)]
    fn deref(&self) -> &R::Archived {
        const { assert!(align_of::<R::Archived>() <= 8, "archives are aligned to at most 8") };
        // SAFETY: 1. an `Archived<R>` is only made over what this process serialised from an `R`.
        // 2. its bytes start aligned to 8, which the `const` below proves to be enough.
        unsafe { rkyv::access_unchecked::<R::Archived>(&self.bytes) }
    }
}

impl<R: Archive> fmt::Debug for Archived<R>
where
    R::Archived: Portable + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

const WORD: usize = 8;

type Writer<'a> = HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>;
type Reader = HighDeserializer<rancor::Error>;

thread_local! {
    /// The buffer of the last [`Archived::lend`]; a nested call finds none and makes its own.
    static SCRATCH: Cell<AlignedVec> = Cell::new(AlignedVec::new());
}

impl<R> Archived<R>
where
    R: Archive + for<'a> rkyv::Serialize<Writer<'a>>,
    R::Archived: Portable + rkyv::Deserialize<R, Reader>,
{
    /// Archives `record` into a scratch buffer and looks at it.
    ///
    /// # Panics
    /// When rkyv can't serialise the record, which for the types of `record!` can't happen.
    pub fn lend<T>(record: &R, look: impl FnOnce(&Archived<R>) -> T) -> T {
        let mut buffer = SCRATCH.take();
        buffer.clear();
        let buffer = rkyv::api::high::to_bytes_in::<_, rancor::Error>(record, buffer)
            .expect("an archive in memory can be written");
        // SAFETY: the buffer is aligned to 16 and holds what was just serialised.
        let result = look(unsafe { Self::over(&buffer) });
        SCRATCH.set(buffer);
        result
    }

    /// An owned copy.
    ///
    /// # Panics
    /// Never for archives that this process wrote.
    pub fn own(&self) -> R {
        rkyv::deserialize::<R, rancor::Error>(&**self)
            .expect("an archive of this process can be read")
    }

    /// A hash of the content: of the archive's bytes, in which rkyv sets all padding to 0.
    pub fn digest(&self) -> u64 {
        let mut hasher = KeyHasher::default();
        hasher.write(&self.bytes);
        hasher.finish()
    }

    /// Encoded bytes.
    #[inline(always)]
    pub fn size(&self) -> usize {
        WORD + pad(self.bytes.len())
    }

    /// Writes the encoding.
    ///
    /// # Safety
    /// As for [`Record::write`](super::Record::write).
    #[inline(always)]
    pub unsafe fn write(&self, to: *mut u8) {
        // SAFETY: the caller gives room for `size()` bytes.
        unsafe {
            to.cast::<u64>().write(self.bytes.len() as u64);
            to.add(WORD).copy_from_nonoverlapping(self.bytes.as_ptr(), self.bytes.len());
        }
    }

    /// Reads the encoding in place.
    ///
    /// # Safety
    /// As for [`Record::read`](super::Record::read).
    #[inline(always)]
    pub unsafe fn read<'a>(from: *const u8) -> (&'a Archived<R>, usize) {
        // SAFETY: `write` put a length there and that many bytes of an archive of `R`.
        unsafe {
            let len = from.cast::<u64>().read() as usize;
            let bytes = std::slice::from_raw_parts(from.add(WORD), len);
            (Self::over(bytes), WORD + pad(len))
        }
    }

    /// # Safety
    /// 1. `bytes` holds an archive of `R`, its root last. 2. It starts aligned to 8.
    #[inline(always)]
    unsafe fn over(bytes: &[u8]) -> &Archived<R> {
        let thin: *const [u8] = bytes;
        // SAFETY: `Archived` is `repr(C)` with one field that has a size, the bytes.
        unsafe { &*(thin as *const Archived<R>) }
    }
}

impl<R> Archived<R>
where
    R: Archive,
    R::Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>,
{
    /// As [`Record::STORED`](super::Record::STORED): archives lie alike wherever they are made.
    pub const STORED: Layout = both(Some(5), Some(size_of::<R::Archived>() as u64));

    /// As [`Record::check`](super::Record::check).
    pub fn check(bytes: &[u8]) -> Option<usize> {
        let (len, rest) = word(bytes)?;
        rkyv::access::<R::Archived, rancor::Error>(rest.get(..len)?).ok()?;
        (pad(len) <= rest.len()).then_some(WORD + pad(len))
    }
}
