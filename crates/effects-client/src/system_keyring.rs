//! [`KeyringEntry`]: an API key in the system's keyring: the Secret Service of a Linux desktop (GNOME
//! Keyring, KWallet, KeePassXC), the keychain of macOS or the Credential Manager of Windows.
//! [`StoredKey`](crate::StoredKey) keeps a profile's key in one. Without the feature `keyring`, and on
//! other systems, each call fails.

use effects_core::ApiKey;

#[cfg(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
))]
use crate::keyring_calls;
use crate::keyring_error::KeyringError;

/// One entry, there or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyringEntry {
    account: String,
}

impl KeyringEntry {
    pub(crate) fn new(account: &str) -> Self {
        Self { account: account.to_owned() }
    }

    /// Its name, beside that of this project.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn store(&self, key: &ApiKey) -> Result<(), KeyringError> {
        keyring_calls::store(&self.account, key)
    }

    /// `None` where the keyring has none.
    pub(crate) fn read(&self) -> Result<Option<String>, KeyringError> {
        keyring_calls::read(&self.account)
    }

    /// One that is not there is forgotten already.
    pub(crate) fn forget(&self) -> Result<(), KeyringError> {
        keyring_calls::forget(&self.account)
    }
}

#[cfg(not(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
)))]
mod keyring_calls {
    use effects_core::ApiKey;

    use crate::keyring_error::KeyringError;

    pub(super) fn store(_: &str, _: &ApiKey) -> Result<(), KeyringError> {
        Err(no_keyring())
    }

    pub(super) fn read(_: &str) -> Result<Option<String>, KeyringError> {
        Err(no_keyring())
    }

    pub(super) fn forget(_: &str) -> Result<(), KeyringError> {
        Err(no_keyring())
    }

    fn no_keyring() -> KeyringError {
        KeyringError::new("there is no keyring for this build, which lacks the feature `keyring`")
    }
}
