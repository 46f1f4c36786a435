//! The `effects` command: photos into styled pictures from a terminal.
//!
//! The crate's README documents what it prints, with `--json` above all, and its exit codes.

mod args;
mod attend;
mod batch;
mod commands;
mod failure;
mod flight;
mod gateway;
mod image;
mod journal;
mod logging;
mod naming;
mod output;
mod pictures;
mod problem;
mod progress;
mod request;
mod signals;
mod state;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Exit code 101 is in nobody's table; the panic's own message is on stderr by then.
    std::panic::catch_unwind(commands::main).unwrap_or(ExitCode::from(failure::UNFORESEEN))
}
