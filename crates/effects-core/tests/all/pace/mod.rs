//! The learned pace: what it promises, measured in virtual time, and what its values do.
//!
//! Everything is seeded, so that a test that passes passes always.

mod models;
mod promises;
mod runs;
mod sharpened;
mod values;
mod world;
