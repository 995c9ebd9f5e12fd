//! The queries as timely dataflow operators: exchange pacts, capabilities and frontiers.
//!
//! The timestamp is event time in milliseconds. The source sends `--batch` events (1024 without
//! the option) per activation under the capability for the first one's time.

mod flow;
mod queries;

use flow::{Shared, events};
use queries::{q0, q1, q2, q3, q4, q5, q7, q8};
use std::time::Instant;
use workload::{Args, Digest, load, report};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args = Args::parse();
    let inputs = load(&args);
    let config = match args.workers {
        1 => timely::Config::thread(),
        n => timely::Config::process(n),
    };
    let (query, variant) = (args.query.clone(), args.variant.clone());
    let batch = args.batch.unwrap_or(1024);
    let t0 = Instant::now();
    let guards = timely::execute(config, move |worker| {
        let d = Shared::default();
        let input = inputs[worker.index()];
        worker.dataflow::<u64, _, _>(|scope| {
            let s = events(scope, input, batch);
            let d = d.clone();
            match (query.as_str(), variant.as_deref()) {
                ("q0", None) => q0(s, d),
                ("q1", None) => q1(s, d),
                ("q2", None) => q2(s, d),
                ("q3", None) => q3(s, d),
                ("q4", None) => q4(s, d),
                ("q5", None) => q5(s, d, true),
                ("q5", Some("raw")) => q5(s, d, false),
                ("q7", None) => q7(s, d),
                ("q8", None) => q8(s, d),
                (q, v) => panic!("no query {q} {v:?}"),
            }
        });
        while worker.step() {}
        d.take()
    })
    .expect("timely");
    let mut d = Digest::default();
    for r in guards.join() {
        d.merge(r.expect("a worker panicked"));
    }
    report("timely", &args, t0.elapsed().as_secs_f64(), d);
}
