//! The queries, one file each.

mod q3;
mod q4;
mod q5;
mod q7;
mod q8;
mod stateless;

pub use q3::q3;
pub use q4::q4;
pub use q5::q5;
pub use q7::q7;
pub use q8::q8;
pub use stateless::{q0, q1, q2};
