//! Formats: records as text and text as records.
//!
//! Writers are [`Visitor`](crate::record::Visitor)s that put one record after the other into a
//! buffer that is used again; readers take one row of text and give an owned record or say, in
//! words that name the field, why not. Neither knows files.

mod cells;
mod csv;
mod header;
mod json;
mod plan;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod tests;
mod wording;

pub use csv::{CsvReader, CsvText, Row};
pub use json::{JsonText, read_json};

/// What writers of text write where the records' type is not known: a [`Shape`] shows them.
///
/// [`Shape`]: crate::record::Shape
#[derive(Debug)]
pub enum Untyped {}

/// A record type that can be read from text: [`record!`](crate::record!) makes them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from CSV or JSON",
    label = "not a record that can be read from text",
    note = "declare it with `record! {{ struct Bid {{ price: u64 }} }}`, which says how"
)]
pub trait FromText: crate::record::Record + serde::de::DeserializeOwned {}

impl<R: crate::record::Record + serde::de::DeserializeOwned> FromText for R {}
