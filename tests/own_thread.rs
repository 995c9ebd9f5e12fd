//! A job whose handle is used, or dropped, on one of its own threads: nothing waits for itself.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use thalweg::connector::{Callback, Sender};
use thalweg::prelude::*;

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Auto];

/// What a closure does with the only handle to its job.
type Use = fn(Running) -> String;

/// Waits, for a minute at most, until something holds.
#[track_caller]
fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < 60.seconds(), "waited for a minute");
        thread::sleep(1.millis());
    }
}

/// Has a job's callback use the only handle to the job at the first record that comes when it is
/// there; gives what comes of it, and how senders hear of the job's end.
fn on_own_thread(job: Job, used: Use) -> (String, Sender<u64>) {
    let (mut sender, source) = Channel::source::<u64>(8);
    let handle = Arc::new(Mutex::new(None::<Running>));
    let (tell, told) = mpsc::channel();
    let own = handle.clone();
    job.source(source).sink(Callback::new::<u64>(move |_, _, _| {
        if let Some(running) = own.lock().unwrap().take() {
            tell.send(used(running)).unwrap();
        }
    }));
    *handle.lock().unwrap() = Some(job.start().unwrap());
    sender.send(1).unwrap();
    let said = told.recv_timeout(60.seconds()).expect("it hangs");
    (said, sender)
}

fn job(executor: Executor) -> Job {
    Job::new("own").shards(2).executor(executor).pin(false)
}

#[test]
fn a_handle_that_is_dropped_on_a_thread_of_its_job_stops_the_job() {
    let dropped: Use = |running| {
        drop(running);
        String::new()
    };
    let stopped: Use = |running| {
        running.stop();
        String::new()
    };
    for (executor, used) in EXECUTORS.iter().flat_map(|e| [dropped, stopped].map(|u| (*e, u))) {
        let (_, sender) = on_own_thread(job(executor), used);
        until(|| sender.is_ended());
        // Restarts are made by a thread of the job's, which waits for the shards.
        let directory = tempfile::tempdir().unwrap();
        let job = job(executor).checkpoints(directory.path(), 1.hours()).restart(Restart::times(1));
        let (_, sender) = on_own_thread(job, used);
        until(|| sender.is_ended());
    }
}

#[test]
fn whoever_would_wait_on_a_thread_of_the_job_is_told_so() {
    let joined: Use = |running| running.join().unwrap_err().to_string();
    let waited: Use = |running| {
        running.stop();
        let begin = Instant::now();
        assert!(!running.wait_for(1.hours()) && begin.elapsed() < 30.seconds());
        running.join().unwrap_err().to_string()
    };
    let saved: Use = |running| {
        let savepoint = running.savepoint("never").unwrap_err().to_string();
        assert!(savepoint.contains("savepoint waits for the job's threads"), "{savepoint}");
        running.checkpoint().unwrap_err().to_string()
    };
    for (executor, used, what) in EXECUTORS
        .iter()
        .flat_map(|e| [(joined, "join"), (waited, "join"), (saved, "checkpoint")].map(|u| (*e, u)))
        .map(|(executor, (used, what))| (executor, used, what))
    {
        let directory = tempfile::tempdir().unwrap();
        let job = job(executor).checkpoints(directory.path(), 1.hours());
        let (said, sender) = on_own_thread(job, used);
        let begins = format!("job own: {what} waits for the job's threads and was called on one");
        assert!(said.starts_with(&begins) && said.contains("shard"), "{said}");
        assert!(said.ends_with("call it on another thread"), "{said}");
        until(|| sender.is_ended());
    }
}

#[test]
fn a_handle_that_a_closure_holds_goes_with_the_closure() {
    for executor in EXECUTORS {
        let (mut sender, source) = Channel::source::<u64>(8);
        let handle = Arc::new(Mutex::new(None::<Running>));
        let (own, job) = (handle.clone(), job(executor));
        let (seen, end) = mpsc::channel();
        job.source(source).sink(Callback::new::<u64>(move |_, _, n| {
            let running = own.lock().unwrap();
            seen.send((n, running.is_some())).unwrap();
        }));
        *handle.lock().unwrap() = Some(job.start().unwrap());
        // What is left of it is on the shards, and they drop it.
        drop(handle);
        sender.send(7).unwrap();
        drop(sender);
        assert_eq!(end.recv_timeout(60.seconds()), Ok((7, true)));
        assert_eq!(end.recv_timeout(60.seconds()), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}

#[test]
fn a_shard_of_one_job_may_wait_for_another() {
    for executor in EXECUTORS {
        let (mut sender, source) = Channel::source::<u64>(8);
        let other = job(executor);
        other.source(source).sink(Discard);
        sender.send(1).unwrap();
        drop(sender);
        let other = Mutex::new(Some(other.start().unwrap()));
        let (tell, told) = mpsc::channel();
        let other = Arc::new(other);
        let job = job(executor);
        job.source(Memory::of([1_u64])).sink(Callback::new::<u64>(move |_, _, _| {
            let other = other.lock().unwrap().take().unwrap();
            tell.send(other.join().unwrap().records_read()).unwrap();
        }));
        let running = job.start().unwrap();
        assert_eq!(told.recv_timeout(60.seconds()), Ok(1));
        running.join().unwrap();
    }
}
