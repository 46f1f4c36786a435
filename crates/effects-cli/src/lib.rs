//! [`main`]: the `effects` command as a library: does what a command line says and returns the exit code.
//! Its own program (`main.rs`) calls it, and so does the Python package, which installs the command too.
//!
//! `docs/reference/` documents what it prints, with `--json` above all, and its exit codes.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod batch;
mod command_result;
mod commands;
mod doctor;
mod failure;
mod gateway;
mod gateway_location;
mod global;
mod help_json;
mod image;
mod input_file;
mod interruptible;
mod journal;
mod known_key;
mod live_line;
mod logging;
mod option_use;
mod order_budget;
mod output;
mod page;
mod pictures;
mod problem;
mod profile;
mod progress;
mod report_file;
mod request;
mod rerun_line;
mod response_object;
mod schemas;
mod secret_variables;
mod signals;
mod state;
mod submission_tracker;
mod time_options;
mod typed_words;
mod values;

use std::ffi::OsString;

/// Does what a command line says, its first word being the program's name, and returns the exit code.
///
/// It takes SIGINT, SIGTERM and SIGHUP into its own hands, and stays the process's only command.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Exit code 101 is in no table; the panic's own message is on stderr by then.
    std::panic::catch_unwind(|| commands::main(&arguments)).unwrap_or(failure::UNFORESEEN)
}
