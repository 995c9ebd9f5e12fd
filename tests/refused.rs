//! Jobs that can't do what they are for: refused before the first record, in words that help.
#![allow(clippy::unwrap_used)]

use thalweg::connector::nexmark::Nexmark;
use thalweg::operator::{Chain, Feed, KeyOf, Progress, Source, Split};
use thalweg::prelude::*;

const REMEDY: &str =
    "event times; put .event_time(|record| …, disorder) or .processing_time() before it";

/// What `start` says of a job, on one shard and on two.
fn refusal(build: impl Fn(&Job)) -> String {
    let said = [1, 2].map(|shards| {
        let job = Job::new("refused").shards(shards);
        build(&job);
        match job.start() {
            Ok(_) => panic!("it started"),
            Err(error) => error.to_string(),
        }
    });
    assert_eq!(said[0], said[1]);
    said[0].clone()
}

/// That a job runs to its end.
fn runs(build: impl Fn(&Job)) {
    for shards in [1, 2] {
        let job = Job::new("runs").shards(shards);
        build(&job);
        job.run().unwrap();
    }
}

fn numbers(job: &Job) -> Stream<u64> {
    job.source(Counter::to(100))
}

fn timed(job: &Job) -> Stream<u64, impl Chain<Out = u64> + use<>> {
    numbers(job).event_time(|n| Timestamp::from_millis(n as i64), 0.seconds())
}

type Pairs<A, B> = thalweg::api::Joined<A, B>;

fn pairs<A: Chain<Out = u64>, B: Chain<Out = u64>>(
    left: Stream<u64, A>,
    right: Stream<u64, B>,
) -> Pairs<
    thalweg::api::Keyed<u64, A, impl KeyOf<u64, Key = u64>>,
    thalweg::api::Keyed<u64, B, impl KeyOf<u64, Key = u64>>,
> {
    left.key_by(|n| n).join(right.key_by(|n| n))
}

fn counted<C: Chain<Out = u64>>(stream: Stream<u64, C>, windows: impl thalweg::api::Carried) {
    stream.window(windows).aggregate(|ns| ns.count()).sink(Discard);
}

#[test]
fn windows_without_event_times_are_refused() {
    let expected = format!("job refused: window: its stream has no {REMEDY}");
    let second = 1.seconds();
    assert_eq!(refusal(|job| counted(numbers(job), Tumbling::of(second))), expected);
    assert_eq!(refusal(|job| counted(numbers(job), Sliding::of(second, second))), expected);
    assert_eq!(refusal(|job| counted(numbers(job), Cumulating::of(second, second))), expected);
    assert_eq!(refusal(|job| counted(numbers(job), Session::gap(second))), expected);
    let every = Global::trigger(Trigger::every(second));
    assert_eq!(refusal(|job| counted(numbers(job), every)), expected);
    runs(|job| counted(numbers(job), CountWindow::of(3)));
    runs(|job| counted(numbers(job), Global::trigger(Trigger::every_n(3))));
    runs(|job| counted(numbers(job), Global::trigger(Trigger::at_end())));
    runs(|job| counted(numbers(job).processing_time(), Tumbling::of(second)));
}

#[test]
fn joins_by_time_are_refused_and_name_the_side() {
    let second = || Offset::After(1.seconds());
    let left = refusal(|job| {
        pairs(numbers(job), timed(job)).between(second(), second()).inner(|l, _| l).sink(Discard);
    });
    assert_eq!(left, format!("job refused: interval join: its left stream has no {REMEDY}"));
    let right = refusal(|job| {
        pairs(timed(job), numbers(job)).as_of(1.seconds()).inner(|l, _| l).sink(Discard);
    });
    assert_eq!(right, format!("job refused: as-of join: its right stream has no {REMEDY}"));
    let both = refusal(|job| {
        let pairs = pairs(numbers(job), numbers(job).map(|n| n + 1));
        pairs.window(Tumbling::of(1.seconds())).semi(|l| l).sink(Discard);
    });
    assert_eq!(both, format!("job refused: window join: neither of its streams has {REMEDY}"));
    runs(|job| pairs(numbers(job), numbers(job)).inner(|l, _| l).sink(Discard));
}

#[test]
fn first_records_within_a_time_are_refused_without_event_times() {
    let expected = format!("job refused: first: its stream has no {REMEDY}");
    let ttl = 1.seconds();
    assert_eq!(refusal(|job| numbers(job).key_by(|n| n).first_within(ttl).sink(Discard)), expected);
    assert_eq!(
        refusal(|job| numbers(job).key_by(|n| n).first_by_time(ttl).sink(Discard)),
        expected
    );
    runs(|job| numbers(job).key_by(|n| n).first().sink(Discard));
}

#[test]
fn event_times_are_followed_through_the_plan() {
    let windows = Tumbling::of(1.seconds());
    runs(|job| counted(timed(job).rebalance().settle(), windows));
    runs(|job| counted(timed(job).settle().union(timed(job)), windows));
    runs(|job| counted(timed(job).key_by(|n| n).reduce(|sum, n| *sum += n), windows));
    runs(|job| {
        let counts = timed(job).window(windows).aggregate(|ns| ns.count());
        counted(counts.map(|count| count.value), windows);
    });
    // What meets has the later one's time; a table's rows have nothing to say.
    runs(|job| counted(pairs(numbers(job), timed(job)).inner(|l, _| l), windows));
    runs(|job| {
        let rows = timed(job).join_table(numbers(job), |n| n, |n| n, |n, _| n);
        counted(rows, windows);
    });
    let mixed = refusal(|job| counted(timed(job).union(numbers(job)), windows));
    assert!(mixed.ends_with(REMEDY), "{mixed}");
    let late = refusal(|job| {
        let (counts, late) = timed(job).window(windows).aggregate_with_late(|ns| ns.count());
        counts.sink(Discard);
        counted(late, windows);
    });
    assert!(late.ends_with(REMEDY), "{late}");
    let late = refusal(|job| {
        let joined = pairs(timed(job), timed(job)).window(windows);
        let (rows, _, late) = joined.inner_with_late(|l, _| l);
        counted(rows.union(late), windows);
    });
    assert!(late.ends_with(REMEDY), "{late}");
    runs(|job| {
        let (counts, late) = timed(job).window(windows).aggregate_with_late(|ns| ns.count());
        counts.sink(Discard);
        counted(late.event_time(|n| Timestamp::from_millis(n as i64), 0.seconds()), windows);
    });
    let rows = refusal(|job| {
        let rows = numbers(job).join_table(timed(job), |n| n, |n| n, |n, _| n);
        counted(rows, windows);
    });
    assert!(rows.ends_with(REMEDY), "{rows}");
    let bad = refusal(|job| {
        let (_, bad) = job.source_with_bad(Nexmark::events(10));
        bad.window(windows).aggregate(|rows| rows.count()).sink(Discard);
    });
    assert!(bad.ends_with(REMEDY), "{bad}");
}

#[test]
fn all_that_lacks_event_times_is_said_once() {
    let error = refusal(|job| {
        let first = numbers(job).named("first").window(Tumbling::of(1.seconds()));
        let counts = first.aggregate(|ns| ns.count()).map(|count| count.value);
        counted(counts.named("behind the first"), Tumbling::of(2.seconds()));
        let other = numbers(job).named("other").window(Session::gap(1.seconds()));
        other.aggregate(|ns| ns.count()).sink(Discard);
    });
    let expected = format!(
        "job refused: 2 things are wrong: (1) first: its stream has no {REMEDY}; (2) other: its \
         stream has no {REMEDY}"
    );
    assert_eq!(error, expected);
}

/// Ten numbers, each with its time.
struct Punctual(u64);

impl Source for Punctual {
    type Record = u64;
    fn name(&self) -> String {
        "punctual".into()
    }
    fn has_event_times(&self) -> bool {
        true
    }
    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<u64>>>> {
        Ok(vec![Box::new(Punctual(self.0))])
    }
}

impl Split<u64> for Punctual {
    fn poll(&mut self, feed: &mut Feed<'_, u64>) -> Result<Progress> {
        self.0 += 1;
        feed.push_at(Timestamp::from_millis(self.0 as i64), self.0)?;
        Ok(if self.0 == 10 { Progress::Done } else { Progress::Busy })
    }
}

#[test]
fn sources_that_give_event_times_need_no_more() {
    let (sink, counts) = Collect::new();
    let job = Job::new("punctual").shards(2);
    let windows = job.source(Punctual(0)).window(Tumbling::of(5.millis()));
    windows.aggregate(|ns| ns.count()).map(|count| count.value).sink(sink);
    job.run().unwrap();
    assert_eq!(counts.sorted(), [1, 4, 5]);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    runs(|job| timed(job).sink(RecordLog::write(&log)));
    let logs = log.join("*.tlog").to_str().unwrap().to_owned();
    runs(|job| counted(job.source(RecordLog::read::<u64>(&logs)), Tumbling::of(1.seconds())));
    let window = |events: Stream<thalweg::connector::nexmark::Event>| {
        events.window(Tumbling::of(1.seconds())).aggregate(|ns| ns.count()).sink(Discard);
    };
    runs(|job| window(job.source(Nexmark::events(100))));
    runs(|job| window(job.source(Nexmark::events(100).record(2).unwrap())));
}

#[test]
fn windows_of_no_length_are_refused() {
    let (none, some) = (0.seconds(), 1.seconds());
    let span = |windows: &dyn Fn(&Job), what: &str| {
        let expected = format!(
            "job refused: window: the {what} is less than a microsecond; give a span such as \
             1.seconds()"
        );
        assert_eq!(refusal(windows), expected);
    };
    let length = "length of the windows";
    span(&|job| counted(timed(job), Tumbling::of(none)), length);
    span(&|job| counted(timed(job), Tumbling::of(none).offset(some)), length);
    span(&|job| counted(timed(job), Tumbling::of(std::time::Duration::from_nanos(999))), length);
    span(&|job| counted(timed(job), Sliding::of(none, some)), length);
    span(&|job| counted(timed(job), Sliding::of(some, none).offset(some)), "slide of the windows");
    span(&|job| counted(timed(job), Cumulating::of(none, some)), length);
    span(&|job| counted(timed(job), Cumulating::of(some, none)), "step of the windows");
    span(&|job| counted(timed(job), Session::gap(none)), "gap between sessions");
    let every = Global::trigger(Trigger::every(none));
    span(&|job| counted(timed(job), every), "span between results");
    let hour = Tumbling::of(1.hours());
    let early = "span between early results";
    span(
        &|job| {
            let windows = timed(job).window(hour).early_every(none);
            windows.aggregate(|ns| ns.count()).sink(Discard);
        },
        early,
    );
    span(
        &|job| {
            let windows = timed(job).window(hour).early_after(none);
            windows.aggregate(|ns| ns.count()).sink(Discard);
        },
        early,
    );
    let joined = refusal(|job| {
        let pairs = pairs(timed(job), timed(job)).window(Tumbling::of(none));
        pairs.inner(|l, _| l).sink(Discard);
    });
    assert!(joined.starts_with("job refused: window join: the length of the windows"), "{joined}");
}

#[test]
fn windows_of_no_records_are_refused() {
    let count = |windows: &dyn Fn(&Job), what: &str| {
        let expected = format!("job refused: window: the {what} is 0 records; give at least 1");
        assert_eq!(refusal(windows), expected);
    };
    count(&|job| counted(numbers(job), CountWindow::of(0)), "size of the windows");
    count(&|job| counted(numbers(job), CountWindow::sliding(2, 0)), "slide of the windows");
    let many = refusal(|job| counted(numbers(job), CountWindow::sliding(1_000_000, 1)));
    assert!(many.contains("each record of a key would be in 1000000 windows"), "{many}");
    let endless = refusal(|job| counted(numbers(job), CountWindow::sliding(u64::MAX, 1)));
    assert!(endless.contains("give a longer slide"), "{endless}");
    let every = Global::trigger(Trigger::every_n(0));
    count(&|job| counted(numbers(job), every), "number of records between results");
}

#[test]
fn lack_of_event_times_and_of_length_are_said_together() {
    let error = refusal(|job| counted(numbers(job), Tumbling::of(0.seconds())));
    assert!(error.contains("2 things are wrong: (1) window: its stream has no"), "{error}");
    assert!(error.contains("; (2) window: the length of the windows is less"), "{error}");
}

#[test]
fn windows_of_very_many_panes_are_refused() {
    let (ten, third) = (10.seconds(), std::time::Duration::from_micros(3_333_333));
    let panes = refusal(|job| counted(timed(job), Sliding::of(ten, third)));
    let expected = "job refused: window: a window of 10s is made of 10000000 panes of 1µs, the \
                    greatest length that divides both it and the slide of 3333333µs; at most \
                    131072 are allowed: give a slide that divides the length, such as 2500ms";
    assert_eq!(panes, expected);
    let joined = refusal(|job| {
        let pairs = pairs(timed(job), timed(job)).window(Sliding::of(ten, third));
        pairs.inner(|l, _| l).sink(Discard);
    });
    assert_eq!(joined, expected.replacen("window", "window join", 1));
    let sparse = refusal(|job| counted(timed(job), Sliding::of(ten, ten + 1.micros())));
    assert!(sparse.ends_with("give a slide that divides the length, such as 10s"), "{sparse}");
    let steps = refusal(|job| counted(timed(job), Cumulating::of(1.days(), 1.millis())));
    let expected = "job refused: window: a window of 1d is made of 86400000 panes of 1ms; at most \
                    131072 are allowed: give a longer step";
    assert_eq!(steps, expected);
    let early = refusal(|job| {
        let windows = timed(job).window(Tumbling::of(1.hours())).early_every(7.millis());
        windows.aggregate(|ns| ns.count()).sink(Discard);
    });
    let expected = "job refused: window: a window of 1h is made of 3600000 panes of 1ms, the \
                    greatest length that divides both its panes and the 7ms between early \
                    results; at most 131072 are allowed: give a longer span between them that \
                    divides 1h";
    assert_eq!(early, expected);
    runs(|job| counted(timed(job), Sliding::of(1.days(), 1.seconds())));
    runs(|job| counted(timed(job), Tumbling::of(365.days())));
}

#[test]
fn first_records_within_no_time_are_refused() {
    let expected = "job refused: first: the time that a key is remembered for is less than a \
                    microsecond; give a span such as 1.seconds()";
    let none = 0.seconds();
    let within = refusal(|job| timed(job).key_by(|n| n).first_within(none).sink(Discard));
    assert_eq!(within, expected);
    let by_time = refusal(|job| timed(job).key_by(|n| n).first_by_time(none).sink(Discard));
    assert_eq!(by_time, expected);
}

#[test]
fn an_error_shows_in_main_as_it_prints() {
    let job = Job::new("shown").shards(300);
    let error = job.start().err().unwrap();
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[test]
fn sinks_that_cannot_be_written_are_said_with_all_else() {
    let directory = tempfile::tempdir().unwrap();
    let (kept, file) = (directory.path().join("kept"), directory.path().join("file"));
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("part-0.csv"), "of yesterday\n").unwrap();
    std::fs::write(&file, "no directory\n").unwrap();
    let no_directory =
        format!("{} is no directory; name one for the sink to write", file.display());
    let error = refusal(|job| {
        counted(numbers(job), Tumbling::of(1.seconds()));
        numbers(job).sink(Files::to_csv(&kept));
        numbers(job).named("first").sink(Files::to_csv(&file));
        numbers(job).named("second").sink(RecordLog::write(file.join("in")));
    });
    assert!(error.contains("3 things are wrong: (1) window: its stream has no"), "{error}");
    assert!(error.contains(&format!("; (2) first: {no_directory}")), "{error}");
    assert!(error.contains(&format!("; (3) second: {no_directory}")), "{error}");
    // What is wrong with one sink costs no other one what is in its files.
    let error = refusal(|job| {
        numbers(job).sink(Files::to_csv(&kept));
        numbers(job).named("first").sink(Files::to_csv(&file));
    });
    assert_eq!(error, format!("job refused: first: {no_directory} files into"));
    let text = std::fs::read_to_string(kept.join("part-0.csv")).unwrap();
    assert_eq!(text, "of yesterday\n");
}

#[test]
fn a_number_of_shards_out_of_range_is_said_with_all_else() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("part-3.csv");
    std::fs::write(&old, "of yesterday\n").unwrap();
    for shards in [0, 257] {
        let job = Job::new("refused").shards(shards);
        counted(numbers(&job), Tumbling::of(1.seconds()));
        // How many of its files are too many can't be said.
        numbers(&job).sink(Files::to_csv(directory.path()));
        let error = job.start().err().unwrap().to_string();
        let expected = format!(
            "job refused: 2 things are wrong: (1) {shards} shards: give a number from 1 to 256; \
             (2) window: its stream has no {REMEDY}"
        );
        assert_eq!(error, expected);
    }
    assert!(!directory.path().join("part-0.csv").exists());
}

#[test]
fn streams_that_end_nowhere_are_refused() {
    const NOWHERE: &str = "its stream ends nowhere; end it with .sink(…), e.g. Stdout::csv(), or \
                           Discard where nobody needs it";
    let with_a_sink = |rest: &dyn Fn(&Job)| {
        refusal(|job| {
            job.source(Counter::to(3)).sink(Discard);
            rest(job);
        })
    };
    let source = with_a_sink(&|job| drop(numbers(job).map(|n| n + 1)));
    assert_eq!(source, format!("job refused: source counter to 100: {NOWHERE}"));
    let window = with_a_sink(&|job| {
        drop(timed(job).window(Tumbling::of(1.seconds())).aggregate(|ns| ns.count()));
    });
    assert_eq!(window, format!("job refused: window: {NOWHERE}"));
    let ways = with_a_sink(&|job| drop(numbers(job).split(|n| n > 3)));
    assert_eq!(ways, format!("job refused: split: {NOWHERE}"));
    let alone = refusal(|job| drop(numbers(job)));
    assert_eq!(alone, format!("job refused: source counter to 100: {NOWHERE}"));
    let both = with_a_sink(&|job| drop((numbers(job), numbers(job).settle())));
    assert_eq!(
        both,
        format!(
            "job refused: 2 things are wrong: (1) #2 source counter to 100: {NOWHERE}; (2) \
             settle: {NOWHERE}"
        )
    );
}

#[test]
fn outputs_beside_the_one_that_is_used_may_end_nowhere() {
    runs(|job| {
        let [small, _] = numbers(job).route(["small", "large"], |n| usize::from(n > 3));
        small.sink(Discard);
    });
    runs(|job| job.source_with_bad(Nexmark::events(10)).1.sink(Discard));
    runs(|job| {
        let windows = timed(job).window(Tumbling::of(1.seconds()));
        let (_, late) = windows.aggregate_with_late(|ns| ns.count());
        late.sink(Discard);
    });
}

#[test]
fn streams_of_two_jobs_are_all_that_is_said_of_them() {
    let other = Job::new("other");
    let error = refusal(|job| pairs(numbers(job), numbers(&other)).inner(|l, _| l).sink(Discard));
    assert!(error.starts_with("job refused: join: the streams are of two jobs"), "{error}");
}

#[test]
fn operators_of_one_name_are_told_apart_by_their_numbers() {
    let windows = Tumbling::of(1.seconds());
    let error = refusal(|job| {
        counted(numbers(job), windows);
        counted(numbers(job).settle(), windows);
        counted(numbers(job).named("third"), windows);
    });
    let expected = format!(
        "job refused: 3 things are wrong: (1) #1 window: its stream has no {REMEDY}; (2) #5 \
         window: its stream has no {REMEDY}; (3) third: its stream has no {REMEDY}"
    );
    assert_eq!(error, expected);
    let job = Job::new("numbered").shards(2);
    let odd = |n: u64| if n == 70 { panic!("odd one") } else { n };
    let thirds = timed(&job).settle().map(odd).window(windows);
    thirds.aggregate(|ns| ns.count()).sink(Discard);
    counted(timed(&job).settle(), windows);
    assert!(
        job.explain().to_string().contains("\n#2 window (tumbling 1s: count)\n"),
        "{}",
        job.explain()
    );
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains(": #2 window or the map before it: panicked: odd one"), "{error}");
}
