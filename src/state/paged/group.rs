//! 16 tags at once.
//!
//! ```text
//! tag: 0 free | 1 was removed | d h h h h h h h: taken, d: changed since it was saved, h: hash
//! ```
//!
//! A hash of 0 or 1 is kept as 2.
#![allow(unsafe_code)]

pub const CHANGED: u8 = 0x80;
pub const FREE: u8 = 0;
pub const REMOVED: u8 = 1;

/// The tag of a hash that has changed.
#[inline(always)]
pub fn tag(hash: u64) -> u8 {
    (hash as u8 & !CHANGED).max(REMOVED + 1) | CHANGED
}

/// The tag for one that says changed when it has not changed.
#[inline(always)]
pub fn settled(tag: u8) -> u8 {
    tag & !CHANGED
}

/// Whether a slot with this tag is taken.
#[inline(always)]
pub fn is_taken(tag: u8) -> bool {
    tag > REMOVED
}

/// Tags of a group.
pub const GROUP: usize = 16;

/// 16 tags.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Group(std::arch::x86_64::__m128i);

#[cfg(target_arch = "x86_64")]
impl Group {
    /// # Safety
    /// There are 16 bytes, at a multiple of 16.
    #[inline(always)]
    pub unsafe fn read(at: *const u8) -> Group {
        // SAFETY: by the caller; SSE2 is part of x86_64.
        Group(unsafe { std::arch::x86_64::_mm_load_si128(at.cast()) })
    }

    /// Those with this tag, which is one that has changed, whether they have or not; a bit each.
    #[inline(always)]
    pub fn same(self, tag: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
        // SAFETY: SSE2 is part of x86_64.
        unsafe {
            let changed = _mm_or_si128(self.0, _mm_set1_epi8(CHANGED as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(changed, _mm_set1_epi8(tag as i8))) as u32
        }
    }

    /// Those that are taken.
    #[inline(always)]
    pub fn taken(self) -> u32 {
        use std::arch::x86_64::{_mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
        // As numbers with a sign the tags that have changed are below 0.
        // SAFETY: SSE2 is part of x86_64.
        unsafe {
            let settled = _mm_cmpgt_epi8(self.0, _mm_set1_epi8(REMOVED as i8));
            _mm_movemask_epi8(_mm_or_si128(settled, self.0)) as u32
        }
    }

    /// Those that are taken and have changed.
    #[inline(always)]
    pub fn changed(self) -> u32 {
        // SAFETY: SSE2 is part of x86_64.
        unsafe { std::arch::x86_64::_mm_movemask_epi8(self.0) as u32 }
    }

    /// Those that were never used.
    #[inline(always)]
    pub fn free(self) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_setzero_si128};
        // SAFETY: SSE2 is part of x86_64.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_setzero_si128())) as u32 }
    }
}

/// 16 tags.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub struct Group([u8; GROUP]);

#[cfg(not(target_arch = "x86_64"))]
impl Group {
    /// # Safety
    /// There are 16 bytes.
    #[inline(always)]
    pub unsafe fn read(at: *const u8) -> Group {
        // SAFETY: by the caller; bytes need no alignment.
        Group(unsafe { at.cast::<[u8; GROUP]>().read() })
    }

    #[inline(always)]
    fn bits(self, is: impl Fn(u8) -> bool) -> u32 {
        let bit = |(at, tag): (usize, &u8)| u32::from(is(*tag)) << at;
        self.0.iter().enumerate().map(bit).sum()
    }

    pub fn same(self, tag: u8) -> u32 {
        self.bits(|own| own | CHANGED == tag)
    }

    pub fn taken(self) -> u32 {
        self.bits(is_taken)
    }

    pub fn changed(self) -> u32 {
        self.bits(|own| own & CHANGED != 0)
    }

    pub fn free(self) -> u32 {
        self.bits(|own| own == FREE)
    }
}
