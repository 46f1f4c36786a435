//! Pictures that are painted, and input that is refused. One program, so one link.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod jpeg;
mod large;
mod odd;
mod painting;
mod scenes;
mod support;
mod untrusted;
