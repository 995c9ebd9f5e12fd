//! Records to nowhere, and to a checksum that doesn't depend on their order.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::Result;
use crate::operator::{Sink, Writer};
use crate::record::Record;
use crate::time::Timestamp;

/// A sink that throws away what comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

/// What a [`Discard`] throws away with.
#[derive(Clone, Copy, Debug)]
pub struct Discarding;

impl<R: Record> Sink<R> for Discard {
    type Writer = Discarding;

    fn name(&self) -> String {
        "discard".into()
    }

    fn open(&mut self, _: usize, _: usize) -> Result<Discarding> {
        Ok(Discarding)
    }
}

impl<R: Record> Writer<R> for Discarding {
    #[inline(always)]
    fn write(&mut self, _: Timestamp, _: R::View<'_>) -> Result {
        Ok(())
    }
}

/// A sink that adds up a hash of every record: two runs that give the same records, in whatever
/// order and on however many shards, give the same sum.
///
/// ```
/// use thalweg::connector::Digest;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let (sink, digest) = Digest::of::<Bid>(|bid| bid.auction ^ bid.price.rotate_left(32));
/// // job.source(…).sink(sink); job.run()?;
/// println!("{} rows, {:016x}", digest.rows(), digest.sum());
/// ```
#[derive(Debug)]
pub struct Digest<R, F> {
    hash: F,
    record: PhantomData<fn(&R)>,
    digested: Digested,
}

impl Digest<(), ()> {
    /// A sink that hashes all of each record ([`Record::digest`]), and its sum.
    pub fn new<R: Record>()
    -> (Digest<R, impl for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + 'static>, Digested) {
        Digest::of::<R>(|view| R::digest(view))
    }

    /// A sink that adds up what `hash` gives, and its sum. It costs no more than `hash`.
    pub fn of<R: Record>(
        hash: impl for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + 'static,
    ) -> (Digest<R, impl for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + 'static>, Digested) {
        let digested = Digested::default();
        let sink = Digest { hash, record: PhantomData, digested: digested.clone() };
        (sink, digested)
    }
}

/// What a [`Digest`] has added up so far; each shard adds its part whenever its stream pauses and
/// when it ends.
#[derive(Clone, Debug, Default)]
pub struct Digested(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    sum: AtomicU64,
    rows: AtomicU64,
}

impl Digested {
    /// The sum of the hashes, modulo 2⁶⁴.
    pub fn sum(&self) -> u64 {
        self.0.sum.load(Relaxed)
    }

    /// How many records there were.
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Relaxed)
    }
}

impl<R, F> Sink<R> for Digest<R, F>
where
    R: Record,
    F: for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + 'static,
{
    type Writer = DigestWriter<F>;

    fn name(&self) -> String {
        "digest".into()
    }

    fn open(&mut self, _: usize, _: usize) -> Result<DigestWriter<F>> {
        Ok(DigestWriter {
            hash: self.hash.clone(),
            sum: 0,
            rows: 0,
            digested: self.digested.clone(),
        })
    }
}

/// What a [`Digest`] adds up with on one shard.
#[derive(Debug)]
pub struct DigestWriter<F> {
    hash: F,
    sum: u64,
    rows: u64,
    digested: Digested,
}

impl<R, F> Writer<R> for DigestWriter<F>
where
    R: Record,
    F: for<'a> Fn(R::View<'a>) -> u64 + Send + 'static,
{
    #[inline(always)]
    fn write(&mut self, _: Timestamp, record: R::View<'_>) -> Result {
        self.sum = self.sum.wrapping_add((self.hash)(record));
        self.rows += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result {
        let sums = &*self.digested.0;
        sums.sum.fetch_add(std::mem::take(&mut self.sum), Relaxed);
        sums.rows.fetch_add(std::mem::take(&mut self.rows), Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::stub::write;
    use super::*;
    use crate::record;

    record! { struct Padded { small: u8, wide: u64 } }
    record! { struct Person { small: u8, wide: u64, name: String, tags: Vec<(u8, String)> } }

    fn digest<R: Record>(shards: usize, records: &[R]) -> (u64, u64) {
        let (mut sink, digest) = Digest::new::<R>();
        write(&mut sink, shards, records).unwrap();
        (digest.sum(), digest.rows())
    }

    fn padded(small: u8) -> Padded {
        Padded { small, wide: 7 }
    }

    fn person(small: u8) -> Person {
        let name = "Ada ".repeat(small.into());
        let tags = vec![(small, name.clone()), (1, "x".into())];
        Person { small, wide: 7, name, tags }
    }

    #[test]
    fn depends_on_the_records_and_not_on_their_order_or_shards() {
        let mut records: Vec<Person> = (0..50).map(person).collect();
        let all = digest(1, &records);
        assert_eq!(all.1, 50);
        records.reverse();
        assert_eq!(digest(3, &records), all);
        records[7].tags[0].0 ^= 1;
        assert_ne!(digest(1, &records), all);
        let mut records: Vec<_> = (0..50).map(|i| (padded(i), "a".to_owned(), None)).collect();
        let all = digest(2, &records);
        records.reverse();
        assert_eq!(digest(1, &records), all);
        records[3].2 = Some(0_u64);
        assert_ne!(digest(1, &records), all);
    }

    #[test]
    fn text_is_not_mistaken_for_its_parts() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_ne!(digest(1, &[pair("ab", "c")]), digest(1, &[pair("a", "bc")]));
        let list = |n: usize| vec![vec![0_u64; n], vec![0; 3 - n]];
        assert_ne!(digest(1, &[list(1)]), digest(1, &[list(2)]));
    }

    #[test]
    fn a_closure_decides_what_counts() {
        let (mut sink, digest) = Digest::of::<Padded>(|padded| padded.small.into());
        write(&mut sink, 2, &[padded(1), padded(2), padded(3)]).unwrap();
        assert_eq!((digest.sum(), digest.rows()), (6, 3));
    }
}
