//! [`KeyringError`]: why the system's keyring cannot be used: there is none, it is locked, or it does not
//! answer. `keyring_calls.rs`, `secret_service.rs` and `system_keyring.rs` make it.
//! [`StoredKey`](crate::StoredKey) puts it into the errors that people see, and returns it to
//! `effects login` where an earlier key stays in the keyring.

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
