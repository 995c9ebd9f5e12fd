//! q0, q1 and q2: one pass over the bids, nothing to exchange.

use crate::exchange::{Op, Out};
use workload::{Digest, Event};

macro_rules! stateless {
    ($name:ident, |$d:ident, $b:ident| $body:expr) => {
        pub struct $name(Digest);
        impl<const ONE: bool> Op<ONE> for $name {
            type Msg = ();
            fn new(_: usize, _: usize) -> Self {
                $name(Digest::default())
            }
            #[inline(always)]
            fn event(&mut self, e: &Event, _: &mut Out<()>) {
                if let Event::Bid($b) = e {
                    let $d = &mut self.0;
                    $body;
                }
            }
            fn finish(self) -> Digest {
                self.0
            }
        }
    };
}

stateless!(Q0, |d, b| d.q0(b));
stateless!(Q1, |d, b| d.q1(b.auction, b.bidder, b.price * 908, b.date_time));
stateless!(Q2, |d, b| if b.auction % 123 == 0 {
    d.q2(b.auction, b.price)
});
