//! [`main`]: the program `effects`, which makes styled pictures of photos from a terminal. It calls
//! `effects_cli::main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    effects_cli::main(std::env::args_os()).into()
}
