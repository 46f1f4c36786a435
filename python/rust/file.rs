//! Files and texts for the Python half: [`write_file`] writes a file whole or not at all, as the Rust
//! clients do; `_picture.py` saves pictures with it. [`printable`] escapes everything in a text that a
//! terminal would obey; `_effect.py`, `_task.py`, `_progress.py` and others print ids and errors through it.

use std::io;
use std::path::{Path, PathBuf};

use effects_client::{write_file as write, write_new_file as write_new};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::interruptible::off_thread;

/// Writes a file, which appears whole or not at all; a device or a pipe is written to, and a link stays
/// one. Ctrl-C ends the waiting for a pipe without a reader.
#[pyfunction]
pub fn write_file(py: Python<'_>, path: PathBuf, data: PyBackedBytes) -> PyResult<()> {
    let target = path.clone();
    off_thread(py, move || write(&target, &data))?.map_err(|error| os_error(py, error, &path))
}

/// Writes a file as [`write_file`] does, unless something stands there: then nothing is replaced. Returns
/// whether it was written.
#[pyfunction]
pub fn write_new_file(py: Python<'_>, path: PathBuf, data: PyBackedBytes) -> PyResult<bool> {
    let target = path.clone();
    off_thread(py, move || write_new(&target, &data))?.map_err(|error| os_error(py, error, &path))
}

/// The system's error as Python has it: its number, its words, and the path.
fn os_error(py: Python<'_>, error: io::Error, path: &Path) -> PyErr {
    let Some(number) = error.raw_os_error() else { return error.into() };
    // Rust's words for the error end in `(os error 2)`.
    let words = py.import("os").and_then(|os| os.call_method1("strerror", (number,))?.extract());
    match words {
        Ok(words) => {
            let words: String = words;
            // With its number first, Python makes the subclass of it: `FileNotFoundError` and so
            // on.
            PyOSError::new_err((number, words, path.as_os_str().to_owned()))
        }
        Err(error) => error,
    }
}

/// A text with everything escaped that a terminal would obey or hide.
#[pyfunction]
pub fn printable(text: &str) -> String {
    effects_core::printable(text).into_owned()
}
