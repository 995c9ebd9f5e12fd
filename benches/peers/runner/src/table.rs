//! The tables: thalweg's ratios, and each engine's own numbers.

use crate::engine::Engine;
use crate::floor;
use crate::results::{Results, Summary};
use comfy_table::{CellAlignment, Table, TableStyle, presets};

/// Where there is nothing to say.
const NONE: &str = "–";

const LEGEND: &str = "\
Throughput in million events/s, best (median) of the repetitions; a ratio is thalweg's throughput \
divided by the other's, so more is better. Memory is the peak in MiB.";

const MARK_LEGEND: &str = "* misses what thalweg must at least reach.";

/// Both tables, for a terminal; the ratios last. `judge` marks what misses its floor.
pub fn terminal(results: &Results, judge: bool) -> String {
    let style = presets::UTF8_FULL_CONDENSED;
    let (engines, ratios) = (engines(results, style), ratios(results, style, judge));
    let marks = if judge { MARK_LEGEND } else { "" };
    format!("{engines}\n{ratios}\n{LEGEND}\n{marks}")
}

/// The page `results.md`.
pub fn markdown(results: &Results, machine: &str, judge: bool) -> String {
    let style = presets::ASCII_MARKDOWN;
    let (engines, ratios) = (engines(results, style), ratios(results, style, judge));
    let marks = if judge { MARK_LEGEND } else { "" };
    let differing: String = results.disagreements().iter().map(|d| format!("* {d}\n")).collect();
    let digests = match &*differing {
        "" => "All agree.\n",
        text => text,
    };
    format!(
        "# Nexmark: thalweg next to other engines\n\n{machine}\n\
         ## Ratios\n\n{LEGEND} {marks}\n\n{ratios}\n\n\
         ## Engines\n\n{engines}\n\n\
         ## Digests\n\n{digests}"
    )
}

/// One row for each query and number of workers.
fn ratios(results: &Results, style: TableStyle, judge: bool) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_header([
        "query",
        "W",
        "thalweg",
        "handwritten",
        "timely",
        "renoir",
        "to handwritten",
        "to best of timely, renoir",
        "glommio / threads",
        "MiB over handwritten",
        "digests",
    ]);
    let mark = |bad: bool| if judge && bad { " *" } else { "" };
    for (query, workers) in results.rows() {
        let of = |engine| results.summary(query, workers, engine);
        let (thalweg, hand) = (of(Engine::Thalweg), of(Engine::Handwritten));
        let (timely, renoir) = (of(Engine::Timely), of(Engine::Renoir));
        let thalweg_speed = Speed::of(&thalweg);
        let others = Speed::greater(Speed::of(&timely), Speed::of(&renoir));
        let ratio = |a, b, floor| match Speed::ratio(a, b) {
            Some(r) => r.text(mark(r.best < floor)),
            None => NONE.into(),
        };
        let over = match (&thalweg, &hand) {
            (Some(t), Some(h)) => {
                let mib = t.peak_mib - h.peak_mib;
                format!("{mib:+}{}", mark(mib > floor::OVER_HANDWRITTEN_MIB))
            }
            _ => NONE.into(),
        };
        let speed = |s: &Option<Summary>| Speed::of(s).map_or(NONE.into(), |s| s.text(""));
        table.add_row([
            query.into(),
            workers.to_string(),
            speed(&thalweg),
            speed(&hand),
            speed(&timely),
            speed(&renoir),
            ratio(thalweg_speed, Speed::of(&hand), floor::to_handwritten(query)),
            ratio(thalweg_speed, others, floor::to_others(query)),
            ratio(Speed::of(&of(Engine::ThalwegGlommio)), thalweg_speed, floor::GLOMMIO),
            over,
            if results.agree(query) { "agree" } else { "DIFFER" }.into(),
        ]);
    }
    align(&mut table, 2..=9);
    table
}

/// One row for each query, number of workers and engine.
fn engines(results: &Results, style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_header([
        "query",
        "W",
        "engine",
        "best M/s",
        "median M/s",
        "spread %",
        "runs",
        "of handwritten",
        "peak MiB",
        "beyond input",
        "over handwritten",
        "rows",
        "digest",
    ]);
    for (query, workers) in results.rows() {
        let hand = results.summary(query, workers, Engine::Handwritten);
        for engine in results.engines() {
            let Some(s) = results.summary(query, workers, engine) else {
                continue;
            };
            let speed = Speed { best: s.best, median: s.median };
            let of_hand = Speed::ratio(Some(speed), Speed::of(&hand));
            let over = hand.as_ref().map(|h| format!("{:+}", s.peak_mib - h.peak_mib));
            table.add_row([
                query.into(),
                workers.to_string(),
                engine.to_string(),
                format!("{:.2}", s.best),
                format!("{:.2}", s.median),
                format!("{:.0}", s.spread),
                s.repetitions.to_string(),
                of_hand.map_or(NONE.into(), |r| r.text("")),
                s.peak_mib.to_string(),
                (s.peak_mib - s.input_mib).to_string(),
                over.unwrap_or(NONE.into()),
                s.rows.to_string(),
                s.digest,
            ]);
        }
    }
    align(&mut table, 3..=11);
    table
}

/// A throughput, or the ratio of two.
#[derive(Clone, Copy)]
struct Speed {
    best: f64,
    median: f64,
}

impl Speed {
    fn of(summary: &Option<Summary>) -> Option<Speed> {
        summary.as_ref().map(|s| Speed { best: s.best, median: s.median })
    }

    /// The greater of both, each number for itself.
    fn greater(a: Option<Speed>, b: Option<Speed>) -> Option<Speed> {
        match (a, b) {
            (Some(a), Some(b)) => {
                Some(Speed { best: a.best.max(b.best), median: a.median.max(b.median) })
            }
            _ => a.or(b),
        }
    }

    fn ratio(a: Option<Speed>, b: Option<Speed>) -> Option<Speed> {
        let (a, b) = (a?, b?);
        Some(Speed { best: a.best / b.best, median: a.median / b.median })
    }

    /// `best (median)`, with a mark at the best.
    fn text(self, mark: &str) -> String {
        format!("{:.2}{mark} ({:.2})", self.best, self.median)
    }
}

fn align(table: &mut Table, columns: std::ops::RangeInclusive<usize>) {
    for i in columns {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    fn cells(table: &Table) -> Vec<String> {
        let text = table.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_matches('|').split('|').map(|c| c.trim().into()).collect()
    }

    #[test]
    fn ratios_are_thalweg_divided_by_the_other() {
        let r = results(&[
            (Engine::Thalweg, 1, 60.0, "a"),
            (Engine::ThalwegGlommio, 1, 90.0, "a"),
            (Engine::Handwritten, 1, 120.0, "a"),
            (Engine::Timely, 1, 20.0, "a"),
            (Engine::Renoir, 1, 40.0, "a"),
        ]);
        let row = cells(&ratios(&r, presets::ASCII_MARKDOWN, true));
        let expected = ["0.50 * (0.50)", "1.50 * (1.50)", "1.50 (1.50)", "-60", "agree"];
        assert_eq!(row[6..], expected);
        let row = cells(&ratios(&r, presets::ASCII_MARKDOWN, false));
        assert_eq!(row[6], "0.50 (0.50)", "nothing is marked");
    }

    #[test]
    fn an_engine_that_is_not_there_leaves_gaps() {
        let r = results(&[(Engine::Handwritten, 2, 120.0, "a"), (Engine::Timely, 2, 20.0, "b")]);
        let row = cells(&ratios(&r, presets::ASCII_MARKDOWN, true));
        assert_eq!(row[..3], ["q5", "2", NONE]);
        assert_eq!(row[6..], [NONE, NONE, NONE, NONE, "DIFFER"]);
    }
}
