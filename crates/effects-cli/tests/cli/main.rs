//! The real binary against servers on this machine: exit codes, what it prints, what it sends, what
//! it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod answers;
pub(crate) mod batch;
mod cassettes;
mod costs;
#[cfg(unix)]
mod credentials;
#[cfg(all(feature = "postgres", target_os = "linux"))]
mod database;
mod doctor;
mod emulator;
mod exit_codes;
mod files;
mod invalid;
mod journaled;
mod json;
#[cfg(all(feature = "keyring", target_os = "linux"))]
mod keyring;
#[cfg(all(feature = "keyring", target_os = "linux"))]
mod keyring_server;
#[cfg(unix)]
mod outputs;
mod pace;
#[cfg(unix)]
mod programs;
mod secrets;
#[cfg(unix)]
mod server;
mod shell;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;
mod world;
