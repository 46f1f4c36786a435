//! [`profile`] reads the settings of a named profile, [`profile_key`] its API key (which may run a program
//! or ask the keyring): `_client.py` calls them for `from_profile` of `Client` and `AsyncClient`, the key
//! only when the client needs it. The rules and the file (`profiles.toml`) are those of
//! `effects_client::Profile`, which the command reads, too.

use effects_client::{Profile, ProfileKey};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure;
use crate::interruptible::off_thread;

/// The settings of a profile as options of a client, and `has_key`.
#[pyfunction]
pub fn profile<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let fail = |error| failure::exception(py, &error);
    let profile = Profile::load(name).map_err(fail)?;
    let options = PyDict::new(py);
    options.set_item("base_url", profile.base().map_err(fail)?.to_string())?;
    options.set_item("allow_http", profile.allow_http)?;
    // Not the key itself: reading it may run a program, and a caller may bring another key.
    options.set_item("has_key", profile.key() != ProfileKey::None)?;
    for (name, value) in [("uploads", &profile.uploads), ("proxy", &profile.proxy)] {
        options.set_item(name, value)?;
    }
    for (name, value) in [
        ("ca_bundle", &profile.ca_bundle),
        ("client_cert", &profile.client_cert),
        ("client_key", &profile.client_key),
        ("journal", &profile.journal),
    ] {
        options.set_item(name, value)?;
    }
    Ok(options)
}

/// The key of a profile. Its program may take a while; other threads run meanwhile, and Ctrl-C is answered.
#[pyfunction]
pub fn profile_key(py: Python<'_>, name: String) -> PyResult<Option<String>> {
    let read = off_thread(py, move || Profile::load(&name).and_then(|profile| profile.read_key()))?;
    read.map_err(|error| failure::exception(py, &error))
}
