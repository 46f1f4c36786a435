//! The emulator over HTTP, as its clients meet it. One program, so one link.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod control;
mod faults;
mod generation;
mod limits;
mod official_clients;
mod page;
mod properties;
mod queue;
mod reached;
mod restart;
mod rows;
mod schemathesis;
mod strangers;
mod verification;
