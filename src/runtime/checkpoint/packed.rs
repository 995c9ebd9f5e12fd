//! Compression of files of state.
//!
//! ```text
//! | bytes: 8 | packed bytes: 8 | LZ4 block | bytes: 8 | packed bytes: 8 | LZ4 block | …
//! ```

use rkyv::util::AlignedVec;

/// How files of state are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Compressed with LZ4, by the thread that writes them: less to write, more to compute.
    Lz4,
}

/// Some bytes, packed.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; 16 + lz4_flex::block::get_maximum_output_size(bytes.len())];
    // There is room for whatever it comes to.
    let len = lz4_flex::block::compress_into(bytes, &mut packed[16..]).unwrap_or_default();
    packed[..8].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    packed[8..16].copy_from_slice(&(len as u64).to_le_bytes());
    packed.truncate(16 + len);
    packed
}

/// What was packed, `bytes` in all; none when it is something else.
pub(super) fn unpack(mut packed: &[u8], bytes: u64) -> Option<AlignedVec<8>> {
    let bytes = usize::try_from(bytes).ok()?;
    // No byte of an LZ4 block stands for more.
    if bytes > packed.len().checked_mul(255)? {
        return None;
    }
    let mut all = AlignedVec::with_capacity(bytes);
    while !packed.is_empty() {
        let (len, rest) = number(packed)?;
        let (packed_len, rest) = number(rest)?;
        let from = all.len();
        let to = from.checked_add(len).filter(|to| *to <= bytes)?;
        all.resize(to, 0);
        let block = rest.get(..packed_len)?;
        (lz4_flex::block::decompress_into(block, &mut all[from..]).ok()? == len).then_some(())?;
        packed = &rest[packed_len..];
    }
    (all.len() == bytes).then_some(all)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u64::from_le_bytes(*number)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else_is() {
        let pieces = [vec![7; 100_000], Vec::new(), (0..=255).collect::<Vec<u8>>()];
        let whole = pieces.concat();
        let packed: Vec<u8> = pieces.iter().flat_map(|piece| pack(piece)).collect();
        assert!(packed.len() < 2000, "{}", packed.len());
        let bytes = whole.len() as u64;
        assert_eq!(unpack(&packed, bytes).as_deref(), Some(&whole[..]));
        for wrong in [bytes - 1, bytes + 1, 0] {
            assert!(unpack(&packed, wrong).is_none(), "{wrong}");
        }
        for cut in 0..packed.len() {
            assert!(unpack(&packed[..cut], bytes).is_none(), "{cut}");
        }
        for at in 0..packed.len() {
            let mut other = packed.clone();
            other[at] ^= 0x80;
            // Whatever comes of it: no panic, and never more than was asked for.
            let unpacked = unpack(&other, bytes);
            assert!(unpacked.is_none_or(|unpacked| unpacked.len() == whole.len()), "{at}");
        }
    }
}
