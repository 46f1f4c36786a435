//! The `effects` command: photos into styled pictures from a terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    effects_cli::main(std::env::args_os()).into()
}
