//! The scripted server, the service and the simulated world. One program, so one link.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod http;
mod service;
mod simulation;
