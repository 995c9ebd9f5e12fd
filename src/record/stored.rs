//! Which records may be kept outside the process, and how their bytes are looked over when they
//! come back.

use super::Record;
use crate::key::mix;

/// A number for how a value lies in memory, or none when some of its bytes are padding.
pub type Layout = Option<u64>;

const SEED: u64 = 0x2d35_8dcc_aa6c_78a5;

/// The layout of something of two parts, one after the other.
pub const fn both(a: Layout, b: Layout) -> Layout {
    match (a, b) {
        (Some(a), Some(b)) => Some(mix(a ^ SEED, b ^ 0x8bb8_4b93_962e_acc9)),
        _ => None,
    }
}

/// The layout of a struct of `size` bytes with fields of these places, sizes and layouts.
pub const fn fields(size: usize, fields: &[(usize, usize, Layout)]) -> Layout {
    let mut layout = Some(size as u64);
    let mut bytes = 0;
    let mut i = 0;
    while i < fields.len() {
        let (offset, len, field) = fields[i];
        layout = both(both(layout, Some(offset as u64)), field);
        bytes += len;
        i += 1;
    }
    if bytes == size { layout } else { None }
}

/// Looks over one record after the other; gives what it was given cut to what they take up.
pub(super) fn check_all<R: Record>(bytes: &[u8], records: usize) -> Option<&[u8]> {
    let mut size = 0;
    for _ in 0..records {
        size += R::check(bytes.get(size..)?)?;
    }
    bytes.get(..size)
}

/// The length or tag at the start of `bytes`, and what follows it.
pub(super) fn word(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<8>()?;
    Some((usize::try_from(u64::from_ne_bytes(*word)).ok()?, rest))
}
