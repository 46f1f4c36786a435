//! [`KeyringError`]: why the system's keyring is of no use. `keyring_calls.rs` and `secret_service.rs`
//! make it, and [`StoredKey`](crate::StoredKey) puts it into the errors that people see.

use std::fmt;

/// Why the system's keyring is of no use: there is none, it is locked, or it does not answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringError(String);

impl KeyringError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyringError {}
