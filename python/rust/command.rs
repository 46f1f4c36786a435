//! [`command`]: runs the `effects` command (the crate `effects-cli`) inside a Python process. The
//! package's `_command.py` calls it.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what a command line says, its first word being the program's name; returns the exit code.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| effects_cli::main(arguments))
}
