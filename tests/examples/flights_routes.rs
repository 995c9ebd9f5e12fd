//! The busiest routes of each day: `cargo run --example flights_routes -- flights.csv.gz`.
//!
//! Two windows in a row: the first counts the flights of each route, the second takes the counts
//! of a day together and keeps the greatest.

use clap::Parser;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

record! {
    /// A flight that has left.
    pub struct Flight {
        /// When it was to leave.
        pub scheduled: Timestamp,
        /// The airport that it left.
        pub origin: String,
        /// The airport that it flew to.
        pub destination: String,
    }
}

record! {
    /// A day and its busiest routes, each with its number of flights.
    pub struct Busiest {
        /// The start of the day.
        pub day: Timestamp,
        /// Number of flights and route, the busiest first.
        pub routes: Vec<(u64, String)>,
    }
}

/// The busiest routes of each day.
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
    let job = Job::new("flights-routes").shards(options.shards);
    flights_routes(&job, &options.path).sink(Stdout::json());
    job.run()?;
    Ok(())
}

/// The five busiest routes of each day; of equals the last in the alphabet.
pub fn flights_routes(job: &Job, path: &str) -> Stream<Busiest> {
    job.source(Files::csv::<Flight>(path))
        // A day waits for a whole day longer: hardly any flight is so much delayed.
        .event_time(|flight| flight.scheduled.to_native(), 1.days())
        .key_by(|flight| format!("{}-{}", flight.origin, flight.destination))
        .window(Tumbling::of(1.days()))
        .aggregate(|flights| flights.count())
        .window(Tumbling::of(1.days()))
        .aggregate(|routes| routes.top_n(5, |route| (route.value, route.key.to_owned())))
        .map(|day| {
            let routes = day.value.iter().map(|(n, route)| (n, route.to_owned())).collect();
            Busiest { day: day.start, routes }
        })
        .settle()
}
