//! Jobs that go on from their checkpoints: after a stop, after a failure, on other shards; and
//! what is said of a directory that does not fit.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use thalweg::connector::Collected;
use thalweg::operator::Source;
use thalweg::prelude::*;

#[path = "support/chains.rs"]
mod chains;
use chains::{Gated, wait_for};

/// Numbers per key: how many, and their sum.
type Totals = Vec<(u64, (u64, u64))>;

fn totals_of(end: u64) -> Totals {
    let of = |key: u64| (0..end).filter(move |n| n % 7 == key);
    (0..7).map(|key| (key, (of(key).count() as u64, of(key).sum()))).collect()
}

/// Gives every number twice: as it is, and summed up by key at the end. Fails when asked to.
fn job(shards: usize, state: &Path, end: u64) -> Made {
    job_of(shards, state, Counter::to(end))
}

fn job_of(shards: usize, state: &Path, numbers: impl Source<Record = u64> + 'static) -> Made {
    let job = Job::new("totals").shards(shards).checkpoints(state, 1.days());
    let (all, each) = Collect::new();
    let (sums, totals) = Collect::new();
    let numbers = job.source(numbers);
    let fails = Arc::new(AtomicBool::new(false));
    let asked = fails.clone();
    let numbers = numbers.inspect(move |_| assert!(!asked.load(Relaxed), "as was asked for"));
    numbers.clone().rebalance().map(|n| n).sink(all);
    numbers.key_by(|n| n % 7).aggregate_final(|ns| (ns.count(), ns.sum(|n| n))).sink(sums);
    Made { job, each, totals, fails }
}

struct Made {
    job: Job,
    each: Collected<u64>,
    totals: Collected<(u64, (u64, u64))>,
    fails: Arc<AtomicBool>,
}

#[test]
fn a_stopped_job_goes_on_on_any_number_of_shards() {
    let (end, directory) = (2_000_000, tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    let (gate, mut all) = (Gated::to(end, 0), Vec::new());
    for shards in [1, 4, 2, 8] {
        let Made { job, each, totals, .. } = job_of(shards, &state, gate.clone());
        let running = job.start().unwrap();
        gate.pass(&running, 20_000);
        let epoch = running.checkpoint().unwrap();
        assert_eq!(running.checkpoint().unwrap(), epoch + 1);
        running.stop();
        running.join().unwrap();
        all.extend(each.sorted());
        assert!(totals.sorted().is_empty(), "it has not come to its end");
    }
    gate.open(end);
    let Made { job, each, totals, .. } = job_of(2, &state, gate);
    assert!(job.run().unwrap().records_read() < end - 80_000);
    all.extend(each.sorted());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..end));
    assert_eq!(totals.sorted(), totals_of(end));
    // What each shard saved last, and what of it had not changed since.
    assert!(fs::read_dir(&state).unwrap().count() < 8 * 32, "files that nothing needs go");
}

#[test]
fn a_job_that_has_ended_does_nothing_when_it_is_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    for expected in [totals_of(1_000), Vec::new()] {
        let Made { job, each, totals, .. } = job(2, directory.path(), 1_000);
        job.run().unwrap();
        assert_eq!(each.sorted().is_empty(), expected.is_empty());
        assert_eq!(totals.sorted(), expected);
    }
}

#[test]
fn a_failed_job_goes_on_from_its_last_checkpoint() {
    let end = 2_000_000;
    for shards in [1, 2, 4, 8] {
        let (directory, gate) = (tempfile::tempdir().unwrap(), Gated::to(end, 0));
        for _ in 0..3 {
            let made = job_of(shards, directory.path(), gate.clone());
            let running = made.job.start().unwrap();
            gate.pass(&running, 1_000);
            running.checkpoint().unwrap();
            gate.pass(&running, 5_000);
            made.fails.store(true, Relaxed);
            gate.open(1_000);
            let error = running.join().unwrap_err().to_string();
            assert!(error.contains("as was asked for"), "{error}");
        }
        gate.open(end);
        let Made { job, totals, .. } = job_of(shards, directory.path(), gate);
        assert!(job.run().unwrap().records_read() < end);
        assert_eq!(totals.sorted(), totals_of(end));
    }
}

#[test]
fn a_job_is_restarted_within_the_process() {
    for shards in [1, 2, 4, 8] {
        let directory = tempfile::tempdir().unwrap();
        let job = Job::new("restarted").shards(shards).restart(Restart::times(2));
        let job = job.checkpoints(directory.path(), 2.millis());
        let failures = Arc::new(AtomicU64::new(0));
        let (sums, totals) = Collect::new();
        let numbers = job.source(Counter::to(400_000).rate(1e6));
        let count = failures.clone();
        // The fifth time it passes.
        let fragile = move |n: u64| {
            let fails = n == 200_000 && count.fetch_add(1, Relaxed) < 4;
            assert!(!fails, "as was asked for");
            n
        };
        let numbers = numbers.map(fragile).key_by(|n| n % 7);
        numbers.aggregate_final(|ns| (ns.count(), ns.sum(|n| n))).sink(sums);
        let running = job.start().unwrap();
        while !running.wait_for(5.millis()) {}
        let failed = running.metrics().failures.len();
        match running.join() {
            // A checkpoint was made between two of the failures.
            Ok(report) => {
                assert_eq!(report.failures.len(), 4);
                assert!(report.to_string().contains("restarts: 4, the last after: shard"));
                assert_eq!(totals.sorted(), totals_of(400_000));
            }
            Err(error) => {
                assert_eq!(failed, failures.load(Relaxed) as usize - 1);
                assert!(error.to_string().contains("as was asked for"), "{error}");
            }
        }
    }
}

/// Whoever asks for a checkpoint while the job fails gets it when the job has begun again; and an
/// error once it is over. The next one by time would be made in a day.
#[test]
fn checkpoints_that_are_asked_for_outlive_failures() {
    for shards in [1, 2, 4] {
        let directory = tempfile::tempdir().unwrap();
        let (state, own) = (directory.path().join("state"), directory.path());
        let restart = Restart::always().pause(1.millis(), 2.millis());
        let job = Job::new("asked").shards(shards).restart(restart).checkpoints(&state, 1.days());
        let fails = Arc::new(AtomicU64::new(0));
        let count = fails.clone();
        let numbers = job.source(Counter::endless().rate(1e5)).inspect(move |_| {
            let fails = count.try_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            assert!(fails.is_err(), "as was asked for");
        });
        numbers.sink(Discard);
        let running = job.start().unwrap();
        let own = own.to_owned();
        let asked = std::thread::spawn(move || {
            for n in 0..20 {
                fails.store(n % 3, Relaxed);
                running.checkpoint().unwrap();
                fails.store(n % 3, Relaxed);
                running.savepoint(own.join(format!("kept-{n}"))).unwrap();
            }
            running
        });
        let begun = Instant::now();
        while !asked.is_finished() {
            assert!(begun.elapsed() < 60.seconds(), "it hangs");
            std::thread::sleep(5.millis());
        }
        let running = asked.join().unwrap();
        assert!(running.metrics().restarts > 0);
        let last = running.checkpoint().unwrap();
        running.stop();
        assert!(running.join().is_ok() && last > 40);
    }
}

#[test]
fn what_fails_too_often_ends() {
    let directory = tempfile::tempdir().unwrap();
    let job = |times| {
        let job = Job::new("fails").shards(2).restart(Restart::times(times));
        let numbers = job.source(Counter::to(1_000)).inspect(|n| assert_ne!(n, 500, "no"));
        numbers.sink(Discard);
        job
    };
    let error = refusal(job(1));
    assert!(error.contains("a job is restarted from its checkpoints, and has none"), "{error}");
    for times in [0, 1, 5] {
        let running = job(times).checkpoints(directory.path(), 1.days()).start().unwrap();
        while !running.wait_for(5.millis()) {}
        assert_eq!(running.metrics().failures.len(), times as usize);
        let error = running.join().unwrap_err().to_string();
        assert!(error.contains("panicked: ") && error.contains("no"), "{error}");
        let given_up = match times {
            0 => "",
            1 => "given up after 1 restart",
            _ => "given up after 5 restarts",
        };
        assert!(error.contains(given_up) && (times > 0) == error.contains("given up"), "{error}");
    }
    // While it waits to be started again it can be stopped.
    let patient = Restart::always().pause(1.days(), 1.days());
    let job = job(0).restart(patient).checkpoints(directory.path(), 1.days());
    let running = job.start().unwrap();
    assert!(!running.wait_for(100.millis()));
    running.stop();
    assert!(running.join().is_err());
}

#[test]
fn barriers_pass_while_records_wait_for_room() {
    // One branch is slow, so that the rings before it are full when the barriers come.
    for shards in [1, 2, 4, 8] {
        let directory = tempfile::tempdir().unwrap();
        let taken = Arc::new(AtomicU64::new(0));
        let job = Job::new("slow").shards(shards).checkpoints(directory.path(), 5.millis());
        let numbers = job.source(Counter::to(300_000));
        let (sink, sums) = Collect::new();
        numbers.clone().key_by(|n| n % 7).aggregate_final(|ns| ns.count()).sink(sink);
        let count = taken.clone();
        let slow = Callback::new(move |_, _, _: u64| {
            if count.fetch_add(1, Relaxed).is_multiple_of(1_000) {
                std::thread::sleep(100.micros());
            }
        });
        numbers.gather().sink(slow);
        job.run().unwrap();
        assert_eq!(taken.load(Relaxed), 300_000);
        assert_eq!(sums.sorted().iter().map(|(_, count)| count).sum::<u64>(), 300_000);
    }
}

#[test]
fn a_savepoint_outlives_the_job() {
    let directory = tempfile::tempdir().unwrap();
    let (state, kept) = (directory.path().join("state"), directory.path().join("kept"));
    let gate = Gated::to(300_000, 0);
    let running = job_of(2, &state, gate.clone()).job.start().unwrap();
    gate.pass(&running, 10_000);
    assert_eq!(running.savepoint(&kept).unwrap(), 1);
    let error = running.savepoint(&kept).unwrap_err().to_string();
    assert!(error.contains("kept: the directory is not empty"), "{error}");
    gate.open(300_000);
    running.join().unwrap();
    fs::remove_dir_all(&state).unwrap();
    for shards in [3, 1] {
        let Made { job, totals, .. } = job_of(shards, &kept, gate.clone());
        let report = job.run().unwrap();
        assert_eq!(report.had_ended, shards == 1, "{report}");
        let expected = if shards == 3 { totals_of(300_000) } else { Vec::new() };
        assert_eq!(totals.sorted(), expected, "then it has ended");
    }
    let without = Job::new("without").shards(1);
    without.source(Counter::endless()).sink(Discard);
    let error = without.start().unwrap().savepoint(&state).unwrap_err().to_string();
    assert!(error.contains("give it some by .checkpoints(directory, every)"), "{error}");
}

#[test]
fn what_is_left_of_an_older_run_makes_no_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let running = job(2, directory.path(), u64::MAX).job.start().unwrap();
    running.checkpoint().unwrap();
    // As if another machine had taken the directory over, whose locks are not seen here.
    fs::write(directory.path().join("LOCK"), "2\n").unwrap();
    let its = directory.path().join("state-00000002-0-2");
    fs::write(&its, "what it is saving").unwrap();
    running.checkpoint().unwrap_err();
    assert_eq!(fs::read_to_string(its).unwrap(), "what it is saving");
    let error = running.join().unwrap_err().to_string();
    assert!(error.contains("was taken over by a run with term 2, and this one has 1"), "{error}");
}

fn refusal(job: Job) -> String {
    job.start().err().expect("it is refused").to_string()
}

#[test]
fn what_does_not_fit_a_checkpoint_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let stopped = |made: Made| {
        let running = made.job.start().unwrap();
        wait_for(&running, 1_000);
        running.stop();
        running.join().unwrap();
    };
    stopped(job(2, &state, 100_000_000));
    let checkpointed = |name: &str| Job::new(name).shards(2).checkpoints(&state, 1.days());

    let other = checkpointed("others");
    other.source(Counter::to(100_000_000)).sink(Discard);
    let said = refusal(other);
    assert!(said.contains("is of job totals; give this job a directory of its own"), "{said}");

    let removed = checkpointed("totals");
    removed.source(Counter::to(100_000_000)).sink(Discard);
    let said = refusal(removed);
    assert!(said.contains("there is no operator aggregate any more"), "{said}");

    let changed = checkpointed("totals");
    let numbers = changed.source(Counter::to(100_000_000));
    numbers.key_by(|n| n % 7).aggregate_final(|ns| ns.count()).sink(Discard);
    let said = refusal(changed);
    assert!(said.contains("aggregate: totals was saved as"), "{said}");

    let windows = directory.path().join("windows");
    let counted = |seconds: u64| {
        let job = Job::new("windows").shards(2).checkpoints(&windows, 1.days());
        let at = |n: u64| Timestamp::from_millis(n.cast_signed());
        let numbers = job.source(Counter::to(100_000_000)).event_time(at, 0.seconds());
        let windows = numbers.window(Tumbling::of(seconds.seconds()));
        windows.aggregate(|ns| ns.count()).sink(Discard);
        job
    };
    let running = counted(3_600).start().unwrap();
    wait_for(&running, 1_000);
    running.stop();
    running.join().unwrap();
    let said = refusal(counted(60));
    let wanted = "was saved when it was asked for (tumbling 1h: count), and now for \
                  (tumbling 1min: count); ask";
    assert!(said.contains(wanted), "{said}");

    let used = job(2, &state, 100_000_000).job.start().unwrap();
    let said = refusal(job(2, &state, 100_000_000).job);
    assert!(said.contains("another job uses the state directory"), "{said}");
    used.stop();
    used.join().unwrap();

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal(job(2, &file, 1).job);
    assert!(said.contains("opening the state directory"), "{said}");
}

/// A count is no sum, although both are numbers of one type.
#[test]
fn state_of_another_aggregate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let totals = directory.path();
    let total = |sum: bool| {
        let job = Job::new("totals").shards(2).checkpoints(totals, 1.days());
        let keyed = job.source(Counter::to(100_000_000)).key_by(|n| n % 7);
        match sum {
            true => keyed.aggregate_final(|ns| ns.sum(|n| n)).sink(Discard),
            false => keyed.aggregate_final(|ns| ns.count()).sink(Discard),
        }
        job
    };
    let running = total(false).start().unwrap();
    wait_for(&running, 1_000);
    running.stop();
    running.join().unwrap();
    let said = refusal(total(true));
    let wanted =
        "was saved when it was asked for (at the end: count), and now for (at the end: sum)";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn damaged_files_are_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let running = job(2, state, 100_000_000).job.start().unwrap();
    wait_for(&running, 1_000);
    running.checkpoint().unwrap();
    running.stop();
    running.join().unwrap();
    let newest = |name: &str| name.starts_with("manifest") || name.starts_with("state-00000002");
    let files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| newest(path.file_name().unwrap().to_str().unwrap()));
    let files: Vec<_> = files.collect();
    assert_eq!(files.len(), 4);
    let refused = |path: &Path| {
        let said = refusal(job(2, state, 100_000_000).job);
        let named = said.contains(path.to_str().unwrap());
        assert!(named, "{said}");
    };
    for path in files {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).unwrap();
            refused(&path);
            if at % 5 == 0 {
                fs::write(&path, &whole[..at]).unwrap();
                refused(&path);
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    job(2, state, 100_000_000).job.start().unwrap().stop();
}

/// A slot that can't be read may hold the newest checkpoint: the other one is no way out, and none
/// at all no reason to begin anew.
#[test]
fn a_manifest_that_cannot_be_read_is_not_taken_for_none() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let end = 100_000_000;
    let running = job(2, &state, end).job.start().unwrap();
    wait_for(&running, 1_000);
    running.checkpoint().unwrap();
    running.stop();
    running.join().unwrap();
    let slots = ["manifest-0", "manifest-1"].map(|name| state.join(name));
    let away = |slot: &Path| directory.path().join(slot.file_name().unwrap());
    let kinds: [fn(&Path); 2] = [
        |slot| fs::create_dir(slot).unwrap(),
        |slot| std::os::unix::fs::symlink(slot, slot).unwrap(),
    ];
    for unreadable in [&slots[..1], &slots[1..], &slots[..]] {
        for kind in kinds {
            for slot in unreadable {
                fs::rename(slot, away(slot)).unwrap();
                kind(slot);
            }
            let said = refusal(job(2, &state, end).job);
            let wanted = format!("reading {}: ", unreadable[0].display());
            assert!(said.contains(&wanted), "{said}");
            for slot in unreadable {
                let _ = fs::remove_dir(slot).or_else(|_| fs::remove_file(slot));
                fs::rename(away(slot), slot).unwrap();
            }
        }
    }
    // Nothing was changed: it goes on behind what it had read.
    let running = job(2, &state, end).job.start().unwrap();
    assert_eq!(running.checkpoint().unwrap(), 3);
    running.stop();
    running.join().unwrap();
}

#[test]
fn a_manifest_names_files_of_its_directory_alone() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let running = job(1, &state, 100_000_000).job.start().unwrap();
    running.checkpoint().unwrap();
    running.stop();
    running.join().unwrap();
    let path = state.join("manifest-0");
    let text = fs::read_to_string(&path).unwrap();
    let (title, body) = text.split_once('\n').unwrap();
    let (file, version) = ("state-00000002-0-1", title.split(' ').nth(1).unwrap());
    assert!(body.contains(file));
    fs::copy(state.join(file), directory.path().join(file)).unwrap();
    for other in [format!("../{file}"), directory.path().join(file).display().to_string()] {
        let body = body.replace(file, &other);
        let crc = crc32fast::hash(body.as_bytes());
        let name = title.split(' ').next().unwrap();
        fs::write(&path, format!("{name} {version} {crc:08x} {}\n{body}", body.len())).unwrap();
        let said = refusal(job(1, &state, 100_000_000).job);
        assert!(said.contains("which is no file's name"), "{said}");
    }
}
