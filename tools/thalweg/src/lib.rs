//! The parts of the program `thalweg`: its arguments, its measurements, its looks at the machine
//! and at what jobs have kept, its records.

pub mod args;
pub mod bench;
pub mod doctor;
pub mod inspect;
pub mod log;
pub mod procfs;
pub mod record;
pub mod replay;
pub mod simulate;
