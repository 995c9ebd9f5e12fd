//! The memory of a ring: a power of two of slots, addressed by free-running positions.
//!
//! ```text
//! position   ... 6   7 | 8   9  10  11  12  13  14  15 | 16 ...
//! slot           6   7 | 0   1   2   3   4   5   6   7 |  0 ...      (8 slots: position & 7)
//!                              ^head           ^tail
//! ```
//!
//! A slot holds a value exactly while `head <= position < tail`. The slots do not know head and
//! tail; who calls does, and promises what each function asks for.
//!
//! Under `cfg(loom)` every slot is watched by the model checker on its own, which is why a run of
//! slots is copied one by one there.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

#[cfg(not(loom))]
use std::cell::UnsafeCell;

#[cfg(loom)]
use loom::cell::UnsafeCell;

/// A power of two of slots that may or may not hold a value.
pub(super) struct Slots<T> {
    cells: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

impl<T> Slots<T> {
    /// At least `capacity` empty slots, at least two.
    ///
    /// # Panics
    ///
    /// When the next power of two, or its size in bytes, is beyond the address space.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2).next_power_of_two();
        let cells = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
        Self { cells }
    }

    pub(super) fn capacity(&self) -> usize {
        self.cells.len()
    }

    /// The slot of a position. The mask is taken in 64 bits, so that a 32-bit `usize` only ever
    /// loses bits that the mask drops anyway.
    #[inline(always)]
    fn slot(&self, position: u64) -> usize {
        (position & (self.cells.len() as u64 - 1)) as usize
    }

    /// How many of `count` slots lie before the end of the memory, from `position` on; the rest
    /// is at its beginning.
    #[inline(always)]
    fn first_run(&self, position: u64, count: usize) -> usize {
        count.min(self.cells.len() - self.slot(position))
    }
}

#[cfg(not(loom))]
impl<T> Slots<T> {
    /// Where the value of `position` lies. The pointer may be used up to the end of the memory.
    #[inline(always)]
    fn address(&self, position: u64) -> *mut T {
        let slot = self.slot(position);
        // SAFETY: 1. `slot` is less than the number of cells (masked), so the pointer stays inside
        // the allocation. The cast is sound because UnsafeCell and MaybeUninit are transparent.
        unsafe { UnsafeCell::raw_get(self.cells.as_ptr().add(slot)).cast() }
    }

    /// Puts a value into an empty slot.
    ///
    /// # Safety
    ///
    /// 1. The slot of `position` holds no value.
    /// 2. No other thread touches it during the call, and the last one that did happened before.
    #[inline(always)]
    pub(super) unsafe fn write(&self, position: u64, value: T) {
        // SAFETY: the address is valid and aligned; exclusive by 2; nothing is overwritten by 1.
        unsafe { self.address(position).write(value) }
    }

    /// Moves the value out of a slot, which is empty thereafter.
    ///
    /// # Safety
    ///
    /// 1. The slot of `position` holds a value, and it is not read again.
    /// 2. No other thread touches it during the call, and the one that wrote it happened before.
    #[inline(always)]
    pub(super) unsafe fn read(&self, position: u64) -> T {
        // SAFETY: initialised and moved out once by 1; exclusive by 2.
        unsafe { self.address(position).read() }
    }

    /// Copies `values` into the slots from `position` on, in at most two runs.
    ///
    /// # Safety
    ///
    /// 1. `values` is no longer than the capacity, and none of the slots holds a value.
    /// 2. As for [`write`](Self::write), for each of the slots.
    #[inline]
    pub(super) unsafe fn write_run(&self, position: u64, values: &[T])
    where
        T: Copy,
    {
        let (first, second) = values.split_at(self.first_run(position, values.len()));
        // SAFETY: the first run ends at the end of the memory at the latest, the second begins at
        // its beginning and does not reach `position` by 1; exclusive by 2. `values` is no part of
        // the memory, since no reference into it is ever given out.
        unsafe {
            copy(first.as_ptr(), self.address(position), first.len());
            copy(second.as_ptr(), self.address(0), second.len());
        }
    }

    /// Copies values out of the slots from `position` on, in at most two runs.
    ///
    /// # Safety
    ///
    /// 1. `values` is no longer than the capacity, and each of the slots holds a value.
    /// 2. As for [`read`](Self::read), for each of the slots.
    #[inline]
    pub(super) unsafe fn read_run(&self, position: u64, values: &mut [MaybeUninit<T>])
    where
        T: Copy,
    {
        let (first, second) = values.split_at_mut(self.first_run(position, values.len()));
        // SAFETY: as in `write_run`, in the other direction.
        unsafe {
            copy(self.address(position), first.as_mut_ptr().cast(), first.len());
            copy(self.address(0), second.as_mut_ptr().cast(), second.len());
        }
    }
}

/// # Safety
///
/// As for [`std::ptr::copy_nonoverlapping`].
#[cfg(not(loom))]
#[inline(always)]
unsafe fn copy<T: Copy>(from: *const T, to: *mut T, count: usize) {
    // SAFETY: passed on.
    unsafe { std::ptr::copy_nonoverlapping(from, to, count) }
}

#[cfg(loom)]
impl<T> Slots<T> {
    pub(super) unsafe fn write(&self, position: u64, value: T) {
        self.cells[self.slot(position)].with_mut(|slot| {
            // SAFETY: passed on; loom checks that the access is exclusive.
            unsafe { (*slot).write(value) };
        });
    }

    pub(super) unsafe fn read(&self, position: u64) -> T {
        // Mutable access, because a value that is moved out must not be shared either.
        self.cells[self.slot(position)].with_mut(|slot| {
            // SAFETY: passed on; loom checks that the access is exclusive.
            unsafe { (*slot).assume_init_read() }
        })
    }

    pub(super) unsafe fn write_run(&self, position: u64, values: &[T])
    where
        T: Copy,
    {
        assert!(self.first_run(position, values.len()) <= values.len());
        for (at, value) in (position..).zip(values) {
            // SAFETY: passed on.
            unsafe { self.write(at, *value) };
        }
    }

    pub(super) unsafe fn read_run(&self, position: u64, values: &mut [MaybeUninit<T>])
    where
        T: Copy,
    {
        for (at, value) in (position..).zip(values) {
            // SAFETY: passed on.
            unsafe { value.write(self.read(at)) };
        }
    }
}
