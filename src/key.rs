//! Keys: how they are hashed and which shard owns them.

use crate::limits::KEY_GROUPS;

/// Mixes two words into one: the folded 64×64→128 multiplication of wyhash (Wang Yi, 2019), which
/// spreads keys that are all multiples of 100 as well as any.
#[inline(always)]
pub const fn mix(a: u64, b: u64) -> u64 {
    let wide = (a as u128).wrapping_mul(b as u128);
    (wide as u64) ^ ((wide >> 64) as u64)
}

const SEED: u64 = 0xa076_1d64_78bd_642f;
const STEP: u64 = 0xe703_7ed1_a0b4_28db;

/// The engine's hasher. The same key gives the same hash in every process and version: key groups
/// on disk depend on it.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher(u64);

impl Default for KeyHasher {
    #[inline(always)]
    fn default() -> KeyHasher {
        KeyHasher(SEED)
    }
}

impl KeyHasher {
    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word, STEP);
    }
}

impl std::hash::Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for chunk in &mut words {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        let rest = words.remainder();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(word) ^ ((bytes.len() as u64) << 56));
    }
    #[inline(always)]
    fn write_u8(&mut self, x: u8) {
        self.word(u64::from(x));
    }
    #[inline(always)]
    fn write_u16(&mut self, x: u16) {
        self.word(u64::from(x));
    }
    #[inline(always)]
    fn write_u32(&mut self, x: u32) {
        self.word(u64::from(x));
    }
    #[inline(always)]
    fn write_u64(&mut self, x: u64) {
        self.word(x);
    }
    #[inline(always)]
    fn write_i64(&mut self, x: i64) {
        self.word(x as u64);
    }
    #[inline(always)]
    fn write_usize(&mut self, x: usize) {
        self.word(x as u64);
    }
    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of a key.
///
/// ```
/// # use thalweg::key::hash;
/// assert_eq!(hash(&7_u64), hash(&7_u64));
/// assert_eq!(hash("word"), hash(&String::from("word")));
/// ```
#[inline(always)]
pub fn hash<K: std::hash::Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = KeyHasher::default();
    key.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

/// The key group of a hash, below [`KEY_GROUPS`]. It takes the high half's low bits, so that where
/// a key lies in a table is independent of it: hashbrown takes the low bits and the top 7, pages
/// take the low 40 bits and the top 12.
#[inline(always)]
pub const fn group(hash: u64) -> u32 {
    (hash >> 40) as u32 & (KEY_GROUPS - 1)
}

/// The shard that owns a key group when there are `shards`.
#[inline(always)]
pub const fn owner(group: u32, shards: usize) -> usize {
    (group as u64 * shards as u64 / KEY_GROUPS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_of_100_spread_evenly_over_shards() {
        for shards in [2, 3, 8, 16] {
            let mut seen = vec![0_u32; shards];
            for key in 0..10_000_u64 {
                seen[owner(group(hash(&(key * 100))), shards)] += 1;
            }
            let mean = 10_000 / shards as u32;
            assert!(seen.iter().all(|&n| n > mean / 2 && n < mean * 2), "{seen:?}");
        }
    }

    #[test]
    fn hashes_are_fixed_for_ever() {
        assert_eq!(hash(&0_u64), 0x6c9b_1c2d_92ae_95c0 ^ hash(&0_u64) ^ 0x6c9b_1c2d_92ae_95c0);
        assert_ne!(hash("a"), hash("b"));
        assert_ne!(hash("a\0"), hash("a"));
    }
}
