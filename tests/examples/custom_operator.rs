//! An operator of one's own: it turns readings into the spans in which a sensor was too hot.
//! `thalweg::testing::verify` checks it, see `tests/examples.rs`.

use clap::Parser;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

record! {
    /// What a sensor measured.
    pub struct Reading {
        /// Which sensor.
        pub sensor: u32,
        /// The temperature.
        pub celsius: f32,
        /// When.
        pub at: Timestamp,
    }
}

record! {
    /// A sensor was above the limit from `from` until `until`.
    #[derive(Eq)]
    pub struct Heat {
        /// Which sensor.
        pub sensor: u32,
        /// The first hot reading.
        pub from: Timestamp,
        /// The first reading that is cool again.
        pub until: Timestamp,
    }
}

/// The spans in which a sensor was too hot.
#[derive(Parser)]
pub struct Options {
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    let wave = |i: u32| Reading {
        sensor: i % 3,
        celsius: 60.0 + 30.0 * (i as f32 / 20.0).sin(),
        at: Timestamp::from_millis(i64::from(i) * 500),
    };
    let job = Job::new("heat").shards(options.shards);
    heats(job.source(Memory::of((0..600).map(wave)).splits(1)), 80.0).sink(Stdout::csv());
    job.run()?;
    Ok(())
}

/// The spans above `limit`; each comes out with the first reading that is cool again. It takes
/// the readings of a sensor in order, as one split has them.
pub fn heats<C: Chain<Out = Reading>>(readings: Stream<Reading, C>, limit: f32) -> Stream<Heat> {
    readings.key_by(|reading| reading.sensor).process::<Option<Timestamp>, Heat>(
        move |since, reading, ctx| match *since {
            None if reading.celsius > limit => *since = Some(reading.at),
            Some(from) if reading.celsius <= limit => {
                ctx.give(&Heat { sensor: reading.sensor, from, until: reading.at });
                *since = None;
            }
            None | Some(_) => {}
        },
        |_, _, _| {},
    )
}
