//! All rings between n shards: one for each ordered pair, also from a shard to itself.
//!
//! ```text
//!            to 0    to 1    to 2
//! from 0     ring    ring    ring      shard i holds row i's producers
//! from 1     ring    ring    ring      shard j holds column j's consumers
//! from 2     ring    ring    ring
//! ```
//!
//! A ring to itself costs a shard nothing but memory, and spares every loop over the shards a
//! special case.

use super::spsc::{Consumer, Producer, ring};

/// What one shard holds of a mesh.
pub struct Links<T> {
    /// The rings to the shards: `to[j]` ends in shard `j`.
    pub to: Vec<Producer<T>>,
    /// The rings from the shards: `from[i]` begins in shard `i`.
    pub from: Vec<Consumer<T>>,
}

/// Makes the `n * n` rings between `n` shards, each for at least `capacity` values (rounded as by
/// [`ring`]), and gives what each shard holds, in the order of the shards.
///
/// ```
/// let mut links = thalweg::ring::mesh(3, 16);
/// assert_eq!(links[0].to[2].push("from 0 to 2"), Ok(()));
/// assert_eq!(links[2].from[0].pop(), Some("from 0 to 2"));
/// ```
///
/// # Panics
///
/// When that much memory cannot be addressed.
pub fn mesh<T: Send>(n: usize, capacity: usize) -> Vec<Links<T>> {
    let empty = || Links { to: Vec::with_capacity(n), from: Vec::with_capacity(n) };
    let mut links: Vec<_> = (0..n).map(|_| empty()).collect();
    for from in 0..n {
        for to in 0..n {
            let (producer, consumer) = ring(capacity);
            links[from].to.push(producer);
            links[to].from.push(consumer);
        }
    }
    links
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::mesh;

    #[test]
    fn every_pair_has_a_ring_of_its_own() {
        for n in [0, 1, 2, 5] {
            let mut links = mesh(n, 2);
            assert_eq!(links.len(), n);
            for (from, links) in links.iter_mut().enumerate() {
                for (to, producer) in links.to.iter_mut().enumerate() {
                    assert_eq!(producer.push((from, to)), Ok(()));
                }
            }
            for (to, links) in links.iter_mut().enumerate() {
                for (from, consumer) in links.from.iter_mut().enumerate() {
                    assert_eq!(consumer.pop(), Some((from, to)));
                    assert_eq!(consumer.pop(), None);
                }
            }
        }
    }
}
