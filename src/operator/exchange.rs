//! The exchange: records go to the shard that a partitioner names, frame by frame.
//!
//! ```text
//! shard a: Exchange ── Lane ══ ring of packets ══▶ Inbox: shard b
//!                        ▲                           │
//!                        ╚═══ ring of empty frames ══╝
//! ```
//!
//! A packet is a frame with the watermark that holds after it, so watermarks cost nothing of
//! their own while records flow.

use super::fused::remembers_nothing;
use super::peers::Peers;
use super::quiet::{all_idle, least};
use super::{Lifecycle, Operator, Output, Pace, Partition, Progress, Seat, Stage, Stamp};
use crate::error::{Error, Kind, Result};
use crate::limits::{FLUSH_BATCHES, RING_FRAMES};
use crate::record::{Batch, Block, Frame, Payload, Record};
use crate::ring::{Bells, Consumer, Producer, ring};
use crate::time::{Timestamp, Watermark};
use std::collections::VecDeque;

/// What travels from shard to shard.
pub enum Packet {
    /// Records, and the watermark after them.
    Frame(Frame),
    /// A watermark alone.
    Watermark(Watermark),
    /// The sender is silent for long; its next packet, whatever it is, says that it is so no more.
    Idle,
    /// What follows belongs to the epoch after this one.
    Barrier(u64),
    /// The sender has ended.
    Finish,
}

/// The sender's end of the way to one shard.
pub struct Lane {
    ring: Producer<Packet>,
    home: Consumer<Box<dyn Payload>>,
    /// Packets that found the ring full, in order.
    waiting: VecDeque<Packet>,
    /// The watermark that the receiver was told.
    told: Watermark,
    /// The inboxes at the other ends: what they have told is asked by a sender that comes back from
    /// idle, since the others did not wait for it.
    peers: Peers,
}

/// The receiver's end of the way from one shard.
pub struct Arrival {
    ring: Consumer<Packet>,
    home: Producer<Box<dyn Payload>>,
    watermark: Watermark,
    /// The same, but for the one of its end.
    last: Watermark,
    idle: bool,
    finished: bool,
    /// The last epoch whose barrier came.
    epoch: u64,
}

/// All ways of one exchange: the lanes and the inbox of each shard.
pub fn lanes(shards: usize, bells: &Bells) -> Vec<(Vec<Lane>, Inbox)> {
    let peers = Peers::new(shards);
    let mut all: Vec<(Vec<Lane>, Vec<Arrival>)> =
        (0..shards).map(|_| (Vec::new(), Vec::new())).collect();
    for from in 0..shards {
        for to in 0..shards {
            let (packets, arriving) = ring(RING_FRAMES);
            let (empties, home) = ring(2 * RING_FRAMES);
            let (waiting, told) = (VecDeque::new(), Timestamp::MIN);
            let peers = peers.clone();
            all[from].0.push(Lane { ring: packets, home, waiting, told, peers });
            all[to].1.push(Arrival {
                ring: arriving,
                home: empties,
                watermark: Timestamp::MIN,
                last: Timestamp::MIN,
                idle: false,
                finished: false,
                epoch: 0,
            });
        }
    }
    let inbox = |(shard, from)| Inbox {
        from,
        shard,
        peers: peers.clone(),
        bells: bells.clone(),
        pace: Pace::default(),
        told: Timestamp::MIN,
        idle: false,
        waits: false,
        next: 0,
        unsent: 0,
        epoch: 0,
    };
    let all = all.into_iter().enumerate();
    all.map(|(shard, (lanes, from))| (lanes, inbox((shard, from)))).collect()
}

impl Lane {
    /// Sends what waits as far as there is room; true when something went.
    fn push(&mut self) -> bool {
        let mut went = false;
        while let Some(packet) = self.waiting.pop_front() {
            if let Err(packet) = self.ring.push(packet) {
                self.waiting.push_front(packet);
                break;
            }
            went = true;
        }
        went
    }

    fn empty<R: Record>(&mut self) -> Box<Block<R>> {
        let home = self.home.pop().and_then(|payload| payload.into_any().downcast().ok());
        home.unwrap_or_default()
    }
}

/// The stage at the end of a chain that sends each record to the shard its partitioner names; with
/// its mark, if it is `MARKED`, so that what is late behind does not depend on the exchange.
pub struct Exchange<R, P, const MARKED: bool> {
    partition: P,
    #[expect(clippy::vec_box, reason = "a block is moved into a frame as it is, boxed")]
    blocks: Vec<Box<Block<R>>>,
    lanes: Vec<Lane>,
    bells: Bells,
    watermark: Watermark,
    /// Whether a lane has packets that found no room.
    waits: bool,
}

impl<R: Record, P: Partition<R>> Exchange<R, P, false> {
    /// Sends into these lanes, one a shard: for operators that do not ask what is late, or have
    /// asked before.
    pub fn new(partition: P, lanes: Vec<Lane>, bells: Bells) -> Self {
        Exchange::into(partition, lanes, bells)
    }
}

impl<R: Record, P: Partition<R>> Exchange<R, P, true> {
    /// Sends into these lanes, one a shard, records with their marks.
    pub fn marked(partition: P, lanes: Vec<Lane>, bells: Bells) -> Self {
        Exchange::into(partition, lanes, bells)
    }
}

impl<R: Record, P: Partition<R>, const MARKED: bool> Exchange<R, P, MARKED> {
    fn into(partition: P, lanes: Vec<Lane>, bells: Bells) -> Self {
        let blocks = lanes.iter().map(|_| Box::default()).collect();
        let watermark = Timestamp::MIN;
        Exchange { partition, blocks, lanes, bells, watermark, waits: false }
    }

    #[cold]
    #[inline(never)]
    fn ship(&mut self, shard: usize, out: &mut Output<'_>) {
        out.counters().records_out.add(self.blocks[shard].len() as u64);
        let lane = &mut self.lanes[shard];
        let next = lane.empty::<R>();
        let payload = std::mem::replace(&mut self.blocks[shard], next) as Box<dyn Payload>;
        lane.told = self.watermark;
        lane.waiting.push_back(Packet::Frame(Frame { watermark: self.watermark, payload }));
        self.push(shard);
    }

    fn push(&mut self, shard: usize) {
        let lane = &mut self.lanes[shard];
        if lane.push() {
            self.bells[shard].ring();
        }
        self.waits |= !lane.waiting.is_empty();
    }

    fn send(&mut self, shard: usize, packet: Packet) {
        self.lanes[shard].waiting.push_back(packet);
        self.push(shard);
    }
}

impl<R: Record, P: Partition<R>, const MARKED: bool> Lifecycle for Exchange<R, P, MARKED> {
    fn open(&mut self, seat: &Seat) -> Result {
        self.partition.open(seat);
        Ok(())
    }

    fn watermark(&mut self, at: Watermark, out: &mut Output<'_>) -> Result {
        if at < Timestamp::MAX {
            self.watermark = at;
            return Ok(());
        }
        // All inboxes hear the last one before the end.
        self.flush(out)?;
        self.watermark = at;
        self.flush(out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output<'_>) -> Result {
        self.flush(out)?;
        for shard in 0..self.lanes.len() {
            let said = if idle { Packet::Idle } else { Packet::Watermark(self.watermark) };
            self.send(shard, said);
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Output<'_>) -> Result {
        for shard in 0..self.lanes.len() {
            if !self.blocks[shard].is_empty() {
                self.ship(shard, out);
            } else if self.lanes[shard].told < self.watermark {
                self.lanes[shard].told = self.watermark;
                self.send(shard, Packet::Watermark(self.watermark));
            }
        }
        Ok(())
    }

    fn poll(&mut self, _: &mut Output<'_>) -> Result<Progress> {
        if !self.waits {
            return Ok(Progress::Done);
        }
        self.waits = false;
        // Who makes room rings.
        let mut progress = Progress::Parked;
        for shard in 0..self.lanes.len() {
            let before = self.lanes[shard].waiting.len();
            self.push(shard);
            if self.lanes[shard].waiting.len() < before {
                progress = Progress::Busy;
            }
        }
        Ok(progress)
    }

    fn ready(&mut self) -> bool {
        !self.waits
    }

    fn barrier(&mut self, epoch: u64, out: &mut Output<'_>) -> Result {
        self.flush(out)?;
        (0..self.lanes.len()).for_each(|shard| self.send(shard, Packet::Barrier(epoch)));
        // For what leaves on this shard.
        out.barrier(epoch)
    }

    remembers_nothing!();

    fn reached(&self) -> Watermark {
        self.lanes.first().map_or(Timestamp::MIN, |lane| lane.peers.reached())
    }

    fn finish(&mut self, out: &mut Output<'_>) -> Result {
        self.flush(out)?;
        (0..self.lanes.len()).for_each(|shard| self.send(shard, Packet::Finish));
        Ok(())
    }
}

impl<R: Record, P: Partition<R>, const MARKED: bool> Stage<R> for Exchange<R, P, MARKED> {
    #[inline(always)]
    fn record(&mut self, stamp: Stamp, record: R::View<'_>, out: &mut Output<'_>) -> Result {
        let Exchange { partition, blocks, .. } = self;
        let mut full = None;
        partition.shards(blocks.len(), record, |shard| {
            let (block, Stamp { at, mark }) = (&mut blocks[shard], stamp);
            let is_full =
                if MARKED { block.push_marked(at, mark, record) } else { block.push(at, record) };
            if is_full {
                full = Some(shard);
            }
        });
        if full.is_some() {
            self.ship_full(out);
        }
        Ok(())
    }
}

impl<R: Record, P: Partition<R>, const MARKED: bool> Exchange<R, P, MARKED> {
    #[cold]
    #[inline(never)]
    fn ship_full(&mut self, out: &mut Output<'_>) {
        for shard in 0..self.blocks.len() {
            if self.blocks[shard].is_full() {
                self.ship(shard, out);
            }
        }
    }
}

/// The other end of an exchange: what arrives from all shards, with their least watermark.
pub struct Inbox {
    from: Vec<Arrival>,
    shard: usize,
    peers: Peers,
    bells: Bells,
    pace: Pace,
    /// What the operators behind were told.
    told: Watermark,
    idle: bool,
    /// Whether what they are told next waits for other inboxes, or for what is in a ring.
    waits: bool,
    next: usize,
    /// Packets since the operators behind last sent what they hold back.
    unsent: u32,
    epoch: u64,
}

impl Arrival {
    fn come_to(&mut self, at: Watermark) {
        self.watermark = at;
        if at < Timestamp::MAX {
            self.last = at;
        }
    }
}

impl Inbox {
    /// Takes one packet of a sender, if there is one; how many records there were in it.
    fn take(&mut self, sender: usize, out: &mut Output<'_>) -> Result<Option<usize>> {
        let arrival = &mut self.from[sender];
        if arrival.epoch > self.epoch {
            // The others have not delivered this barrier.
            return Ok(None);
        }
        let Some(packet) = arrival.ring.pop() else {
            if arrival.ring.is_closed() && !arrival.finished && arrival.ring.is_empty() {
                let what = format!("shard {sender} left without ending its stream");
                return Err(Error::new(Kind::Internal, what));
            }
            return Ok(None);
        };
        let mut records = 0;
        match packet {
            Packet::Barrier(_) => {}
            _ => arrival.idle = matches!(packet, Packet::Idle),
        }
        match packet {
            Packet::Idle => (),
            Packet::Barrier(epoch) => arrival.epoch = epoch,
            Packet::Frame(Frame { watermark, mut payload }) => {
                let batch = payload.batch();
                records = batch.len();
                out.dispatch(0, &batch.from_split(sender as u32))?;
                payload.clear();
                arrival.come_to(watermark);
                // A frame that finds no room on the way home is freed.
                let _ = arrival.home.push(payload);
            }
            Packet::Watermark(at) => arrival.come_to(at),
            Packet::Finish => arrival.finished = true,
        }
        // Room in the ring: the sender may wait for it.
        self.bells[sender].ring();
        Ok(Some(records))
    }

    fn advance(&mut self, out: &mut Output<'_>) -> Result {
        let from = || self.from.iter().map(|arrival| (arrival.watermark, arrival.idle));
        let idle = all_idle(from());
        // Of a sender that has ended, too: else an inbox that heard less of it by then could never
        // fall asleep, since another one has told more.
        let last = self.from.iter().map(|arrival| arrival.last).max().filter(|_| idle);
        let low = last.unwrap_or_else(|| least(from()));
        // That it is idle no longer comes first: of inputs that are all idle the newest watermark
        // counts, and one that has just ended would close what the other still has records for.
        if self.idle && !idle {
            self.idle = false;
            out.idle(false)?;
            self.wake();
        }
        // A sender may have come back before another one said how far it is.
        let stirs = |arrival: &Arrival| arrival.idle && !arrival.ring.is_empty();
        self.waits = (low > self.told || idle && !self.idle) && self.from.iter().any(stirs);
        if low > self.told && !self.waits {
            self.waits = !self.peers.may_tell(self.shard, low);
            if !self.waits {
                self.told = low;
                self.peers.told(self.shard, low);
                // What is behind may give results, and no packet may come after them.
                self.unsent += 1;
                out.watermark(low)?;
            }
        }
        if idle && !self.idle && !self.waits {
            if self.peers.falls_asleep(self.shard, self.told) {
                self.idle = true;
                out.idle(true)?;
            } else {
                self.wake();
            }
        }
        self.align(out)
    }

    /// Lets the other inboxes know that this one is awake.
    fn wake(&self) {
        self.peers.wakes(self.shard);
        for shard in (0..self.from.len()).filter(|shard| *shard != self.shard) {
            self.bells[shard].ring();
        }
    }

    /// Whether all senders have ended, and the operators behind were told.
    fn has_ended(&self) -> bool {
        !self.waits && self.from.iter().all(|arrival| arrival.finished)
    }

    /// Hands a barrier on that all have delivered that have not ended.
    fn align(&mut self, out: &mut Output<'_>) -> Result {
        let live = self.from.iter().filter(|arrival| !arrival.finished);
        let epoch = live.map(|arrival| arrival.epoch).min();
        let Some(epoch) = epoch.filter(|epoch| *epoch > self.epoch) else {
            return Ok(());
        };
        self.epoch = epoch;
        out.barrier(epoch)
    }
}

impl Operator for Inbox {
    fn process(&mut self, _: usize, _: &Batch<'_>, _: &mut Output<'_>) -> Result {
        Err(Error::new(Kind::Internal, "an inbox has no input port"))
    }

    remembers_nothing!();

    fn open(&mut self, seat: &Seat) -> Result {
        self.pace = seat.pace.clone();
        Ok(())
    }

    fn poll(&mut self, out: &mut Output<'_>) -> Result<Progress> {
        if self.has_ended() {
            return Ok(Progress::Done);
        }
        let (mut progress, mut records) = (Progress::Parked, 0);
        self.next = (self.next + 1) % self.from.len();
        for i in 0..self.from.len() {
            let sender = (self.next + i) % self.from.len();
            let Some(taken) = self.take(sender, out)? else { continue };
            progress = Progress::Busy;
            self.unsent += 1;
            records += taken;
            // What is under way is as long as the pace was when it was sent.
            if records > self.pace.records() {
                // The one behind it is the next.
                self.next = sender;
                break;
            }
        }
        self.advance(out)?;
        if self.has_ended() {
            out.flush()?;
            out.finish()?;
            return Ok(Progress::Done);
        }
        let much = self.unsent >= FLUSH_BATCHES * self.from.len() as u32;
        if much || (self.unsent > 0 && progress == Progress::Parked) {
            self.unsent = 0;
            out.flush()?;
        }
        Ok(progress)
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
