//! What a program needs: `use thalweg::prelude::*;`.

pub use crate::error::{Error, Result};
pub use crate::record;
pub use crate::record::{Key, Record};
pub use crate::time::{Timestamp, Units};
