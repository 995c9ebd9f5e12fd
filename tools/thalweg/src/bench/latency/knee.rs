//! Where latency begins to rise: the knee of a table of rates.

use super::row::{Row, readable_ns};
use crate::bench::report::readable_rate;

/// How many times the least 99th percentile of lower rates a rate may have and still be before the
/// knee. The rates of a ladder differ by a factor of two and less; a job far from saturation has
/// nearly the same latency at all of them.
pub const RISE_MAX: f64 = 3.0;

/// The last rate before the knee: up to it the job keeps up and the 99th percentile is not much
/// above the least one. One bad rate alone, with good ones above it, is the machine's doing and
/// not the job's. `None` if the job keeps up with no rate. Rows are sorted by rate.
pub fn knee(rows: &[Row]) -> Option<usize> {
    let mut least = u64::MAX;
    let mut last = None;
    for (at, row) in rows.iter().enumerate() {
        if row.fell_behind || row.latency.count == 0 {
            continue;
        }
        least = least.min(row.latency.p99_ns);
        if row.latency.p99_ns as f64 <= least as f64 * RISE_MAX {
            last = Some(at);
        }
    }
    last
}

/// The knee in words.
pub fn in_words(rows: &[Row]) -> String {
    if rows.iter().all(|row| row.latency.count == 0) {
        return "knee: not known; no result was due in the measured time, give it longer by --for"
            .into();
    }
    let Some(at) = knee(rows) else {
        return "knee: below all these rates; the job kept up with none of them".into();
    };
    let row = &rows[at];
    let (rate, p99) = (readable_rate(row.rate), readable_ns(row.latency.p99_ns));
    let before = format!("knee: {rate} records/s; up to it 99 of 100 results leave within {p99}");
    let Some(next) = rows.get(at + 1) else {
        return format!("{before}, and no higher rate was measured");
    };
    let rate = readable_rate(next.rate);
    if next.fell_behind {
        return format!("{before}, and at {rate} records/s the job falls behind");
    }
    let p99 = readable_ns(next.latency.p99_ns);
    format!("{before}, at {rate} records/s it is {p99}")
}

#[cfg(test)]
mod tests {
    use super::super::row::Percentiles;
    use super::*;

    /// Rows at 1, 2, 4, … thousand records/s, with these 99th percentiles in µs; 0: fell behind.
    fn rows(p99s_us: &[u64]) -> Vec<Row> {
        let row = |(at, p99_us): (usize, &u64)| {
            let latency =
                Percentiles { count: 1_000, p99_ns: p99_us * 1_000, ..Percentiles::default() };
            let rate = 1_000.0 * f64::from(1_u32 << at);
            Row { rate, latency, lag_ns_max: 0, fell_behind: *p99_us == 0, median_trips: None }
        };
        p99s_us.iter().enumerate().map(row).collect()
    }

    #[test]
    fn the_knee_is_the_last_rate_before_latency_rises() {
        assert_eq!(knee(&rows(&[10, 11, 10, 14, 20, 200, 0])), Some(4));
        assert_eq!(knee(&rows(&[10, 11, 10])), Some(2));
        assert_eq!(knee(&rows(&[10, 0, 0])), Some(0));
        assert_eq!(knee(&rows(&[0, 0])), None);
        assert_eq!(knee(&[]), None);
        // A stall of the machine at a low rate.
        assert_eq!(knee(&rows(&[10, 5_000, 10, 12, 300])), Some(3));
        // Batches at higher rates may even make it faster.
        assert_eq!(knee(&rows(&[40, 20, 10, 29, 31, 500])), Some(3));
    }

    #[test]
    fn the_knee_is_told_with_what_comes_after_it() {
        let words = in_words(&rows(&[10, 12, 900]));
        let before = "knee: 2.0 k records/s; up to it 99 of 100 results leave within 12.0 us";
        assert_eq!(words, format!("{before}, at 4.0 k records/s it is 900 us"));
        let words = in_words(&rows(&[10, 12, 0]));
        assert_eq!(words, format!("{before}, and at 4.0 k records/s the job falls behind"));
        assert!(in_words(&rows(&[10])).ends_with("no higher rate was measured"));
        assert!(
            in_words(&rows(&[0])).starts_with("knee: not known") || knee(&rows(&[0])).is_none()
        );
        assert!(in_words(&[]).starts_with("knee: not known"));
    }
}
