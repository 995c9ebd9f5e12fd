//! q8: persons who opened an auction in the tumbling window in which they registered.

use super::Map;
use crate::exchange::{Op, Out};
use std::collections::VecDeque;
use workload::{Digest, Event, Str16, TUMBLE};

#[derive(Clone, Copy)]
pub enum M8 {
    Person { window: u32, id: u64, name: Str16 },
    Seller { window: u32, id: u64 },
}

#[derive(Default, Clone, Copy)]
struct Entry8 {
    name: Option<Str16>,
    seller: bool,
}

pub struct Q8<const ONE: bool> {
    windows: VecDeque<(u32, Map<u64, Entry8>)>,
    d: Digest,
}

impl<const ONE: bool> Q8<ONE> {
    fn entry(&mut self, window: u32, id: u64) -> &mut Entry8 {
        let mut i = self.windows.len();
        while i > 0 && self.windows[i - 1].0 > window {
            i -= 1;
        }
        if i == 0 || self.windows[i - 1].0 != window {
            self.windows.insert(i, (window, Map::default()));
            i += 1;
        }
        self.windows[i - 1].1.entry(id).or_default()
    }
}

impl<const ONE: bool> Op<ONE> for Q8<ONE> {
    type Msg = M8;

    fn new(_: usize, _: usize) -> Self {
        Q8 { windows: VecDeque::new(), d: Digest::default() }
    }

    #[inline(always)]
    fn event(&mut self, e: &Event, out: &mut Out<M8>) {
        match e {
            Event::Person(p) => {
                let window = (p.date_time / TUMBLE) as u32;
                route!(self, out, p.id, M8::Person { window, id: p.id, name: p.name });
            }
            Event::Auction(a) => {
                let window = (a.date_time / TUMBLE) as u32;
                route!(self, out, a.seller, M8::Seller { window, id: a.seller });
            }
            _ => {}
        }
    }

    fn msg(&mut self, _: usize, m: M8) {
        match m {
            M8::Person { window, id, name } => self.entry(window, id).name = Some(name),
            M8::Seller { window, id } => self.entry(window, id).seller = true,
        }
    }

    fn watermark(&mut self, t: u64, _: &mut Out<M8>) {
        while self.windows.front().is_some_and(|w| (w.0 as u64) < t / TUMBLE) {
            let (w, m) = self.windows.pop_front().unwrap();
            for (id, e) in m {
                if let (Some(name), true) = (e.name, e.seller) {
                    self.d.q8(id, &name, w as u64 * TUMBLE);
                }
            }
        }
    }

    fn finish(self) -> Digest {
        self.d
    }
}
