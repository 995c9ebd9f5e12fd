//! The parts of the program `thalweg`: its arguments, its measurements, its look at the machine.

pub mod args;
pub mod bench;
pub mod doctor;
pub mod procfs;
