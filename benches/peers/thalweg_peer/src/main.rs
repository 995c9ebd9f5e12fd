//! The queries on thalweg, written as a user of its public API writes them.

mod ends;
mod queries;

use ends::{Digested, Slices};
use thalweg::prelude::*;
use workload::Args;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of shards and the executor as the command line says.
fn job(args: &Args) -> Job {
    let executor = match args.executor.as_deref() {
        None | Some("threads") => Executor::Threads,
        Some("glommio") => Executor::Glommio,
        Some(other) => panic!("no executor {other}"),
    };
    Job::new(args.name()).shards(args.workers).executor(executor)
}

fn main() {
    let args = Args::parse();
    let inputs = workload::load(&args);
    let job = job(&args);
    let digest = Digested::default();
    let events = job.source(Slices(inputs));
    match args.query.as_str() {
        "q0" => queries::q0(events, digest.clone()),
        "q1" => queries::q1(events, digest.clone()),
        "q2" => queries::q2(events, digest.clone()),
        "q3" => queries::q3(events, digest.clone()),
        "q4" => queries::q4(events, digest.clone()),
        "q5" => queries::q5(events, digest.clone()),
        "q7" => queries::q7(events, digest.clone()),
        "q8" => queries::q8(events, digest.clone()),
        query => panic!("no query {query}"),
    }
    let begin = std::time::Instant::now();
    job.run().unwrap_or_else(|error| panic!("{error}"));
    workload::report("thalweg", &args, begin.elapsed().as_secs_f64(), digest.get());
}
