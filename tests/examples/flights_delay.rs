//! The average delay of each airport in each hour of the plan, from flights in the order in which
//! they left: `cargo run --example flights_delay -- flights.csv.gz`.
//!
//! An hour is complete when a flight leaves that was to leave two hours after its end. Flights
//! that are more than two hours behind come too late for their hour; the last line counts them.

use clap::Parser;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

record! {
    /// A flight that has left. The file has more columns; those that are not named are skipped.
    pub struct Flight {
        /// When it was to leave.
        pub scheduled: Timestamp,
        /// Minutes that it left later; negative when earlier.
        pub delay_min: i32,
        /// The airport that it left.
        pub origin: String,
    }
}

record! {
    /// The flights that were to leave an airport in the hour from `hour` on.
    pub struct Delay {
        /// The airport.
        pub origin: String,
        /// The start of the hour.
        pub hour: Timestamp,
        /// How many flights.
        pub flights: u64,
        /// Their mean delay in minutes.
        pub delay_mean_min: f64,
    }
}

/// The average delay of each airport in each hour.
#[derive(Parser)]
pub struct Options {
    /// Flights in the order in which they left, as CSV.
    #[arg(default_value = "tests/data/flights.csv.gz")]
    pub path: String,
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    let job = Job::new("flights-delay").shards(options.shards);
    flights_delay(&job, &options.path).sink(Stdout::csv());
    let report = job.run()?;
    eprintln!("{} of {} flights came too late", report.late(), report.records_read());
    Ok(())
}

/// A row for every airport and hour with flights.
pub fn flights_delay(job: &Job, path: &str) -> Stream<Delay> {
    job.source(Files::csv::<Flight>(path))
        .event_time(|flight| flight.scheduled.to_native(), 2.hours())
        .key_by_ref(|flight| flight.origin.as_str())
        .window(Tumbling::of(1.hours()))
        .aggregate(|flights| {
            (flights.count(), flights.mean(|flight| flight.delay_min.to_native().into()))
        })
        .map(|hour| {
            let (flights, delay_mean_min) = hour.value;
            Delay { origin: hour.key.to_owned(), hour: hour.start, flights, delay_mean_min }
        })
        .settle()
}
