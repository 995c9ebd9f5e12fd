//! W pinned threads, one SPSC ring per ordered pair of threads, batched transfer, and a watermark
//! that is the minimum over the inputs. With W = 1 none of it is compiled into the loop.

use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::{Arc, Barrier};
use std::time::Instant;
use workload::{Digest, Event};

/// Events a worker reads between two looks at its rings.
pub const BATCH: usize = 1024;
const RING: usize = 1 << 14;
/// How far in event time (ms) a worker may be ahead of the slowest one before it waits. Without
/// it, a worker that owns few hot keys runs away and the others must keep what it sends.
const MAX_LEAD: u64 = 500;

/// What a ring carries.
#[derive(Clone, Copy)]
pub enum Slot<M> {
    Data(M),
    Watermark(u64),
    End,
}

/// What a worker is about to send.
pub struct Out<M> {
    pub me: usize,
    pub workers: usize,
    buf: Vec<Vec<Slot<M>>>,
}

impl<M: Copy> Out<M> {
    /// Queues a message for another worker.
    #[inline(always)]
    pub fn push(&mut self, to: usize, m: M) {
        debug_assert_ne!(to, self.me);
        self.buf[to].push(Slot::Data(m));
    }

    fn broadcast(&mut self, s: Slot<M>) {
        for (i, b) in self.buf.iter_mut().enumerate() {
            if i != self.me {
                b.push(s);
            }
        }
    }

    /// The owner of a key.
    #[inline(always)]
    pub fn owner(&self, key: u64) -> usize {
        let h = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ((h * self.workers as u64) >> 32) as usize
    }
}

/// A query. `ONE` is true for a single worker, where nothing may be sent.
pub trait Op<const ONE: bool>: Sized {
    type Msg: Copy + Send + 'static;
    fn new(me: usize, workers: usize) -> Self;
    fn event(&mut self, e: &Event, out: &mut Out<Self::Msg>);
    /// This worker's own input has nothing before `t` any more.
    fn own_watermark(&mut self, _t: u64, _out: &mut Out<Self::Msg>) {}
    fn msg(&mut self, _from: usize, _m: Self::Msg) {}
    /// No input has anything before `t` any more.
    fn watermark(&mut self, _t: u64, _out: &mut Out<Self::Msg>) {}
    /// Every worker's messages have been delivered.
    fn finish(self) -> Digest;
}

fn worker_one<O: Op<true>>(input: &[Event]) -> Digest {
    let mut op = O::new(0, 1);
    let mut out = Out { me: 0, workers: 1, buf: Vec::new() };
    for chunk in input.chunks(BATCH) {
        for e in chunk {
            op.event(e, &mut out);
        }
        let t = chunk.last().unwrap().date_time();
        op.own_watermark(t, &mut out);
        op.watermark(t, &mut out);
    }
    op.own_watermark(u64::MAX, &mut out);
    op.watermark(u64::MAX, &mut out);
    op.finish()
}

/// A worker's ends of the rings, and the watermark of each input.
struct Links<M> {
    tx: Vec<Option<Producer<Slot<M>>>>,
    rx: Vec<Option<Consumer<Slot<M>>>>,
    wm: Vec<u64>,
    ends: usize,
}

impl<M: Copy + Send> Links<M> {
    /// Takes in what the rings hold; false when they were empty.
    fn drain<O: Op<false, Msg = M>>(&mut self, op: &mut O) -> bool {
        let mut any = false;
        for (from, rx) in self.rx.iter_mut().enumerate() {
            let Some(rx) = rx else { continue };
            let n = rx.slots();
            if n == 0 {
                continue;
            }
            any = true;
            let chunk = rx.read_chunk(n).unwrap();
            let (a, b) = chunk.as_slices();
            for s in a.iter().chain(b) {
                match *s {
                    Slot::Data(m) => op.msg(from, m),
                    Slot::Watermark(t) => self.wm[from] = t,
                    Slot::End => self.ends += 1,
                }
            }
            chunk.commit_all();
        }
        any
    }

    /// Sends what `out` holds; takes messages in while a ring is full.
    fn flush<O: Op<false, Msg = M>>(&mut self, out: &mut Out<M>, op: &mut O) {
        for to in 0..out.buf.len() {
            let mut done = 0;
            while done < out.buf[to].len() {
                let tx = self.tx[to].as_mut().unwrap();
                let (pushed, _) = tx.push_partial_slice(&out.buf[to][done..]);
                done += pushed.len();
                if done < out.buf[to].len() && !self.drain(op) {
                    std::hint::spin_loop();
                }
            }
            out.buf[to].clear();
        }
    }

    /// The watermark: nothing before it can come from any input.
    fn low(&self) -> u64 {
        *self.wm.iter().min().unwrap()
    }
}

fn worker_many<O: Op<false>>(me: usize, w: usize, input: &[Event], mut l: Links<O::Msg>) -> Digest {
    let mut op = O::new(me, w);
    let mut out =
        Out { me, workers: w, buf: (0..w).map(|_| Vec::with_capacity(2 * BATCH)).collect() };
    let mut low = 0;
    for chunk in input.chunks(BATCH) {
        for e in chunk {
            op.event(e, &mut out);
        }
        let t = chunk.last().unwrap().date_time();
        l.wm[me] = t;
        op.own_watermark(t, &mut out);
        out.broadcast(Slot::Watermark(t));
        l.flush(&mut out, &mut op);
        l.drain(&mut op);
        loop {
            if l.low() > low {
                low = l.low();
                op.watermark(low, &mut out);
            }
            if t <= low + MAX_LEAD {
                break;
            }
            l.flush(&mut out, &mut op);
            if !l.drain(&mut op) {
                std::hint::spin_loop();
            }
        }
    }
    l.wm[me] = u64::MAX;
    op.own_watermark(u64::MAX, &mut out);
    out.broadcast(Slot::Watermark(u64::MAX));
    l.flush(&mut out, &mut op);
    while low < u64::MAX {
        if !l.drain(&mut op) {
            std::hint::spin_loop();
        }
        if l.low() > low {
            low = l.low();
            op.watermark(low, &mut out);
            l.flush(&mut out, &mut op);
        }
    }
    out.broadcast(Slot::End);
    l.flush(&mut out, &mut op);
    while l.ends < w - 1 {
        if !l.drain(&mut op) {
            std::hint::spin_loop();
        }
    }
    op.finish()
}

/// Runs a query (`A` for one worker, `B` for several); seconds and digest.
pub fn run<A: Op<true> + 'static, B: Op<false> + 'static>(
    inputs: &[&'static [Event]],
) -> (f64, Digest) {
    let w = inputs.len();
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut links: Vec<Links<B::Msg>> = (0..w)
        .map(|_| Links {
            tx: (0..w).map(|_| None).collect(),
            rx: (0..w).map(|_| None).collect(),
            wm: vec![0; w],
            ends: 0,
        })
        .collect();
    for a in 0..w {
        for b in 0..w {
            if a != b {
                let (tx, rx) = RingBuffer::new(RING);
                links[a].tx[b] = Some(tx);
                links[b].rx[a] = Some(rx);
            }
        }
    }
    let barrier = Arc::new(Barrier::new(w + 1));
    let handles: Vec<_> = links
        .into_iter()
        .enumerate()
        .map(|(me, l)| {
            let (input, barrier) = (inputs[me], barrier.clone());
            let core = cores.get(me % cores.len().max(1)).copied();
            std::thread::spawn(move || {
                if let Some(c) = core {
                    core_affinity::set_for_current(c);
                }
                barrier.wait();
                if w == 1 { worker_one::<A>(input) } else { worker_many::<B>(me, w, input, l) }
            })
        })
        .collect();
    let t0 = Instant::now();
    barrier.wait();
    let mut d = Digest::default();
    for h in handles {
        d.merge(h.join().unwrap());
    }
    (t0.elapsed().as_secs_f64(), d)
}
