//! Many runs at once, in a scripted world on a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod following;
mod joining;
mod money;
#[path = "../common/odd.rs"]
mod odd;
mod outage;
mod properties;
mod turns;
mod widths;
mod world;
