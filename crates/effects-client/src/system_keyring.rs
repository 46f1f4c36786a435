//! [`KeyringEntry`]: an API key in the system's keyring, which is the Secret Service of a Linux desktop (GNOME
//! Keyring, KWallet, KeePassXC), the keychain of macOS or the Credential Manager of Windows.
//! [`StoredKey`](crate::StoredKey) keeps a profile's key in one.
//!
//! A keyring may hang, or wait for a person to unlock it. Each call therefore runs in a thread of its own, which
//! is left alone after [`ANSWER_LIMIT`], or after [`PERSON_LIMIT`] once the keyring asks a person. Without the
//! feature `keyring`, and on other systems, there is no keyring.

use effects_core::ApiKey;

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
        ask(&self.account, KeyringRequest::Store(key.clone())).map(drop)
    }

    /// `None` where the keyring has none.
    pub(crate) fn read(&self) -> Result<Option<String>, KeyringError> {
        ask(&self.account, KeyringRequest::Read)
    }

    /// One that is not there is forgotten already.
    pub(crate) fn forget(&self) -> Result<(), KeyringError> {
        ask(&self.account, KeyringRequest::Forget).map(drop)
    }
}

enum KeyringRequest {
    Store(ApiKey),
    Read,
    Forget,
}

#[cfg(not(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
)))]
fn ask(_: &str, request: KeyringRequest) -> Result<Option<String>, KeyringError> {
    // Dropped unread: there is no keyring to hand the key to.
    match request {
        KeyringRequest::Store(_) | KeyringRequest::Read | KeyringRequest::Forget => {}
    }
    Err(KeyringError::new("there is no keyring: this build has none (feature `keyring`)"))
}

#[cfg(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
))]
use platform::ask;

#[cfg(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
))]
mod platform {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::Duration;

    use keyring::Entry;

    use super::KeyringRequest;
    use crate::keyring_error::KeyringError;
    #[cfg(target_os = "linux")]
    use crate::secret_service;

    /// What the thread that talks to the keyring reports.
    enum KeyringReport {
        WaitsForPerson,
        Answered(Result<Option<String>, KeyringError>),
    }

    /// The key that is read; `None` where there is no entry, and where none is read.
    pub(super) fn ask(
        account: &str,
        request: KeyringRequest,
    ) -> Result<Option<String>, KeyringError> {
        #[cfg(target_os = "linux")]
        secret_service::find_bus()?;
        let (reports, receiver) = mpsc::channel();
        let account = account.to_owned();
        let body = move || {
            // The receiver is gone once the time is up: then no one waits for either report.
            let on_wait = || drop(reports.send(KeyringReport::WaitsForPerson));
            let answer = prepare(&account, &on_wait).and_then(|()| answer(&account, request));
            drop(reports.send(KeyringReport::Answered(answer)));
        };
        let thread = thread::Builder::new().name("keyring".to_owned());
        thread.spawn(body).map_err(|error| unusable(&error))?;
        let mut limit = ANSWER_LIMIT;
        loop {
            match receiver.recv_timeout(limit) {
                Ok(KeyringReport::WaitsForPerson) => limit = PERSON_LIMIT,
                Ok(KeyringReport::Answered(answer)) => return answer,
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = limit.as_secs();
                    let why = format!("the keyring did not answer within {seconds} s");
                    return Err(KeyringError::new(why));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(KeyringError::new("the keyring's thread ended without an answer"));
                }
            }
        }
    }

    fn answer(account: &str, request: KeyringRequest) -> Result<Option<String>, KeyringError> {
        let answered = Entry::new(SERVICE, account).and_then(|entry| match request {
            KeyringRequest::Store(key) => entry.set_password(key.expose()).map(|()| None),
            KeyringRequest::Read => entry.get_password().map(Some),
            KeyringRequest::Forget => entry.delete_credential().map(|()| None),
        });
        match answered {
            Err(keyring::Error::NoEntry) => Ok(None),
            answered => answered.map_err(|error| unusable(&error)),
        }
    }

    #[cfg(target_os = "linux")]
    fn prepare(account: &str, on_wait: &dyn Fn()) -> Result<(), KeyringError> {
        secret_service::unlock(SERVICE, account, PERSON_LIMIT, on_wait)
    }

    /// The keychain of macOS asks by itself, and fails at once where there is no desktop to ask on.
    #[cfg(not(target_os = "linux"))]
    fn prepare(_: &str, on_wait: &dyn Fn()) -> Result<(), KeyringError> {
        on_wait();
        Ok(())
    }

    fn unusable(error: &dyn std::error::Error) -> KeyringError {
        KeyringError::new(format!("the keyring cannot be used: {error}"))
    }

    const SERVICE: &str = "effects";
    /// A keyring answers at once, and one that is started for it within a second or two.
    const ANSWER_LIMIT: Duration = Duration::from_secs(5);
    /// For a person to type the keyring's password.
    const PERSON_LIMIT: Duration = Duration::from_secs(60);
}
