//! The lists of conformance scenarios, a file for each part of a client's work: create, polls, uploads,
//! downloads and what goes across them. `tests/all/conformance.rs` plays them over the Rust clients,
//! `python.rs` over the Python ones.

pub mod create;
pub mod deadlines;
pub mod dialects;
pub mod downloads;
pub mod echoes;
pub mod looks;
pub mod uploads;
