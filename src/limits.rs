//! Every limit of the engine, with the reason beside the number.

use std::time::Duration;

/// Bytes of records in a frame: four frames of input and output fit an L1/L2 way set, and 512
/// records of 64 bytes amortise a ring operation (256 are enough, see `benches/ring.rs`).
pub const FRAME_BYTES: usize = 32 << 10;

/// Most records in a frame, for records that are smaller than 8 bytes or empty.
pub const FRAME_RECORDS: usize = 4096;

/// Frames under way from one shard to another on one exchange. With [`FRAME_BYTES`] it bounds the
/// memory of a pair: 8 × 32 KiB.
pub const RING_FRAMES: usize = 8;

/// Most records a source hands on between two looks at the rings. A look costs little, but the loop
/// over the records falls out of step with memory: at 1024 records of 64 bytes in a lent slice it
/// took 15 % more time than at 4096, and 8192 gave no more.
pub const SOURCE_RECORDS: usize = 4096;

/// A turn of a shard shall not take longer: a stop, a checkpoint and the other operators wait for
/// its end. Sources hand on fewer records where it does.
pub const TURN: Duration = Duration::from_millis(2);

/// The longest sleep of a shard whose work comes with a ring of its bell: what a lost wake-up, or a
/// split that nobody brings anything, may cost.
pub const PARKED: Duration = Duration::from_secs(1);

/// Bytes of a ring between a thread of the program and a shard, without what records point to: text
/// and lists. Enough for a million records of 56 bytes with their times; more would hide that a job
/// does not keep up.
pub const CHANNEL_BYTES: usize = 64 << 20;

/// Bytes that are read from a socket, or gathered for one, at once: enough to make a system call
/// cheap, and few enough for the second-level cache.
pub const SOCKET_BLOCK_BYTES: usize = 64 << 10;

/// Blocks between the thread of a source's or sink's sockets and a shard. With
/// [`SOCKET_BLOCK_BYTES`] it bounds the memory of a queue: 4 MiB. Of connections, which shards read
/// themselves, so many blocks are read when a job is stopped.
pub const SOCKET_BLOCKS: usize = 64;

/// Bytes that a sink to whose socket nobody comes takes beyond its queue, of all shards, to see
/// whether its job has come to its end: as much as the rows of a source that are not whole.
pub const SOCKET_AHEAD_BYTES: usize = 64 << 20;

/// Bytes of rows that are not whole yet, of all connections of a source: each of 64 connections may
/// be in the middle of the longest row there is.
pub const SOCKET_PARTIAL_BYTES: usize = 64 << 20;

/// Most connections of a source at a time. Each takes a file descriptor, of which a process often
/// may have 1024; one more is closed as soon as it is accepted.
pub const CONNECTIONS: usize = 512;

/// How long a peer that is to be connected to may be away. The job then fails.
pub const PEER_AWAY: Duration = Duration::from_secs(60);

/// How long a job that is stopped goes on trying to reach the peer of a sink that connects: enough
/// for one that is being started again, and short enough for whoever waits for the job's end.
pub const PEER_AWAY_STOPPED: Duration = Duration::from_secs(5);

/// The first and the longest pause before a peer is tried again; each is twice the one before.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long it may take to connect, and to have a request answered.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Bytes of the body of a request to a source: enough for batches of some ten thousand records.
pub const BODY_BYTES: usize = 8 << 20;

/// How long a peer may take for a request's body, and how long it waits for the shard that reads
/// it.
pub const REQUEST: Duration = Duration::from_secs(30);

/// Records and bytes of a request that a sink makes, and how long it waits for so many.
pub const POST: (u64, usize, Duration) = (1_000, 1 << 20, Duration::from_millis(100));

/// A connection of TCP that is silent for so long is asked whether it is still there; four times,
/// every ten seconds, before it is taken for lost.
pub const KEEPALIVE: Duration = Duration::from_secs(60);

/// Batches of a source after which partly filled frames leave although the source has more: it
/// bounds how far a watermark lags behind the records.
pub const FLUSH_BATCHES: u32 = 1;

/// Key groups, the unit in which keyed state moves between shards.
pub const KEY_GROUPS: u32 = 1 << 12;

/// Most shards of a job.
pub const SHARDS: usize = 256;

/// Bytes of one line of text: a longer one is a bad row, not a reason to grow.
pub const LINE_BYTES: usize = 1 << 20;

/// Bytes of a frame that a log keeps compressed, before that was done: a reader makes as much room
/// as the frame's head claims. A frame has more than [`FRAME_BYTES`] only where one record has; one
/// of more than this is kept as it is.
pub const PACKED_BYTES: usize = 64 << 20;

/// How far in event time a shard may run ahead of the slowest one, in microseconds. Without it a
/// shard that owns few hot keys runs away and the others keep what it sends.
pub const LEAD_US: i64 = 500_000;

/// Batches of a source that a shard may run ahead in any case, however much event time they hold:
/// a stream that is sparse in time must not go in lockstep.
pub const LEAD_BATCHES: u32 = 4;

/// For so long a shard that is ahead waits for another one whose event time stands still: longer
/// than a slow batch takes, short enough that a sender who says nothing does not stop the others.
pub const LEAD_STANDSTILL: Duration = Duration::from_millis(100);

/// Timers that the timers of one shard may set at the end of the input, when all fire at once: a
/// timer that sets itself anew for ever would keep the job from ending.
pub const LAST_TIMERS: u64 = 1 << 24;

/// Most panes of a window: enough for a day in seconds. A slide that hardly divides the length,
/// such as a third of it to the microsecond, would make millions and look as if the job hung.
pub const PANES: i64 = 1 << 17;

/// Bytes of text and lists of a job's state that are in memory while the state is on disk, counted
/// as they are encoded; they take some two or three times as much. More than the caches of a core
/// hold, and little beside what state larger than memory takes.
pub const STATE_MEMORY: usize = 128 << 20;

/// Failures that a report of a restarted job tells of, the last ones.
pub const FAILURES: usize = 100;

/// Most count windows that a record of a key is in: it is added to each of them.
pub const COUNT_WINDOWS: u64 = 1 << 12;

const _: () = assert!(RING_FRAMES >= 2 && RING_FRAMES.is_power_of_two());
const _: () = assert!(SHARDS <= KEY_GROUPS as usize);
const _: () = assert!(FRAME_BYTES.is_multiple_of(64));
