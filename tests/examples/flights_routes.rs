//! The busiest routes of each day: `cargo run --example flights_routes -- flights.csv.gz`.
//!
//! Two windows in a row: the first counts the flights of each route, the second takes the counts
//! of a day together and keeps the greatest.

use thalweg::prelude::*;

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

fn main() -> Result {
    let path = std::env::args().nth(1).unwrap_or_else(|| "tests/data/flights.csv.gz".into());
    let job = Job::new("flights-routes");
    flights_routes(&job, &path).sink(Stdout::json());
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
