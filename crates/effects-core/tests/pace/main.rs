//! The learned pace: what it promises, measured in virtual time, and what its values do.
//!
//! Everything is seeded, so that a test that passes passes always.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod models;
mod promises;
mod runs;
mod sharpened;
mod values;
mod world;
