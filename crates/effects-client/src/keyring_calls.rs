//! [`store`], [`read`] and [`forget`]: calls to the system's keyring by the `keyring` crate, each in a
//! thread of its own that is given up when the keyring does not answer in time. `KeyringEntry`
//! (`system_keyring.rs`) makes them.
//!
//! A keyring may hang, or wait for a person to unlock it. A call's thread is therefore left alone after
//! [`ANSWER_LIMIT`], or after [`PERSON_LIMIT`] once the keyring asks a person.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use effects_core::ApiKey;
use keyring::Entry;

use crate::keyring_error::KeyringError;
#[cfg(target_os = "linux")]
use crate::secret_service;

/// What the thread that talks to the keyring reports.
enum KeyringReport<T> {
    WaitsForPerson,
    Answered(Result<Option<T>, KeyringError>),
}

pub(crate) fn store(account: &str, key: &ApiKey) -> Result<(), KeyringError> {
    let key = key.clone();
    ask(account, move |entry| entry.set_password(key.expose())).map(drop)
}

pub(crate) fn read(account: &str) -> Result<Option<String>, KeyringError> {
    ask(account, Entry::get_password)
}

pub(crate) fn forget(account: &str) -> Result<(), KeyringError> {
    ask(account, Entry::delete_credential).map(drop)
}

/// Asks for something of an entry; `None` where there is no such entry.
fn ask<T: Send + 'static>(
    account: &str,
    question: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<Option<T>, KeyringError> {
    // Where there is no bus libdbus would start one, and no keyring is on that.
    #[cfg(target_os = "linux")]
    secret_service::find_bus()?;
    let (reports, receiver) = mpsc::channel();
    let account = account.to_owned();
    let body = move || {
        // The receiver is gone once the time is up: then no one waits for either report.
        let on_wait = || drop(reports.send(KeyringReport::WaitsForPerson));
        let answer = prepare(&account, &on_wait).and_then(|()| answer(&account, question));
        drop(reports.send(KeyringReport::Answered(answer)));
    };
    // The keyring's calls have no time limit of their own, and a hanging one must not hold the command up.
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

fn answer<T>(
    account: &str,
    question: impl FnOnce(&Entry) -> keyring::Result<T>,
) -> Result<Option<T>, KeyringError> {
    match Entry::new(SERVICE, account).and_then(|entry| question(&entry)) {
        Ok(answer) => Ok(Some(answer)),
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(unusable(&error)),
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
