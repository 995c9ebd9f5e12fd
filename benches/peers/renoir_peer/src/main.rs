//! The queries on Renoir's stream API.
//!
//! The aligned windows that the queries need are a `WindowDescription` of our own
//! ([`window::Aligned`]). Each source gives a watermark about once per second of event time.

mod flow;
mod queries;
mod window;

use queries::{q0, q1, q2, q3, q4, q5, q7, q8};
use renoir::prelude::*;
use std::time::Instant;
use workload::{Args, Digest, load, report};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args = Args::parse();
    let inputs = load(&args);
    let w = args.workers;
    let t0 = Instant::now();
    let env = StreamContext::new(RuntimeConfig::local(w as u64).expect("config"));
    let s = env
        .stream_par_iter(move |i, _| inputs[i as usize].iter().copied())
        .batch_mode(BatchMode::fixed(args.batch.unwrap_or(1024)));
    let out = match (args.query.as_str(), args.variant.as_deref()) {
        ("q0", None) => q0(s),
        ("q1", None) => q1(s),
        ("q2", None) => q2(s),
        ("q3", None) => q3(s),
        ("q4", None) => q4(s, w),
        ("q5", None) => q5(s, w),
        ("q7", None) => q7(s, w),
        ("q8", None) => q8(s, w),
        (q, v) => panic!("no query {q} {v:?}"),
    };
    env.execute_blocking();
    let mut d = Digest::default();
    for x in out.get().expect("no result") {
        d.merge(x);
    }
    report("renoir", &args, t0.elapsed().as_secs_f64(), d);
}
