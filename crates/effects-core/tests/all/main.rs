//! The core through its public face, in a scripted world on a virtual clock. One program, so one link.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod common;
mod contract;
mod errors;
mod looking;
mod pace;
mod properties;
mod responses;
mod submission;
