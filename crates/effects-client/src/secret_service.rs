//! The Secret Service, the keyring of Linux desktops on the session's D-Bus, before the `keyring` crate
//! talks to it: [`find_bus`] fails where there is no bus, and [`unlock`] has a locked keyring unlocked by
//! the person at the desktop, and fails where there is no desktop. `keyring_calls.rs` calls both.
//!
//! The `keyring` crate alone would ask a person to unlock the keyring on a machine where no one sees it,
//! and wait for a year.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use dbus_secret_service::{EncryptionType, Error, SecretService};

use crate::keyring_error::KeyringError;

/// Whether there is a session bus. None is started.
pub(crate) fn find_bus() -> Result<(), KeyringError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let why = match set(BUS_VARIABLE) {
        Some(address) if address.to_string_lossy().starts_with("autolaunch:") => {
            format!("{BUS_VARIABLE} asks for a bus to be started")
        }
        Some(_) => return Ok(()),
        None => match set("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("bus")) {
            // Where libdbus looks when the variable is not set.
            Some(bus) if bus.exists() => return Ok(()),
            _ => format!("{BUS_VARIABLE} is not set"),
        },
    };
    Err(KeyringError::new(format!("there is no keyring here ({why})")))
}

/// Has the keyring unlocked, if it or the entry is locked and there is a desktop to ask a person on.
/// `on_wait` is called before that.
pub(crate) fn unlock(
    service: &str,
    account: &str,
    limit: Duration,
    on_wait: &dyn Fn(),
) -> Result<(), KeyringError> {
    let unusable = |error: Error| match error {
        Error::Prompt => KeyringError::new("the keyring was not unlocked"),
        Error::NoResult => KeyringError::new("the keyring has no default collection"),
        error => KeyringError::new(format!("no keyring can be used: {error}")),
    };
    let seconds = limit.as_secs();
    // No secret passes over this connection, so it is not encrypted.
    let keyring = SecretService::connect_with_max_prompt_timeout(EncryptionType::Plain, seconds)
        .map_err(unusable)?;
    let collection = keyring.get_default_collection().map_err(unusable)?;
    // KeePassXC locks single entries.
    let attributes = HashMap::from([("service", service), ("username", account)]);
    let found = keyring.search_items(attributes).map_err(unusable)?;
    let is_locked = collection.is_locked().map_err(unusable)?;
    if !is_locked && found.locked.is_empty() {
        return Ok(());
    }
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !is_set("WAYLAND_DISPLAY") && !is_set("DISPLAY") {
        let why = "the keyring is locked, and there is no desktop on which to unlock it";
        return Err(KeyringError::new(why));
    }
    on_wait();
    if is_locked {
        collection.unlock().map_err(unusable)?;
    }
    let locked: Vec<_> = found.locked.iter().collect();
    if locked.is_empty() { Ok(()) } else { keyring.unlock_all(&locked).map_err(unusable) }
}

const BUS_VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";
