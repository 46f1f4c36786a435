//! [`KnownKey`]: the API key, if an option, a variable of the environment or a file gives it before a
//! client is made (no program is run for it, and no keyring asked), or the one that a client has.
//! `commands::main` (by `typed_words.rs`), `effects check`, `effects resolve` and the `Checker` of a
//! batch's rows find it in what a person typed or wrote, and refuse that, so that the key is not kept or
//! sent; messages show `[key]` in its place.

use std::borrow::Cow;
use std::env;
use std::fs;
use std::path::Path;

use effects_client::{KEY_VARIABLES, ProfileKey};
use effects_core::ApiKey;
use effects_ureq::Client;

use crate::global::{ActiveProfile, GlobalOptions};

/// The API key, if it is at hand.
#[derive(Clone, Debug)]
pub(crate) enum KnownKey {
    /// There is none, or none yet.
    Unknown,
    /// It is this.
    Key(ApiKey),
    /// This client has it.
    OfClient(Client),
}

impl KnownKey {
    /// The key that these options lead to.
    pub(crate) fn of(global: &GlobalOptions) -> Self {
        // A key that cannot be used is reported where it is used.
        read(global).and_then(|key| ApiKey::new(key).ok()).map_or(Self::Unknown, Self::Key)
    }

    /// Whether it is at hand.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// Whether a text repeats it.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Unknown => false,
            Self::Key(key) => key.find_in(text.as_bytes()).is_some(),
            Self::OfClient(client) => client.repeats_key(text),
        }
    }

    /// The text with `[key]` in place of it.
    pub(crate) fn redact<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        match self {
            Self::Unknown => text.into(),
            Self::Key(key) => key.redact(text),
            Self::OfClient(client) => client.redact_key(text),
        }
    }
}

/// Reads the key where the client will read it.
fn read(global: &GlobalOptions) -> Option<String> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    // A pipe can be read once, and the client reads it.
    let is_file = |path: &Path| path.metadata().is_ok_and(|found| found.is_file());
    match global {
        // The gateway inside makes its own key, and the client is given no other.
        GlobalOptions { emulator: true, .. } => None,
        GlobalOptions { api_key_file: Some(path), .. } => {
            is_file(path).then(|| fs::read_to_string(path).ok()).flatten()
        }
        GlobalOptions { api_key: Some(key), .. } => Some(key.clone()),
        GlobalOptions { api_key_command: Some(_), .. } => None,
        GlobalOptions {
            active_profile: Some(ActiveProfile { profile, has_key: true }), ..
        } => match profile.key() {
            ProfileKey::File if !profile.api_key_file.as_deref().is_some_and(is_file) => None,
            ProfileKey::Inline | ProfileKey::File | ProfileKey::Stored => {
                profile.read_key().ok().flatten()
            }
            ProfileKey::Command | ProfileKey::Keyring | ProfileKey::None => None,
        },
        _ => KEY_VARIABLES.into_iter().find_map(variable),
    }
}
