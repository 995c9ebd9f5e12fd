//! Made-up streams: when their records are due, whose they are, and a source of them.

mod arrivals;
mod keys;
mod source;

pub use arrivals::{Arrivals, Pattern};
pub use keys::{Keys, Skew};
pub use source::{Generate, Generated};
