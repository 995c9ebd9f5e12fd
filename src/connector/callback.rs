//! Records to a closure of the program, on the shard's own thread.

use std::fmt;
use std::marker::PhantomData;

use crate::error::Result;
use crate::operator::{Sink, Writer};
use crate::record::Record;
use crate::time::Timestamp;

/// A sink that calls a closure with the shard's number, the event time and the record.
///
/// Each shard has a clone of the closure of its own. It is called on the shard's thread: while it
/// runs the shard does nothing else.
///
/// ```
/// use thalweg::connector::Callback;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// let sink = Callback::new::<Bid>(|shard, at, bid| {
///     println!("shard {shard}, {at}: {}", bid.price);
/// });
/// ```
pub struct Callback<R, F> {
    call: F,
    record: PhantomData<fn(&R)>,
}

impl Callback<(), ()> {
    /// A sink that calls `call`.
    pub fn new<R: Record>(
        call: impl for<'a> FnMut(usize, Timestamp, R::View<'a>) + Clone + Send + 'static,
    ) -> Callback<R, impl for<'a> FnMut(usize, Timestamp, R::View<'a>) + Clone + Send + 'static>
    {
        let record = PhantomData;
        Callback { call, record }
    }
}

impl<R, F> fmt::Debug for Callback<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

impl<R, F> Sink<R> for Callback<R, F>
where
    R: Record,
    F: for<'a> FnMut(usize, Timestamp, R::View<'a>) + Clone + Send + 'static,
{
    type Writer = CallbackWriter<F>;

    fn name(&self) -> String {
        "callback".into()
    }

    fn open(&mut self, shard: usize, _: usize) -> Result<CallbackWriter<F>> {
        let call = self.call.clone();
        Ok(CallbackWriter { shard, call })
    }
}

/// What a [`Callback`] calls on one shard.
#[derive(Debug)]
pub struct CallbackWriter<F> {
    shard: usize,
    call: F,
}

impl<R, F> Writer<R> for CallbackWriter<F>
where
    R: Record,
    F: for<'a> FnMut(usize, Timestamp, R::View<'a>) + Send + 'static,
{
    #[inline(always)]
    fn write(&mut self, at: Timestamp, record: R::View<'_>) -> Result {
        (self.call)(self.shard, at, record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::stub::write;
    use super::*;

    #[test]
    fn calls_with_shard_time_and_record() {
        let (to, from) = mpsc::channel();
        let mut sink = Callback::new::<String>(move |shard, at, word| {
            to.send((shard, at, word.to_owned())).unwrap();
        });
        write(&mut sink, 2, &["a".to_owned(), "b".to_owned()]).unwrap();
        drop(sink);
        let micros = Timestamp::from_micros;
        let calls: Vec<_> = from.iter().collect();
        assert_eq!(calls, [(0, micros(0), "a".into()), (1, micros(1), "b".into())]);
    }
}
