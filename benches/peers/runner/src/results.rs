//! What was measured, by query, workers and engine.

use crate::engine::Engine;
use crate::known;
use crate::options::Run;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use workload::Measurement;

/// A line of `results.jsonl`.
#[derive(Serialize)]
pub struct Line {
    repetition: u32,
    #[serde(flatten)]
    measured: Measurement,
    #[serde(skip)]
    engine: Engine,
}

/// All lines so far.
#[derive(Default)]
pub struct Results(Vec<Line>);

/// The repetitions of one query on one engine with one number of workers.
pub struct Summary {
    /// Million events per second, the greatest of the repetitions.
    pub best: f64,
    /// Million events per second.
    pub median: f64,
    /// Greatest less least, in percent of the median.
    pub spread: f64,
    pub repetitions: usize,
    /// The greatest peak of the repetitions in MiB, the input included.
    pub peak_mib: i64,
    pub input_mib: i64,
    pub rows: u64,
    pub digest: String,
}

impl Summary {
    fn new(lines: &[&Line]) -> Option<Summary> {
        let any = &lines.first()?.measured;
        let mut speeds: Vec<_> = lines.iter().map(|l| l.measured.events_per_s / 1e6).collect();
        speeds.sort_by(f64::total_cmp);
        let (least, best) = (*speeds.first()?, *speeds.last()?);
        let middle = speeds.len() / 2;
        let median = match speeds.len() % 2 {
            0 => (speeds[middle - 1] + speeds[middle]) / 2.0,
            _ => speeds[middle],
        };
        Some(Summary {
            best,
            median,
            spread: (best - least) / median * 100.0,
            repetitions: speeds.len(),
            peak_mib: lines.iter().map(|l| l.measured.peak_rss_mib).max()? as i64,
            input_mib: any.input_mib as i64,
            rows: any.rows,
            digest: any.digest.clone(),
        })
    }
}

impl Results {
    /// Adds a run's measurement; the line to write.
    pub fn add(&mut self, run: &Run, measured: Measurement) -> &Line {
        let line = Line { repetition: run.repetition, measured, engine: run.engine };
        self.0.push_mut(line)
    }

    /// The queries with their numbers of workers, in order.
    pub fn rows(&self) -> BTreeSet<(&str, usize)> {
        self.0.iter().map(|l| (&*l.measured.query, l.measured.workers)).collect()
    }

    /// The engines that gave a result, in order.
    pub fn engines(&self) -> BTreeSet<Engine> {
        self.0.iter().map(|l| l.engine).collect()
    }

    /// Nothing when no run of that kind succeeded.
    pub fn summary(&self, query: &str, workers: usize, engine: Engine) -> Option<Summary> {
        let is_it = |l: &&Line| {
            (&*l.measured.query, l.measured.workers, l.engine) == (query, workers, engine)
        };
        Summary::new(&self.0.iter().filter(is_it).collect::<Vec<_>>())
    }

    /// Whether all runs of the query gave the same rows, and those that are known.
    pub fn agree(&self, query: &str) -> bool {
        self.disagreement(base(query)).is_none()
    }

    /// One message for each query whose digests are not all the same, or not the known ones.
    pub fn disagreements(&self) -> Vec<String> {
        let queries: BTreeSet<_> = self.0.iter().map(|l| base(&l.measured.query)).collect();
        queries.into_iter().filter_map(|q| self.disagreement(q)).collect()
    }

    fn disagreement(&self, query: &str) -> Option<String> {
        let mut seen: BTreeMap<(u64, &str), BTreeSet<String>> = BTreeMap::new();
        for line in self.0.iter().filter(|l| base(&l.measured.query) == query) {
            let m = &line.measured;
            let who = format!("{} {} W={}", m.query, line.engine, m.workers);
            seen.entry((m.rows, &*m.digest)).or_default().insert(who);
            if let Some(known) = known::rows_and_digest(query, m.events) {
                seen.entry(known).or_default().insert("on record".into());
            }
        }
        if seen.len() <= 1 {
            return None;
        }
        let of_each: Vec<_> = seen
            .iter()
            .map(|((rows, digest), who)| {
                let who: Vec<_> = who.iter().map(|s| &**s).collect();
                format!("{digest} ({rows} rows): {}", who.join(", "))
            })
            .collect();
        Some(format!("{query}: digests differ: {}", of_each.join("; ")))
    }
}

/// The query without its variant, which must give the same rows.
fn base(query: &str) -> &str {
    query.split('-').next().unwrap_or(query)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Results of q5 over a thousand events: engine, workers, million events per second, digest.
    pub fn results(runs: &[(Engine, usize, f64, &str)]) -> Results {
        let mut results = Results::default();
        for &(engine, workers, speed, digest) in runs {
            let run = Run { repetition: 0, query: "q5".into(), workers, engine };
            let measured = Measurement {
                engine: engine.to_string(),
                query: "q5".into(),
                workers,
                events: 1000,
                seconds: 1.0,
                events_per_s: speed * 1e6,
                peak_rss_mib: 700 + speed as u64,
                input_mib: 610,
                rows: 3,
                digest: digest.into(),
            };
            results.add(&run, measured);
        }
        results
    }

    #[test]
    fn a_digest_that_differs_is_named() {
        let (timely, renoir) = (Engine::Timely, Engine::Renoir);
        let same = results(&[(timely, 1, 1.0, "a"), (renoir, 1, 1.0, "a"), (renoir, 2, 1.0, "a")]);
        assert!(same.agree("q5") && same.disagreements().is_empty());
        let one = results(&[(timely, 1, 1.0, "a"), (renoir, 1, 1.0, "a"), (renoir, 2, 1.0, "b")]);
        assert!(!one.agree("q5") && !one.agree("q5-raw"));
        let messages = one.disagreements();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].contains("b (3 rows): q5 renoir W=2"), "{messages:?}");
    }

    #[test]
    fn known_rows_are_held_against_all() {
        let mut wrong = results(&[(Engine::Timely, 1, 1.0, "ad9ffd2a1b70f593")]);
        wrong.0[0].measured.events = 10_000_000;
        assert!(wrong.disagreements()[0].contains("on record"));
        wrong.0[0].measured.rows = 550;
        assert!(wrong.agree("q5"));
    }

    #[test]
    fn a_summary_of_several_repetitions() {
        let t = Engine::Timely;
        let four = results(&[(t, 1, 8.0, ""), (t, 1, 2.0, ""), (t, 1, 4.0, ""), (t, 1, 6.0, "")]);
        let s = four.summary("q5", 1, t).expect("a summary");
        assert_eq!((s.best, s.median, s.spread), (8.0, 5.0, 120.0));
        assert_eq!((s.repetitions, s.peak_mib), (4, 708));
        assert!(four.summary("q5", 2, t).is_none());
    }
}
