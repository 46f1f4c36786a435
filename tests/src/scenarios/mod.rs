//! The lists of conformance scenarios: `create`, `looks`, `uploads` and `downloads` for the parts of a
//! client's work, `deadlines`, `dialects` (of the wire) and `echoes` (of the key) for what goes across
//! them. `tests/all/conformance.rs` plays them over the Rust clients, `tests/all/python.rs` over the
//! Python ones, and `tests/secrets.rs` plays some to see that no log holds the key.

pub mod create;
pub mod deadlines;
pub mod dialects;
pub mod downloads;
pub mod echoes;
pub mod looks;
pub mod uploads;
