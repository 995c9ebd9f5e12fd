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
//! The memory begins at a cache line, so that values as large as one lie in one: a value that the
//! producer writes never shares a line with one that the consumer reads.
//!
//! Under `cfg(loom)` every slot is watched by the model checker on its own, which is why a run of
//! slots is copied one by one there.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

#[cfg(not(loom))]
use std::{cell::UnsafeCell, marker::PhantomData};

#[cfg(loom)]
use loom::cell::UnsafeCell;

use super::copying::Copying;

/// As large as the pair of lines that is fetched at once, and aligned to it, as `CachePadded`.
#[cfg(not(loom))]
#[repr(align(128))]
struct Line(#[expect(dead_code)] [u8; 128]);

/// A power of two of slots that may or may not hold a value.
#[cfg(not(loom))]
pub(super) struct Slots<T> {
    lines: Box<[UnsafeCell<MaybeUninit<Line>>]>,
    capacity: usize,
    values: PhantomData<T>,
}

/// A power of two of slots that may or may not hold a value.
#[cfg(loom)]
pub(super) struct Slots<T> {
    cells: Box<[UnsafeCell<MaybeUninit<T>>]>,
    capacity: usize,
}

impl<T> Slots<T> {
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The slot of a position. The mask is taken in 64 bits, so that a 32-bit `usize` only ever
    /// loses bits that the mask drops anyway.
    #[inline(always)]
    fn slot(&self, position: u64) -> usize {
        (position & (self.capacity as u64 - 1)) as usize
    }

    /// How many of `count` slots lie before the end of the memory, from `position` on; the rest
    /// is at its beginning.
    #[inline(always)]
    fn first_run(&self, position: u64, count: usize) -> usize {
        count.min(self.capacity - self.slot(position))
    }
}

#[cfg(not(loom))]
impl<T> Slots<T> {
    /// At least `capacity` empty slots, at least two.
    ///
    /// # Panics
    ///
    /// When the next power of two, or its size in bytes, is beyond the address space.
    pub(super) fn new(capacity: usize) -> Self {
        const { assert!(align_of::<T>() <= align_of::<Line>(), "values are aligned to 128 bytes") };
        let capacity = capacity.max(2).next_power_of_two();
        let bytes = capacity.checked_mul(size_of::<T>()).expect("a ring fits the address space");
        let count = bytes.div_ceil(size_of::<Line>());
        let lines = (0..count).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
        Self { lines, capacity, values: PhantomData }
    }

    /// Where the value of `position` lies. The pointer may be used up to the end of the memory.
    #[inline(always)]
    fn address(&self, position: u64) -> *mut T {
        let first = UnsafeCell::raw_get(self.lines.as_ptr()).cast::<T>();
        // SAFETY: 1. the offset, in bytes, is no more than the size of the allocation: `slot` is
        // less than the capacity (masked), and the lines are as large as so many `T`. 2. it fits
        // an `isize`, as every allocation does, and stays within this one.
        unsafe { first.add(self.slot(position)) }
    }

    /// Puts a value into an empty slot.
    ///
    /// # Safety
    ///
    /// 1. The slot of `position` holds no value.
    /// 2. No other thread touches it during the call, and the last one that did happened before.
    #[inline(always)]
    pub(super) unsafe fn write(&self, position: u64, value: T) {
        // SAFETY: 1. `address` is valid for writes: it lies in the memory, which is in cells, and
        // by the caller's 2 nobody else touches it; nothing is lost by the caller's 1. 2. it is
        // aligned: the lines are to 128, `T` to no more, and a slot is a multiple of its size.
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
        // SAFETY: 1. `address` is valid for reads: it lies in the memory, exclusive by the
        // caller's 2. 2. it is aligned, as in `write`. 3. it holds a value of type `T`, which by
        // the caller's 1 is moved out once.
        unsafe { self.address(position).read() }
    }

    /// Copies `values` into the slots from `position` on, in at most two runs.
    ///
    /// # Safety
    ///
    /// 1. `values` is no longer than the capacity, and none of the slots holds a value.
    /// 2. As for [`write`](Self::write), for each of the slots.
    #[inline]
    pub(super) unsafe fn write_run(&self, position: u64, values: &[T], copying: &mut Copying)
    where
        T: Copy,
    {
        if let [value] = values {
            // SAFETY: passed on, 1 and 2: there is one slot.
            return unsafe { self.write(position, *value) };
        }
        let (first, second) = values.split_at(self.first_run(position, values.len()));
        // SAFETY: 1. both sources are slices. 2. the first run ends at the end of the memory at
        // the latest, the second begins at its beginning and does not reach `position` by the
        // caller's 1; both are the caller's alone by 2. 3. aligned, as in `write`. 4. `values` is
        // no part of the memory, since no reference into it is ever given out.
        unsafe {
            copying.copy(first.as_ptr(), self.address(position), first.len());
            copying.copy(second.as_ptr(), self.address(0), second.len());
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
        if let [value] = values {
            // SAFETY: passed on, 1 and 2: there is one slot; `T` is Copy, so it may be read again.
            value.write(unsafe { self.read(position) });
            return;
        }
        let (first, second) = values.split_at_mut(self.first_run(position, values.len()));
        // SAFETY: 1. the first run ends at the end of the memory at the latest, the second begins
        // at its beginning; all hold values by the caller's 1 and are the caller's alone by 2.
        // 2. both destinations are slices. 3. aligned, as in `write`. 4. `values` is no part of
        // the memory, as in `write_run`.
        unsafe {
            self.address(position).copy_to_nonoverlapping(first.as_mut_ptr().cast(), first.len());
            self.address(0).copy_to_nonoverlapping(second.as_mut_ptr().cast(), second.len());
        }
    }
}

#[cfg(loom)]
impl<T> Slots<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2).next_power_of_two();
        let cells = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
        Self { cells, capacity }
    }

    /// # Safety
    ///
    /// As outside the models.
    pub(super) unsafe fn write(&self, position: u64, value: T) {
        self.cells[self.slot(position)].with_mut(|slot| {
            // SAFETY: passed on; loom checks that the access is exclusive.
            unsafe { (*slot).write(value) };
        });
    }

    /// # Safety
    ///
    /// As outside the models.
    pub(super) unsafe fn read(&self, position: u64) -> T {
        // Mutable access, because a value that is moved out must not be shared either.
        self.cells[self.slot(position)].with_mut(|slot| {
            // SAFETY: passed on; loom checks that the access is exclusive.
            unsafe { (*slot).assume_init_read() }
        })
    }

    /// # Safety
    ///
    /// As outside the models.
    pub(super) unsafe fn write_run(&self, position: u64, values: &[T], _: &mut Copying)
    where
        T: Copy,
    {
        assert!(self.first_run(position, values.len()) <= values.len());
        for (at, value) in (position..).zip(values) {
            // SAFETY: passed on.
            unsafe { self.write(at, *value) };
        }
    }

    /// # Safety
    ///
    /// As outside the models.
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
