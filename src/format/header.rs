//! Which columns a record can't do without.

use serde::de::DeserializeOwned;

use super::cells::read_cells;
use super::plan::Plan;

/// The names of the columns without which no row can be read, of those that are not there. serde
/// knows: a row of plausible cells is read without them.
pub(super) fn missing_columns<'p, R: DeserializeOwned>(
    plan: &'p Plan,
    columns: &[Option<usize>],
) -> Vec<&'p str> {
    let mut text = String::new();
    let mut ends = Vec::new();
    for node in plan.columns() {
        text += &node.sample;
        ends.push(text.len());
    }
    let fails = |columns: &[Option<usize>]| {
        let row = read_cells::<R>(plan, columns, &text, &ends, 0);
        row.is_err_and(|error| error.missing)
    };
    let there = |(cell, column): (usize, &Option<usize>)| column.map(|_| cell);
    let found: Vec<_> = columns.iter().enumerate().map(there).collect();
    if !fails(&found) {
        return Vec::new();
    }
    let needed = |cell: &usize| {
        let mut others: Vec<_> = (0..columns.len()).map(Some).collect();
        others[*cell] = None;
        fails(&others)
    };
    let gone = columns.iter().enumerate().filter(|(_, column)| column.is_none());
    let needed: Vec<usize> = gone.map(|(cell, _)| cell).filter(needed).collect();
    let names = plan.header().enumerate();
    names.filter(|(cell, _)| needed.contains(cell)).map(|(_, name)| name).collect()
}
