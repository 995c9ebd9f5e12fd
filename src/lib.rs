//! stub
pub mod ring;
