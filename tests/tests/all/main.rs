//! What no single crate can show: both clients against one service, over their transports and the emulator.
//! One program, so one link; tests that listen to a whole process are programs of their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod async_client;
mod blocking_client;
mod cassettes;
mod conformance;
mod connections;
mod dependencies;
mod emulator;
mod exchanges;
mod faults;
mod jobs;
mod journaled;
mod killed;
mod names;
mod observers;
mod panics;
mod proxies;
mod python;
mod shared_runs;
#[cfg(unix)]
mod stopped;
mod tls;
mod vectors;
