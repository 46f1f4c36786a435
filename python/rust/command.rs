//! [`command`]: runs the `effects` command (the crate `effects-cli`) inside a Python process. The
//! package's `_command.py` calls it.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what a command line says, its first word being the program's name; returns the exit code.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    // The command runs no Python and may run for hours: other threads of the program go on.
    py.detach(|| effects_cli::main(arguments))
}
