//! How a run of values gets into a ring: through the caches, or past them.
//!
//! A plain store takes the line into the producer's own cache first, which the consumer's has it:
//! one round trip between the cores for each line, and not many at a time. A streaming store
//! writes whole lines towards memory without asking for what was in them. Which is faster depends
//! on how far the two threads are from each other: on two cores streaming moved 2 to 5 times as
//! much, on two hyperthreads of one core, which share their caches, half as much. No table of the
//! system tells that truthfully in a virtual machine, and there it changes under way, so it is
//! measured: every [`UNTRIED`] bytes a piece of a run is written each way.
#![allow(unsafe_code)]
// The models copy value by value, see `slots`.
#![cfg_attr(loom, allow(dead_code))]

use std::time::Instant;

/// Bytes in each of the two pieces that are timed. Shorter runs than two of them are never
/// streamed: the wait for the last line at the end must be small beside what it ends.
const TRIAL: usize = 4 << 10;

/// Bytes of long runs from one trial to the next, and before the first: by then the memory of most
/// rings has been written once, and its pages are there.
const UNTRIED: usize = 512 << 10;

/// Bytes that a streaming store writes without asking.
const LINE: usize = 64;

/// The way that long runs are written, as last found the faster.
pub(super) struct Copying {
    streams: bool,
    /// Bytes until the next trial.
    untried: usize,
}

impl Copying {
    pub(super) fn new() -> Copying {
        Copying { streams: false, untried: UNTRIED }
    }

    /// Copies `count` values; visible to who acquires what is released thereafter.
    ///
    /// # Safety
    ///
    /// As for [`std::ptr::copy_nonoverlapping`]:
    /// 1. `from` is valid for reads of `count` values.
    /// 2. `to` is valid for writes of as many.
    /// 3. Both are aligned.
    /// 4. They do not overlap.
    #[inline(always)]
    pub(super) unsafe fn copy<T: Copy>(&mut self, from: *const T, to: *mut T, count: usize) {
        let bytes = count * size_of::<T>();
        if !CAN_STREAM || bytes < 2 * TRIAL {
            // SAFETY: passed on, 1 to 4.
            return unsafe { to.copy_from_nonoverlapping(from, count) };
        }
        // SAFETY: passed on, 1, 2 and 4, counted in bytes.
        unsafe { self.copy_long(from.cast(), to.cast(), bytes) }
    }

    /// # Safety
    ///
    /// As for [`copy`](Self::copy) 1, 2 and 4, for bytes, at least two trials of them.
    #[inline(never)]
    unsafe fn copy_long(&mut self, mut from: *const u8, mut to: *mut u8, bytes: usize) {
        let mut tried = 0;
        self.untried = self.untried.saturating_sub(bytes);
        if self.untried == 0 {
            self.untried = UNTRIED;
            // SAFETY: 1., 2. and 4. passed on: the run is at least two trials long.
            self.streams = unsafe { streams_faster(from, to) };
            tried = 2 * TRIAL;
        }
        // SAFETY: 1. the offset is no more than the run is long. 2. the run lies in one allocation.
        (from, to) = unsafe { (from.add(tried), to.add(tried)) };
        // SAFETY: 1., 2. and 4. passed on, less what was tried.
        unsafe { copy_by(self.streams, from, to, bytes - tried) }
    }
}

/// Copies the first two trials of bytes, one each way, and says which was faster.
///
/// # Safety
///
/// As for [`copy_by`], for two trials of bytes.
unsafe fn streams_faster(from: *const u8, to: *mut u8) -> bool {
    let begin = Instant::now();
    // SAFETY: 1. to 3. passed on: the first half.
    unsafe { copy_by(false, from, to, TRIAL) };
    drain();
    let middle = Instant::now();
    // SAFETY: 1. to 3. passed on: the second half, which begins within the run.
    unsafe { copy_by(true, from.add(TRIAL), to.add(TRIAL), TRIAL) };
    middle.elapsed() < middle - begin
}

/// # Safety
///
/// 1. `from` is valid for reads of `bytes`.
/// 2. `to` is valid for writes of as many.
/// 3. They do not overlap.
unsafe fn copy_by(streams: bool, from: *const u8, to: *mut u8, bytes: usize) {
    let before = if streams { to.align_offset(LINE).min(bytes) } else { bytes };
    let lines = (bytes - before) / LINE;
    let streamed = before + lines * LINE;
    // SAFETY: 1. to 3. passed on: `before`, the lines and the rest are the bytes, each once;
    // 4. the lines begin where `to` is aligned to one.
    unsafe {
        to.copy_from_nonoverlapping(from, before);
        stream(from.add(before), to.add(before), lines);
        to.add(streamed).copy_from_nonoverlapping(from.add(streamed), bytes - streamed);
    }
}

const CAN_STREAM: bool = cfg!(all(target_arch = "x86_64", not(miri), not(loom)));

/// Copies whole lines past the caches, and waits until other cores can see them.
///
/// # Safety
///
/// 1. `from` is valid for reads of so many lines.
/// 2. `to` is valid for writes of as many.
/// 3. They do not overlap.
/// 4. `to` is aligned to a line.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
unsafe fn stream(from: *const u8, to: *mut u8, lines: usize) {
    if lines == 0 {
        return;
    }
    // SAFETY: 1. `lines` turns of the loop read and write one line each, as the caller's 1 and 2
    // allow; streaming stores are aligned by 4. 2. assembly may copy padding, which a typed load
    // may not. 3. SSE2 is part of the architecture; the fence orders the stores, which the memory
    // model of Rust does not know, before all that is stored thereafter.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movntps [{to}], {a}",
            "movntps [{to} + 16], {b}",
            "movntps [{to} + 32], {c}",
            "movntps [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {lines}",
            "jnz 2b",
            "sfence",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            lines = inout(reg) lines => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// # Safety
///
/// As for [`std::ptr::copy_nonoverlapping`], for lines.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
unsafe fn stream(from: *const u8, to: *mut u8, lines: usize) {
    // SAFETY: passed on.
    unsafe { to.copy_from_nonoverlapping(from, lines * LINE) }
}

/// Waits until other cores can see what was stored, so that the clock sees all of its price.
fn drain() {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: SSE is part of the architecture.
    unsafe {
        std::arch::asm!("sfence", options(nostack, preserves_flags));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Copying, LINE, TRIAL, UNTRIED, copy_by};

    /// Bytes that differ from their neighbours and from those a line away.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn both_ways_copy_just_the_bytes_from_any_alignment() {
        let source = bytes(6 * LINE);
        for streams in [false, true] {
            for (offset, count) in [(0, 0), (0, 64), (1, 63), (63, 1), (5, 257), (64, 130)] {
                let mut copied = vec![255; 8 * LINE];
                // SAFETY: 1. to 3. both offsets and the count lie within two vectors.
                unsafe {
                    let to = copied.as_mut_ptr().add(offset);
                    copy_by(streams, source.as_ptr().add(3), to, count);
                }
                assert_eq!(copied[offset..][..count], source[3..][..count]);
                assert!(copied[..offset].iter().all(|byte| *byte == 255));
                assert!(copied[offset + count..].iter().all(|byte| *byte == 255));
            }
        }
    }

    #[test]
    fn a_long_run_is_whole_with_and_without_a_trial() {
        let source = bytes(3 * TRIAL + 17);
        for streams in [false, true] {
            for untried in [0, UNTRIED] {
                let mut copying = Copying { streams, untried };
                let mut copied = vec![255; source.len() + 1];
                // SAFETY: 1. to 4. the count lies within two vectors of bytes.
                unsafe { copying.copy(source.as_ptr(), copied.as_mut_ptr(), source.len()) };
                assert_eq!(copied[..source.len()], source[..]);
                assert_eq!(copied[source.len()], 255);
            }
        }
    }
}
