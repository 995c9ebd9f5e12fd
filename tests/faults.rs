//! What a job does when something goes wrong, and how it lives and ends. A hang fails in 30 s.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use thalweg::error::Kind;
use thalweg::operator::{Feed, Progress, Sink, Source, Split, Writer};
use thalweg::prelude::*;

/// How a job ended; fails when it does not end.
fn ended(running: Running) -> Result<Report> {
    if !running.wait_for(30.seconds()) {
        std::mem::forget(running);
        panic!("the job hangs");
    }
    running.join()
}

fn each_way(check: impl Fn(usize, Executor)) {
    for shards in [1, 2, 8] {
        check(shards, Executor::Threads);
        check(shards, Executor::Auto);
    }
}

/// A job that must fail with an error that holds all of `wanted`, whatever runs it.
fn fails(wanted: &[&str], program: impl Fn(&Job)) {
    each_way(|shards, executor| {
        let job = Job::new("faulty").shards(shards).executor(executor);
        program(&job);
        let error = ended(job.start().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("job faulty: shard "), "{error}");
        for wanted in wanted {
            assert!(error.contains(wanted), "{shards} shards, {executor}: {error}");
        }
    });
}

/// Numbers up to a bound, then the way in which a source goes wrong; or nothing, for ever.
#[derive(Clone, Copy, PartialEq)]
enum Faulty {
    Panics,
    Fails,
    Silent,
}

impl Source for Faulty {
    type Record = u64;
    fn name(&self) -> String {
        "faulty".into()
    }
    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        Ok((0..shards).map(|_| Box::new(FaultySplit(*self, 0)) as _).collect())
    }
}

/// How it goes wrong, and the last number that it gave.
struct FaultySplit(Faulty, u64);

impl Split<u64> for FaultySplit {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        if self.0 == Faulty::Silent {
            return Ok(Progress::Idle);
        }
        self.1 += 1;
        if self.1 < 100 {
            feed.push(self.1)?;
            return Ok(Progress::Busy);
        }
        assert!(self.0 != Faulty::Panics, "no more");
        Err(Error::new(Kind::Io, "the line went dead"))
    }
}

/// A sink that fails at some point, or takes its time for each record.
#[derive(Clone, Copy, PartialEq)]
enum Bad {
    Opens,
    Writes,
    Flushes,
    Finishes,
    Slow(Duration),
}

impl Bad {
    fn fail_at(self, point: Bad) -> Result {
        let full = || Err(Error::new(Kind::Io, "the disk is full"));
        if self == point { full() } else { Ok(()) }
    }
}

impl Sink<u64> for Bad {
    type Writer = Bad;
    fn name(&self) -> String {
        "bad".into()
    }
    fn open(&mut self, shard: usize, shards: usize) -> Result<Bad> {
        if shard + 1 == shards {
            self.fail_at(Bad::Opens)?;
        }
        Ok(*self)
    }
}

impl Writer<u64> for Bad {
    fn write(&mut self, _: Timestamp, record: u64) -> Result {
        if let Bad::Slow(pause) = self {
            std::thread::sleep(*pause);
        }
        if record > 5_000 { self.fail_at(Bad::Writes) } else { Ok(()) }
    }
    fn flush(&mut self) -> Result {
        self.fail_at(Bad::Flushes)
    }
    fn finish(&mut self) -> Result {
        self.fail_at(Bad::Finishes)
    }
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_millis(n as i64)
}

#[test]
fn a_panic_names_all_whose_code_it_may_have_been() {
    let odd = |n: u64| if n == 7_001 { panic!("odd one") } else { n.is_multiple_of(2) };
    fails(&[": sink discard or a closure before it (map, filter): panicked: odd one"], |job| {
        job.source(Counter::to(10_000)).map(|n| n + 1).filter(odd).sink(Discard);
    });
    // What lies before another operator is out of the question.
    fails(&[": union or the filter before it: panicked: odd one"], |job| {
        let others = job.source(Counter::to(10));
        others.union(job.source(Counter::to(10_000)).filter(odd)).map(|n| n + 1).sink(Discard);
    });
    fails(&[": rebalance or the filter before it: panicked: odd one"], |job| {
        job.source(Counter::to(10_000)).filter(odd).rebalance().map(|n| n + 1).sink(Discard);
    });
}

#[test]
fn a_panic_in_a_closure_names_operator_and_shard() {
    fails(&["twice or the map before it: panicked: odd one"], |job| {
        let twice = |n| if n == 7_001 { panic!("odd one") } else { n * 2 };
        job.source(Counter::to(10_000)).map(twice).named("twice").sink(Discard);
    });
    fails(&[": window or the event_time before it: panicked: no key"], |job| {
        job.source(Counter::to(10_000))
            .event_time(at, 0.seconds())
            .key_by(|n| if n == 7_001 { panic!("no key") } else { n % 5 })
            .window(Tumbling::of(1.seconds()))
            .aggregate(|numbers| numbers.count())
            .sink(Discard);
    });
    fails(&["sums or the event_time before it: panicked: no sum"], |job| {
        job.source(Counter::to(10_000))
            .event_time(at, 0.seconds())
            .key_by(|n| n % 5)
            .named("sums")
            .window(Tumbling::of(1.seconds()))
            .aggregate(|numbers| numbers.sum(|n| if n == 7_001 { panic!("no sum") } else { n }))
            .sink(Discard);
    });
    fails(&[": sink callback: panicked: no call"], |job| {
        let sink = Callback::new::<u64>(|_, _, n| assert!(n != 7_001, "no call"));
        job.source(Counter::to(10_000)).sink(sink);
    });
    fails(&["source faulty: panicked: no more"], |job| job.source(Faulty::Panics).sink(Discard));
    for timer in [false, true] {
        fails(&[": seen", ": panicked: no state"], |job| {
            job.source(Counter::to(10_000))
                .event_time(at, 0.seconds())
                .key_by(|n| n % 5)
                .named("seen")
                .process::<u64, u64>(
                    move |_, n, ctx| {
                        assert!(timer || n != 7_001, "no state");
                        ctx.timer_at(at(n + 10));
                    },
                    move |_, when, _| assert!(when < at(5_000), "no state"),
                )
                .sink(Discard);
        });
    }
}

#[test]
fn errors_of_sources_and_sinks_end_the_job() {
    fails(&["source faulty: split ", ": the line went dead"], |job| {
        job.source(Faulty::Fails).sink(Discard);
    });
    for point in [Bad::Writes, Bad::Flushes, Bad::Finishes] {
        fails(&["sink bad: the disk is full"], |job| job.source(Counter::to(10_000)).sink(point));
    }
    each_way(|shards, executor| {
        let program = |job: &Job| job.source(Counter::to(10)).sink(Bad::Opens);
        let error = error_of(shards, executor, &program).to_string();
        assert_eq!(error, "job faulty: sink bad: the disk is full");
    });
}

#[test]
fn a_job_without_source_or_sink_is_refused_with_a_remedy() {
    let refused = |job: Job, remedy: &str| {
        let Err(error) = job.start() else { panic!("such a job must not start") };
        assert_eq!(error.kind(), Kind::Plan);
        assert!(error.to_string().contains(remedy), "{error}");
    };
    refused(Job::new("empty"), "job.source(");
    let job = Job::new("endless");
    let _ = job.source(Counter::to(1));
    refused(job, ".sink(");
    refused(Job::new("many").shards(1_000), "from 1 to 256");
}

/// How a job ended that may already fail when it is to start; with what it says.
fn error_of(shards: usize, executor: Executor, program: &dyn Fn(&Job)) -> Error {
    let job = Job::new("faulty").shards(shards).executor(executor);
    program(&job);
    match job.start() {
        Ok(running) => ended(running).unwrap_err(),
        Err(error) => error,
    }
}

#[test]
fn files_that_are_not_there_or_cannot_be_written_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("file"), "not a directory\n").unwrap();
    let check = |program: &dyn Fn(&Job), kind: Kind, wanted: &[&str]| {
        each_way(|shards, executor| {
            let error = error_of(shards, executor, program);
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(text.starts_with("job faulty: "), "{text}");
            for wanted in wanted {
                assert!(text.contains(wanted), "{wanted} in {text}");
            }
        });
    };
    let (missing, pattern) = (path("missing.csv"), path("*.csv"));
    let read = |path: &str| {
        let path = path.to_owned();
        move |job: &Job| job.source(Files::csv::<Row>(path.clone())).sink(Discard)
    };
    check(&read(&missing), Kind::Io, &["source ", &missing, "No such file"]);
    check(&read(&pattern), Kind::Io, &["source ", &pattern, "no file matches"]);
    let write = |path: String| {
        move |job: &Job| job.source(Counter::to(10)).sink(Files::to_lines(path.clone()))
    };
    check(&write(path("file")), Kind::Io, &["sink ", &path("file"), "no directory"]);
    check(&write(path("file/in")), Kind::Io, &["sink ", &path("file/in"), "no directory"]);
    // Not even root can make a directory there.
    check(&write("/proc/thalweg".into()), Kind::Io, &["sink ", "/proc/thalweg", "kernel"]);
}

record! {
    #[derive(Eq, PartialOrd, Ord)]
    struct Row { n: u64, price: u64 }
}

#[test]
fn bad_rows_end_the_job_or_are_counted_or_go_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.csv").to_str().unwrap().to_owned();
    let line = |n: u64| if n % 100 == 50 { format!("{n},x\n") } else { format!("{n},{n}\n") };
    let text: String = (2..=1_000).map(line).collect();
    std::fs::write(&path, format!("n,price\n{text}")).unwrap();
    let rows = |on_bad| Files::csv::<Row>(path.clone()).splits_per_file(5).on_bad_record(on_bad);
    let good: Vec<Row> =
        (2..=1_000).filter(|n| n % 100 != 50).map(|n| Row { n, price: n }).collect();
    each_way(|shards, executor| {
        let program = |job: &Job| job.source(rows(OnBadRecord::Fail)).sink(Discard);
        let error = error_of(shards, executor, &program);
        let text = error.to_string();
        let wanted = ": field price: expected a whole number, 0 or more, found \"x\"";
        assert!(text.contains(&path) && text.contains(wanted), "{text}");
        let (_, line) = text.split_once("rows.csv line ").unwrap();
        let line: u64 = line.split_once(':').unwrap().0.parse().unwrap();
        assert_eq!(line % 100, 50, "{text}");
        assert_eq!(error.kind(), Kind::Data);

        for side in [false, true] {
            let job = Job::new("lenient").shards(shards).executor(executor);
            let ((kept, results), (aside, diverted)) = (Collect::new(), Collect::new());
            if side {
                let (rows, bad) = job.source_with_bad(rows(OnBadRecord::SideStream));
                rows.sink(kept);
                bad.sink(aside);
            } else {
                job.source(rows(OnBadRecord::Skip)).sink(kept);
            }
            let report = ended(job.start().unwrap()).unwrap();
            assert_eq!((report.bad(), report.records_read()), (10, good.len() as u64));
            assert_eq!(results.sorted(), good);
            if side {
                let bad = diverted.sorted_by_key(|bad| bad.line);
                assert!(bad.iter().map(|bad| bad.line).eq((0..10).map(|i| i * 100 + 50)));
                assert!(bad.iter().all(|bad| bad.text == format!("{},x", bad.line)));
            }
        }
    });
}

/// Records are taken by the thousand only where closures are fast.
#[test]
fn slow_closures_keep_no_one_waiting() {
    each_way(|shards, executor| {
        for behind in [false, true] {
            let job = Job::new("slow").shards(shards).executor(executor);
            let slow = |_: u64| std::thread::sleep(1.millis());
            let numbers = job.source(Counter::endless());
            let (sink, digest) = Digest::new();
            match behind {
                false => numbers.inspect(slow).sink(sink),
                true => numbers
                    .key_by(|n| n)
                    .process::<(), u64>(
                        move |(), n, ctx| {
                            slow(n);
                            ctx.emit(n);
                        },
                        |(), _, _| (),
                    )
                    .sink(sink),
            }
            let running = job.start().unwrap();
            while digest.rows() < 20 * shards as u64 {
                assert!(!running.wait_for(1.millis()));
            }
            running.stop();
            ended(running).unwrap();
            let most = 1_500 * shards as u64;
            assert!(digest.rows() < most, "{} of {shards} shards", digest.rows());
        }
    });
}

#[test]
fn a_job_is_stopped_or_dropped_at_once() {
    each_way(|shards, executor| {
        let start = || {
            let job = Job::new("endless").shards(shards).executor(executor);
            let (sink, digest) = Digest::new();
            job.source(Counter::endless())
                .key_by(|n| n % 100)
                .process::<u64, u64>(
                    |seen, _, ctx| {
                        *seen += 1;
                        ctx.emit(*seen);
                    },
                    |_, _, _| {},
                )
                .sink(sink);
            (job.start().unwrap(), digest)
        };
        let (running, digest) = start();
        assert!(!running.wait_for(50.millis()));
        let asked = Instant::now();
        running.stop();
        let report = ended(running).unwrap();
        assert!(asked.elapsed() < 5.seconds(), "{:?}", asked.elapsed());
        assert_eq!(digest.rows(), report.records_read(), "what was read flows out");
        assert!(digest.rows() > 0);
        let (running, _) = start();
        let asked = Instant::now();
        drop(running);
        assert!(asked.elapsed() < 5.seconds(), "{:?}", asked.elapsed());
    });
}

#[test]
fn two_jobs_run_beside_each_other() {
    let start = |name| {
        let job = Job::new(name).shards(3);
        let (sink, results) = Collect::new();
        job.source(Counter::to(50_000)).rebalance().map(|n| n + 1).sink(sink);
        (job.start().unwrap(), results)
    };
    let ((one, first), (two, second)) = (start("one"), start("two"));
    assert_eq!((ended(one).unwrap().job, ended(two).unwrap().job), ("one".into(), "two".into()));
    assert!(first.sorted().into_iter().eq(1..=50_000));
    assert!(second.sorted().into_iter().eq(1..=50_000));
}

/// Kilobytes of memory that the process uses.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_slow_sink_holds_the_sources_back() {
    let job = Job::new("slow").shards(16);
    job.source(Counter::endless()).rebalance().sink(Bad::Slow(10.micros()));
    let running = job.start().unwrap();
    assert!(!running.wait_for(500.millis()));
    let (before, read) = (resident_kb(), running.metrics().records_read());
    assert!(!running.wait_for(1500.millis()));
    let (after, more) = (resident_kb(), running.metrics().records_read());
    running.stop();
    ended(running).unwrap();
    assert!(more > read, "it stays live: {read} then {more} records");
    // All rings and blocks of 16 shards: 16 × 16 × 8 frames of 32 KiB, and twice as many empty.
    assert!(after < before + 200_000, "{before} KiB, then {after} KiB");
}

/// Not a test: alone in a process the timers' memory can be told from the other tests'.
#[test]
#[ignore = "run by cancelled_timers_do_not_pile_up"]
fn child_of_timers() {
    let job = Job::new("timeouts").shards(1);
    let at = |n: u64| Timestamp::from_millis(n as i64);
    job.source(Counter::endless())
        .event_time(at, 0.seconds())
        .key_by(|n| n % 4)
        .process::<u64, u64>(
            move |_, n, ctx| {
                ctx.cancel_timers();
                ctx.timer_at(at(n) + 365_000.days());
                ctx.timer_after(365_000.days());
            },
            |_, _, ctx| ctx.emit(0),
        )
        .sink(Discard);
    let running = job.start().unwrap();
    let read_to = |records| {
        while running.metrics().records_read() < records {
            assert!(!running.wait_for(10.millis()));
        }
        resident_kb()
    };
    let before = read_to(100_000);
    let after = read_to(2_000_000);
    println!("{before} KiB after 100,000 timers, {after} KiB after 2,000,000");
    // 2 × 32 bytes for each of them would be 120 MB.
    assert!(after < before + 4_000, "{before} KiB, then {after} KiB");
    running.stop();
    ended(running).unwrap();
}

#[test]
fn cancelled_timers_do_not_pile_up() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_of_timers"])
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

/// Processor time that the shards' threads have used, in ticks of 10 ms.
fn shard_ticks() -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.split_once(") ") else { continue };
        if name.contains("(shard-") {
            let field = |n: usize| rest.split(' ').nth(n).unwrap().parse::<u64>().unwrap();
            ticks += field(11) + field(12);
        }
    }
    ticks
}

/// Not a test: alone in a process the idle job's time can be told from the other tests'.
#[test]
#[ignore = "run by an_idle_job_uses_no_measurable_time"]
fn child_of_idle() {
    for executor in [Executor::Threads, Executor::Auto] {
        for idle in [Idle::Backoff, Idle::Park] {
            let job = Job::new("idle").shards(2).executor(executor).idle(idle);
            job.source(Faulty::Silent).rebalance().sink(Discard);
            let running = job.start().unwrap();
            assert!(!running.wait_for(200.millis()));
            let before = shard_ticks();
            assert!(!running.wait_for(2.seconds()));
            let used = shard_ticks() - before;
            println!("{executor} {idle:?}: {used} ticks of 10 ms in 2 s");
            // 1 % of two cores would be 4; twice that, for what else the machine does.
            assert!(used <= 4, "{executor}, {idle:?}: {used} ticks of 10 ms in 2 s, 2 shards");
            running.stop();
            ended(running).unwrap();
        }
    }
}

#[test]
fn an_idle_job_uses_no_measurable_time() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_of_idle"])
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

const CHILD: &str = "THALWEG_TEST_OUTPUT";
/// Set when the child is not to end after its job.
const STAYS: &str = "THALWEG_TEST_STAYS";

fn interrupt(child: &std::process::Child) {
    let kill = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Not a test: the job of the next one's child process.
#[test]
#[ignore = "run by ctrl_c_ends_a_job_cleanly"]
fn child_of_ctrl_c() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let job = Job::new("child").shards(2).stop_on_ctrl_c();
    job.source(Counter::endless().rate(10_000.0)).sink(Files::to_lines(&directory));
    let read = job.run().unwrap().records_read();
    // The program goes on behind the job, with all that was read in the files.
    std::fs::write(directory + ".read", read.to_string()).unwrap();
    if std::env::var(STAYS).is_ok() {
        std::thread::sleep(60.seconds());
    }
}

/// Whether every file of a directory holds something.
fn has_written(directory: &std::path::Path) -> bool {
    let Ok(files) = std::fs::read_dir(directory) else { return false };
    let mut sizes = files.map(|file| file.unwrap().metadata().unwrap().len()).peekable();
    sizes.peek().is_some() && sizes.all(|size| size > 0)
}

#[test]
fn ctrl_c_ends_a_job_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_of_ctrl_c"])
        .env(CHILD, &output)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + 30.seconds();
    let mut asked = false;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the child hangs");
        }
        std::thread::sleep(300.millis());
        if !asked && has_written(&output) {
            asked = true;
            interrupt(&child);
        }
    };
    assert!(asked && status.success(), "asked: {asked}, {status}");
    let mut lines = 0;
    for file in std::fs::read_dir(&output).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() > 10);
        lines += text.lines().count();
    }
    let read = std::fs::read_to_string(directory.path().join("out.read")).unwrap();
    assert_eq!(read, lines.to_string());
}

#[test]
fn ctrl_c_after_the_job_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;

    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_of_ctrl_c"])
        .env(CHILD, &output)
        .env(STAYS, "yes")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wait_for = |what: &dyn Fn() -> bool| {
        let deadline = Instant::now() + 30.seconds();
        while !what() {
            assert!(Instant::now() < deadline, "the child hangs");
            std::thread::sleep(50.millis());
        }
    };
    wait_for(&|| has_written(&output));
    interrupt(&child);
    wait_for(&|| directory.path().join("out.read").exists());
    interrupt(&child);
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}
