//! What a user holds: [`Job`], [`Stream`], [`Keyed`], [`Windowed`], [`Joined`].

mod flow;
mod joined;
mod keyed;
mod process;
mod reduce;
mod stream;
mod windowed;

pub use joined::{AsOf, Between, Ever, How, Joined, Mutual, Offset, SameWindow, SeenInWindow};
pub use keyed::Keyed;
pub use stream::Stream;
pub use windowed::{Carried, Windowed, Work};

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::operator::{
    BAD_PORT, BadRecord, Chain, Fused, Fused2, Lane, OnBadRecord, Source, SourceNode, Stage,
};
use crate::plan::{
    Explanation, Flow, Input, Make, MakeSender, Origin, Plan, Sender, Site, Step, Times,
};
use crate::record::Record;
use crate::ring::{Bells, Idle};
use crate::runtime::{Around, Compression, Config, Executor, Report, Restart, Running, Simulated};

/// A named program of streams.
///
/// ```
/// use thalweg::prelude::*;
///
/// let job = Job::new("evens");
/// let (sink, results) = Collect::new();
/// job.source(Counter::to(10)).filter(|n| n % 2 == 0).sink(sink);
/// job.run()?;
/// assert_eq!(results.sorted(), [0, 2, 4, 6, 8]);
/// # Ok::<(), Error>(())
/// ```
pub struct Job {
    name: String,
    plan: Rc<RefCell<Plan>>,
    config: Config,
}

impl Job {
    /// A job without streams yet.
    pub fn new(name: impl Into<String>) -> Job {
        Job { name: name.into(), plan: Rc::default(), config: Config::default() }
    }

    /// How many shards run it, 1 to 256; one a core unless said otherwise.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Job {
        self.config.shards = Some(shards);
        self
    }

    /// What drives the shards; glommio where io_uring works unless said otherwise.
    #[must_use]
    pub fn executor(mut self, executor: Executor) -> Job {
        self.config.executor = executor;
        self
    }

    /// What a shard without work does; it spins briefly, then sleeps, unless said otherwise.
    #[must_use]
    pub fn idle(mut self, idle: Idle) -> Job {
        self.config.idle = idle;
        self
    }

    /// How far in event time a shard may run ahead of the slowest; 500 ms unless said otherwise.
    /// It may go four batches of its source ahead in any case, however much event time they span,
    /// and does not wait for one whose event time has stood still for 100 ms
    /// ([`LEAD_STANDSTILL`](crate::limits::LEAD_STANDSTILL)): what is silent stops nobody.
    #[must_use]
    pub fn lead(mut self, lead: Duration) -> Job {
        self.config.lead = lead;
        self
    }

    /// After how long a silent split of a source no longer holds the watermark back; 30 s unless
    /// said otherwise. So long no window closes on any shard, and those that are open take what
    /// comes meanwhile: for live sources say less. A split that nobody has a sender or a connection
    /// for holds nothing back.
    #[must_use]
    pub fn idle_after(mut self, silence: Duration) -> Job {
        self.config.idle_after = silence;
        self
    }

    /// Whether the shards are pinned to cores, shard `i` to core `i`; they are unless said
    /// otherwise. Several jobs at once in one process had better not be.
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Job {
        self.config.pin = pin;
        self
    }

    /// Lets Ctrl-C, SIGTERM and SIGHUP stop the job cleanly; a second one ends the process at once.
    /// Takes the process's handler for them.
    #[must_use]
    pub fn stop_on_ctrl_c(mut self) -> Job {
        self.config.stop_on_ctrl_c = true;
        self
    }

    /// Makes a checkpoint of the job every so often and keeps it in this directory, which is made
    /// if need be and is this job's alone. A job that is started anew with the same directory goes
    /// on from its last checkpoint, on any number of shards: sources from where they were,
    /// operators with what they remembered. A job that is stopped makes a last one.
    ///
    /// What sinks of files show then is what they would have shown if nothing had happened; see
    /// [`Guarantee`](crate::operator::Guarantee) for the others. What closures remember is not
    /// kept.
    ///
    /// ```no_run
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("words").checkpoints("state", 10.seconds());
    /// job.source(Files::lines("*.txt"))
    ///     .key_by_ref(|line| line)
    ///     .aggregate_final(|lines| lines.count())
    ///     .sink(Files::to_csv("counts"));
    /// job.run()?;
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn checkpoints(mut self, directory: impl Into<PathBuf>, every: Duration) -> Job {
        self.config.checkpoints = Some((directory.into(), every));
        self
    }

    /// Compresses [checkpoints](Job::checkpoints), or not, which is the default. A job may go on
    /// from a checkpoint that was written the other way.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// use thalweg::runtime::Compression;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let (sink, counts) = Collect::new();
    /// let job = Job::new("counts").checkpoints(directory.path(), 10.seconds());
    /// let job = job.compress_checkpoints(Compression::Lz4);
    /// # job.source(Counter::to(9)).key_by(|_| 0).aggregate_final(|ns| ns.count()).sink(sink);
    /// job.run()?;
    /// # assert_eq!(counts.take(), [(0_u64, 9)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn compress_checkpoints(mut self, compression: Compression) -> Job {
        self.config.compression = compression;
        self
    }

    /// Keeps the state of process functions, aggregates, windows and joins in a file in this
    /// directory, which is made if need be, of which the system keeps in memory what is used: it
    /// may be larger than memory. The file has no name and goes with the job; what is kept is in
    /// [`checkpoints`](Job::checkpoints). Text and lists go there when they have not been used for
    /// a while and there is [much of them](Job::state_memory), timers that wait when there are
    /// more than some thousand. Without this all is in memory.
    #[must_use]
    pub fn state_in(mut self, directory: impl Into<PathBuf>) -> Job {
        self.config.state_in = Some(directory.into());
        self
    }

    /// How many bytes of state may be in memory while it is kept [in a file](Job::state_in), about;
    /// 128 MiB unless said otherwise. [Small tables](Job::small_tables) take no more than half of
    /// it, first come first served; text and lists, counted as they are encoded, take the rest. The
    /// operators of all shards share it; where one has more text than its part and is silent, the
    /// others still have theirs, so that it may be twice as much.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("sessions").state_in("state").state_memory(1 << 30);
    /// ```
    #[must_use]
    pub fn state_memory(mut self, bytes: usize) -> Job {
        self.config.state_memory = bytes;
        self
    }

    /// Whether tables of state are one hash map each as long as that takes no more than 4 MiB
    /// (114,688 entries of two `u64`), which they are unless said otherwise. Such a table is faster
    /// than one on pages, but a checkpoint keeps all of it when any of it has changed: where
    /// checkpoints are made many times a second, `false` may be better. Tables whose keys or values
    /// are text or lists are on pages, whatever is said here; with state [in a file](Job::state_in)
    /// small tables are in memory while there is [room](Job::state_memory).
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("orders").checkpoints("state", 20.millis()).small_tables(false);
    /// ```
    #[must_use]
    pub fn small_tables(mut self, small: bool) -> Job {
        self.config.small_tables = small;
        self
    }

    /// Starts the job again, within the process and from its last checkpoint, when a shard fails.
    /// [`Restart`] says which sources lose nothing then.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("orders").checkpoints("state", 10.seconds()).restart(Restart::times(3));
    /// ```
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Job {
        self.config.restart = restart;
        self
    }

    /// Sets everything about how the job is run at once.
    #[must_use]
    pub fn config(mut self, config: Config) -> Job {
        self.config = config;
        self
    }

    /// Begins a stream at a source. What is wrong with the source is said by
    /// [`start`](Job::start), not here.
    pub fn source<S: Source>(&self, source: S) -> Stream<S::Record> {
        self.source_of(source, false).0
    }

    /// Begins a stream at a source; the second stream is the records that it could not read, if
    /// it was told to send them there
    /// ([`OnBadRecord::SideStream`]).
    pub fn source_with_bad<S: Source>(&self, source: S) -> (Stream<S::Record>, Stream<BadRecord>) {
        self.source_of(source, true)
    }

    /// A source, of which somebody takes the bad records or nobody.
    fn source_of<S: Source>(
        &self,
        source: S,
        bad_taken: bool,
    ) -> (Stream<S::Record>, Stream<BadRecord>) {
        let name = format!("source {}", source.name());
        let times = Times::Gives(source.has_event_times());
        let (guarantee, counts) = (source.guarantee(), source.counts());
        let mut splits = None;
        let make: Make = Box::new(move |site: &Site<'_>| {
            let seat = site.seat;
            if seat.shard == 0 && !bad_taken && source.on_bad_record() == OnBadRecord::SideStream {
                let what = "nobody takes the side stream of its bad records; begin with \
                            source_with_bad(…), or skip them";
                return Err(Error::new(Kind::Plan, what));
            }
            if seat.shard == 0 {
                splits = Some(source.splits(seat.began_on)?.into_iter().map(Some).collect());
            }
            let all: &mut Vec<Option<_>> = splits.as_mut().expect("set just above");
            let mine = (0_u32..).zip(all.iter_mut());
            let mine = mine.skip(seat.shard).step_by(seat.shards);
            let mine = mine.filter_map(|(i, split)| Some((i, split.take()?))).collect();
            Ok(Box::new(SourceNode::<S::Record>::new(mine, source.on_bad_record())) as _)
        });
        let flow = Flow::Begins { make, guarantee, counts };
        let step = Step { name, asked: String::new(), inputs: Vec::new(), flow, times };
        let origin = self.plan.borrow_mut().add(step);
        let bad = Origin { port: BAD_PORT, ..origin };
        (Stream::at(&self.plan, origin), Stream::at(&self.plan, bad))
    }

    /// What the job does, as it is so far, in words: its operators in the order in which they were
    /// added with the windows and spans that were asked of them, for each of its inputs where the
    /// records come from, which closures are fused into it, and what is exchanged between shards;
    /// with [checkpoints](Job::checkpoints) also how often its sinks get a record. Runs nothing.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("remainders").shards(2);
    /// job.source(Counter::to(10))
    ///     .filter(|n| n > 3)
    ///     .key_by(|n| n % 3)
    ///     .aggregate_final(|ns| ns.count())
    ///     .map(|(_, count)| count)
    ///     .named("counts")
    ///     .sink(Discard);
    /// assert_eq!(
    ///     job.explain().to_string(),
    ///     "job remainders, 2 shards\n\
    ///      #0 source counter to 10\n\
    ///      #1 aggregate (at the end: count)\n   \
    ///         #0 → filter → exchange (partial results, by the key's hash)\n\
    ///      #2 counts\n   \
    ///         #1 → map"
    /// );
    /// # Ok::<(), Error>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        let checkpoints = self.config.checkpoints.is_some();
        self.plan.borrow().explain(&self.name, self.config.shard_count(), checkpoints)
    }

    /// Starts the job and gives a handle to it. Dropping the handle stops the job.
    ///
    /// # Errors
    /// All that can be found wrong before the first record flows, said at once: no source, a stream
    /// that ends nowhere, a missing file, a directory that can't be written, two sinks that write
    /// to the same files, a window on a stream without event times or of no length, a number of
    /// shards that is out of range. What sinks would write over is left alone then.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("counting").shards(2);
    /// let (sink, digest) = Digest::new::<u64>();
    /// job.source(Counter::endless()).sink(sink);
    /// let running = job.start()?;
    /// while running.metrics().records_read() == 0 {
    ///     std::thread::sleep(1.millis());
    /// }
    /// running.stop();
    /// let report = running.join()?;
    /// assert_eq!(report.records_read(), digest.rows());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn start(self) -> Result<Running> {
        Running::start(&self.name, self.plan.take(), &self.config)
    }

    /// Makes the job's shards, to be driven by a simulation.
    pub(crate) fn simulated(self, around: Around) -> Result<Option<Simulated>> {
        Simulated::start(&self.name, self.plan.take(), &self.config, around)
    }

    /// Runs the job to its end: until its sources have ended or something fails.
    ///
    /// # Errors
    /// What ended it early, with job, shard and operator named.
    pub fn run(self) -> Result<Report> {
        self.start()?.join()
    }
}

/// What a step is made of that can't be.
pub(crate) fn refusing(error: Error) -> Flow {
    Flow::Local(Box::new(move |_| Err(error.clone())))
}

/// Adds a step that can't be: the job is refused with this error, and with all others.
pub(crate) fn refuse<R: Record>(
    plan: &Rc<RefCell<Plan>>,
    name: String,
    inputs: Vec<Input>,
    error: Error,
) -> Stream<R> {
    let flow = refusing(error);
    // What it lacks is said: nothing more is to be said of what is behind it.
    let times = Times::Gives(true);
    let step = Step { name, asked: String::new(), inputs, flow, times };
    let origin = plan.borrow_mut().add(step);
    Stream::at(plan, origin)
}

/// Makes a chain with a stage at its end on the chain's own shard.
pub(crate) fn local<C, S>(
    chain: C,
    mut stage: impl FnMut(&Site<'_>) -> Result<S> + Send + 'static,
) -> Make
where
    C: Chain,
    S: Stage<C::Out>,
{
    Box::new(move |site| Ok(Box::new(Fused::new(chain.clone(), stage(site)?, site.lead(0))) as _))
}

/// Makes two chains with a stage of two inputs at their end on the chains' own shard.
pub(crate) fn local2<C0, C1, S>(
    chains: (C0, C1),
    mut stage: impl FnMut(&Site<'_>) -> Result<S> + Send + 'static,
) -> Make
where
    C0: Chain,
    C1: Chain,
    S: Stage<C0::Out, 0> + Stage<C1::Out, 1>,
{
    Box::new(move |site| {
        let leads = [site.lead(0), site.lead(1)];
        Ok(Box::new(Fused2::new(chains.clone(), stage(site)?, leads)) as _)
    })
}

/// Makes the sending end of an exchange behind a chain; `way` says what is sent and where to.
pub(crate) fn sending<C, S>(
    chain: C,
    way: &'static str,
    mut stage: impl FnMut(Vec<Lane>, Bells) -> S + Send + 'static,
) -> Sender
where
    C: Chain,
    S: Stage<C::Out>,
{
    let make: MakeSender = Box::new(move |site, lanes| {
        let stage = stage(lanes, site.seat.bells.clone());
        Ok(Box::new(Fused::new(chain.clone(), stage, site.lead(0))) as _)
    });
    Sender { way, make }
}
