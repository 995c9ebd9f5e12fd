//! What a job tells through `tracing`, and that it does nothing to the process unasked. Alone in
//! its process, which has one subscriber.
#![allow(clippy::unwrap_used)]

use std::fmt::{Debug, Write};
use std::fs;
use std::sync::{Arc, Mutex};

use thalweg::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps a line for each event.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "thalweg" {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Lines {
    /// Those that came since the last look; what follows an error's colon is cut off.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Which signals the process has handlers for.
fn handlers() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("SigCgt")).unwrap().to_owned()
}

#[test]
fn a_job_tells_what_becomes_of_it() {
    let before = handlers();
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    for executor in [Executor::Threads, Executor::Auto] {
        let chosen = executor.choose().unwrap();
        let job = |name: &str| Job::new(name).shards(2).executor(executor).pin(false);
        let started = |name: &str| {
            format!("INFO message=job started job=\"{name}\" shards=2 executor={chosen}")
        };

        let ends = job("ends");
        ends.source(Counter::to(10)).sink(Discard);
        ends.run().unwrap();
        let ended = "INFO message=job ended job=\"ends\" stopped=false".to_owned();
        assert_eq!(lines.take(), [started("ends"), ended]);

        let directory = tempfile::tempdir().unwrap();
        let stops = job("stops").checkpoints(directory.path(), 60.seconds());
        stops.source(Counter::endless().rate(1e3)).sink(Discard);
        let running = stops.start().unwrap();
        running.checkpoint().unwrap();
        running.stop();
        running.join().unwrap();
        let made = |n| format!("DEBUG message=checkpoint made job=\"stops\" epoch={n}");
        let ended = "INFO message=job ended job=\"stops\" stopped=true".to_owned();
        assert_eq!(lines.take(), [started("stops"), made(1), made(2), ended]);

        let directory = tempfile::tempdir().unwrap();
        let fails = job("fails").checkpoints(directory.path(), 60.seconds());
        let fails = fails.restart(Restart::times(1));
        let numbers = fails.source(Counter::to(10).splits(1));
        numbers.inspect(|n| assert!(n < 9, "on purpose")).sink(Discard);
        fails.run().unwrap_err();
        let told = lines.take();
        let error = "panicked: on purpose";
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], started("fails"));
        let restarts = "WARN message=job restarts job=\"fails\" restarts=1 error=shard ";
        assert!(told[1].starts_with(restarts) && told[1].ends_with(error), "{told:?}");
        let failed =
            "ERROR message=job failed job=\"fails\" error=given up after 1 restart: shard ";
        assert!(told[2].starts_with(failed) && told[2].ends_with(error), "{told:?}");

        let refused = job("refused");
        refused.source(Files::lines("no/such/file")).sink(Discard);
        refused.start().err().unwrap();
        assert_eq!(lines.take(), [""; 0], "`start` has said it");
    }
    assert_eq!(handlers(), before, "jobs took signals unasked");
}
