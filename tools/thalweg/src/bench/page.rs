//! A report to be read: as a table for a terminal, in markdown for a document.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::report::{Input, Report, Row, grouped, readable_rate};

/// As many digits of a digest as tell two of them apart in a table; JSON and CSV have all.
const DIGEST_DIGITS: usize = 8;

/// How wide the table may be: as wide as a terminal is at least, for somebody who measures.
const TABLE_WIDTH: u16 = 100;

impl Report {
    /// The machine, one line a fact; the table, what there is to note, and whether all is right.
    pub(super) fn table(&self) -> String {
        const HEADER: [&str; 7] =
            ["query", "median s", "events/s", "rows", "digest", "MiB", "CPU %"];
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(HEADER);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(TABLE_WIDTH);
        for row in &self.rows {
            let [query, title, median, _, rate, rows, digest, memory, cpu, _] = row.cells();
            let query = format!("{query} {title}");
            let cells = [query, median, rate, rows, digest, memory, cpu];
            table.add_row(aligned(cells, &[0, 4]));
        }
        let notes = self.rows.iter().filter_map(Row::noted);
        let mut text = self.facts_in_lines("") + &format!("\n{}\n", table.trim_fmt());
        notes.for_each(|note| text += &format!("{note}\n"));
        text + &self.verdict() + "\n"
    }

    /// As [`Report::table`], in a list and with all that is known of each query.
    pub(super) fn markdown(&self) -> String {
        const HEADER: [&str; 10] = [
            "query",
            "",
            "median s",
            "min–max s",
            "events/s",
            "rows",
            "digest",
            "MiB",
            "CPU %",
            "note",
        ];
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
        for row in &self.rows {
            let cells = row.cells().map(|text| text.replace('|', "\\|"));
            table.add_row(aligned(cells, &[0, 1, 6, 9]));
        }
        let table = table.trim_fmt();
        self.facts_in_lines("- ") + &format!("\n{table}\n\n{}\n", self.verdict())
    }

    /// Whether all queries ran and all results are right, or which are not.
    pub(super) fn verdict(&self) -> String {
        let (all, asked) = (self.rows.len(), self.queries);
        let right = self.right();
        if all < asked { format!("only {all} of {asked} queries ran; {right}") } else { right }
    }

    fn right(&self) -> String {
        let all = self.rows.len();
        let bad = |row: &Row| match (row.digest_ok, &row.error) {
            (true, None) => None,
            (true, Some(_)) => Some(format!("{} failed", row.query)),
            (false, _) => Some(format!("{} wrong", row.query)),
        };
        let bad: Vec<String> = self.rows.iter().filter_map(bad).collect();
        if !bad.is_empty() {
            return format!("{} of {all} results not right: {}", bad.len(), bad.join(", "));
        }
        let counted = self.rows.iter().filter(|row| row.digest.is_none());
        let counted: Vec<&str> = counted.map(|row| row.query.as_str()).collect();
        let how = match &*counted {
            [] => "the same digest in every run".to_owned(),
            all_counted if all_counted.len() == all => "the same count in every run".to_owned(),
            some => format!("the same digest in every run, of {} the same count", some.join(", ")),
        };
        match all {
            0 => "no results".to_owned(),
            1 => format!("the result is right: {how}"),
            _ => format!("all {all} results right: {how}"),
        }
    }

    fn facts_in_lines(&self, bullet: &str) -> String {
        let facts = self.facts().into_iter();
        facts.map(|(name, value)| format!("{bullet}{name}: {value}\n")).collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.machine.lines();
        facts.push(("shards", format!("{} on {}", self.shards, self.executor)));
        let Input { seed, generator_events_per_s, events_per_s, .. } = &self.input;
        facts.push(("seed", seed.clone()));
        facts.push(("input", self.input.line()));
        facts.push((
            "generator alone",
            format!("{} events/s", readable_rate(*generator_events_per_s)),
        ));
        let ceiling = readable_rate(*events_per_s);
        facts.push((
            "input alone",
            format!("{ceiling} events/s with one field read, the ceiling of every query"),
        ));
        facts
    }
}

/// Cells of which those with words, by their places, stand to the left and numbers to the right.
fn aligned<const N: usize>(cells: [String; N], words: &[usize]) -> Vec<Cell> {
    let cells = cells.into_iter().enumerate().map(|(at, text)| {
        let left = words.contains(&at);
        let side = if left { CellAlignment::Left } else { CellAlignment::Right };
        Cell::new(text).set_alignment(side)
    });
    cells.collect()
}

impl Row {
    fn cells(&self) -> [String; 10] {
        [
            self.query.clone(),
            self.title.clone(),
            self.timed(|times| format!("{:.3}", times.median_s)),
            self.timed(|times| format!("{:.3}–{:.3}", times.min_s, times.max_s)),
            self.timed(|times| readable_rate(times.events_per_s)),
            grouped(self.rows_out),
            self.digest_cell(),
            rounded(self.peak_mib),
            rounded(self.cpu_percent),
            self.error.clone().or_else(|| self.note.clone()).unwrap_or_default(),
        ]
    }

    fn digest_cell(&self) -> String {
        let digest = match (&self.digest, self.times) {
            (Some(digest), _) => digest,
            (None, Some(_)) => "counted",
            (None, None) => "–",
        };
        let short: String = digest.chars().take(DIGEST_DIGITS).collect();
        if self.digest_ok { short } else { format!("{short} WRONG") }
    }

    /// What went wrong with the query, or what should be known of its numbers.
    fn noted(&self) -> Option<String> {
        let said = self.error.as_ref().or(self.note.as_ref())?;
        Some(format!("{}: {said}", self.query))
    }
}

fn rounded(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;
    use crate::args::Format;
    use crate::bench::nexmark::{QUERIES, Query};

    #[test]
    fn a_table_shows_machine_ceiling_and_rows() {
        let text = report().render(Format::Table).expect("a table");
        for part in [
            "machine: Quick 9000, 2 cores, virtual",
            "input: 10,000,000 events, 1.5 GiB, made in 2.50 s",
            "generator alone: 4.0 M events/s",
            "input alone: 30.0 M events/s",
            "shards: 2 on glommio",
            "12.3 M",
            "01234567 WRONG",
            "counted",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(
            text.ends_with("┘\nq7: a \"b\", c\n1 of 4 results not right: q7 wrong\n"),
            "{text}"
        );
    }

    #[test]
    fn markdown_rows_have_the_same_cells() {
        let text = report().render(Format::Markdown).expect("markdown");
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.len(), 2 + 4);
        for line in &table {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 11, "{line}");
        }
        assert!(text.starts_with("- machine: Quick 9000"), "{text}");
    }

    #[test]
    fn a_table_of_all_queries_fits_a_terminal() {
        let mut report = report();
        report.machine.commit = "abc1234".to_owned();
        let good = report.rows[0].clone();
        let row = |query: &Query| Row {
            query: query.name.to_owned(),
            title: query.title.to_owned(),
            rows_out: 1_000_000_000,
            peak_mib: Some(12_345.0),
            cpu_percent: Some(1_600.0),
            digest_ok: query.name != "q6",
            ..good.clone()
        };
        report.rows = QUERIES.iter().map(row).collect();
        let text = report.render(Format::Table).expect("a table");
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{widest:?}\n{text}");
        assert!(text.ends_with("\n1 of 23 results not right: q6 wrong\n"), "{text}");
    }

    #[test]
    fn the_last_line_says_whether_all_is_right() {
        let last = |report: &Report| report.right();
        let mut report = report();
        let [good, bad, clock, mut gone] = report.rows.clone().try_into().expect("four rows");
        assert_eq!(last(&report), "1 of 4 results not right: q7 wrong");
        gone.error = Some("no memory".to_owned());
        report.rows.push(gone);
        assert_eq!(last(&report), "2 of 5 results not right: q7 wrong, q13 failed");
        report.rows = vec![good.clone(), good.clone()];
        assert_eq!(last(&report), "all 2 results right: the same digest in every run");
        report.rows = vec![good.clone(), clock.clone()];
        let both = "all 2 results right: the same digest in every run, of q12 the same count";
        assert_eq!(last(&report), both);
        report.rows = vec![clock];
        assert_eq!(last(&report), "the result is right: the same count in every run");
        report.rows = vec![Row { digest_ok: true, ..bad }];
        assert_eq!(last(&report), "1 of 1 results not right: q7 failed");
        report.rows.clear();
        assert_eq!(last(&report), "no results");
    }

    #[test]
    fn the_last_line_says_when_not_all_queries_ran() {
        let mut report = report();
        assert_eq!(report.verdict(), "1 of 4 results not right: q7 wrong");
        report.rows.truncate(1);
        let expected = "only 1 of 4 queries ran; the result is right: the same digest in every run";
        assert_eq!(report.verdict(), expected);
    }
}
