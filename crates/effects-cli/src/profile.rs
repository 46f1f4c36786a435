//! [`apply`]: fills in the global options that the user left open from the profile in use (that of
//! `--profile`, of `EFFECTS_PROFILE`, else `default`), and refuses to send its key to another gateway.
//! `commands::main` calls it for the commands to which a profile matters (`Command::uses_profile`).
//! `journal.rs` takes the profile's journal from [`journal`]; `effects login`, `logout` and `profile` take
//! the profile's name from [`named`].
//!
//! Each setting is that of the first that has it: an option; the profile of `--profile`; the environment; the
//! profile of `EFFECTS_PROFILE`, else `default`. A profile's key goes to the profile's own gateway alone.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use effects_client::{
    CA_BUNDLE_VARIABLE, CLIENT_CERT_VARIABLE, EnvironmentProxies, KEY_COMMAND_VARIABLE,
    KEY_VARIABLES, Profile, ProfileKey, base_url_of_the_environment,
};
use effects_core::{BaseUrl, Error, ErrorKind};

use crate::global::{ActiveProfile, GlobalOptions};

/// The name of the profile that an option or the environment names, and whether it is an option.
pub(crate) fn named(global: &GlobalOptions) -> Option<(String, bool)> {
    let variable = || env::var(PROFILE_VARIABLE).ok().filter(|name| !name.trim().is_empty());
    let option = global.profile.clone().map(|name| (name, true));
    option.or_else(|| variable().map(|name| (name, false)))
}

/// Reads the profile and fills in what the options leave open.
pub(crate) fn apply(global: &mut GlobalOptions) -> Result<(), Error> {
    let (mut profile, is_option) = match named(global) {
        Some((name, is_option)) => (Profile::load(&name)?, is_option),
        None => match Profile::find(DEFAULT)? {
            Some(profile) => (profile, false),
            None => return Ok(()),
        },
    };
    // Loaded all the same, so that a name of no profile is an error here, too.
    if global.emulator {
        return Ok(());
    }
    // As the header says: the profile of an option comes before the environment, any other after it.
    let wins = |in_environment: bool| is_option || !in_environment;
    if global.base_url.is_none() && wins(base_url_of_the_environment()?.is_some()) {
        global.base_url.clone_from(&profile.base_url);
        // The permission is for the profile's own URL, and for no other.
        global.allow_http |= profile.base_url.is_some() && profile.allow_http;
    }
    if global.uploads.is_none() {
        global.uploads = profile.uploads.as_deref().map(str::parse).transpose()?;
    }
    if let Some(journal) = &profile.journal {
        // A process has one command.
        let _ = JOURNAL.set(journal.clone());
    }
    let has_key =
        !gives_key(global) && wins(environment_key()) && profile.key() != ProfileKey::None;
    if has_key {
        refuse_another_gateway(global, &profile)?;
    }
    if !is_option {
        leave_to_environment(&mut profile, gateway_url(global)?.as_deref());
    }
    global.active_profile = Some(ActiveProfile { profile, has_key });
    Ok(())
}

/// Takes the proxy and the certificates out of a profile for which the environment has others.
fn leave_to_environment(profile: &mut Profile, gateway: Option<&str>) {
    let proxies = EnvironmentProxies::from_env();
    let is_http = gateway.is_some_and(|url| url.trim_start().starts_with("http:"));
    if (if is_http { proxies.http() } else { proxies.https() }).is_some() {
        profile.proxy = None;
    }
    if is_set(CA_BUNDLE_VARIABLE) {
        profile.ca_bundle = None;
    }
    if is_set(CLIENT_CERT_VARIABLE) {
        // The key is that of the profile's certificate, and fits no other.
        (profile.client_cert, profile.client_key) = (None, None);
    }
}

/// The journal of the profile in use, which stands where none is named.
pub(crate) fn journal() -> Option<&'static Path> {
    JOURNAL.get().map(PathBuf::as_path)
}

/// Whether an option gives the key.
fn gives_key(global: &GlobalOptions) -> bool {
    global.api_key.is_some() || global.api_key_file.is_some() || global.api_key_command.is_some()
}

/// Whether the environment gives the key.
fn environment_key() -> bool {
    KEY_VARIABLES.iter().chain(&[KEY_COMMAND_VARIABLE]).any(|name| is_set(name))
}

/// Whether a variable is set; an empty one counts as unset.
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The gateway that an option, the profile or the environment names.
fn gateway_url(global: &GlobalOptions) -> Result<Option<String>, Error> {
    match &global.base_url {
        Some(url) => Ok(Some(url.clone())),
        None => base_url_of_the_environment(),
    }
}

/// A key is for one gateway: the profile's must not go to another one.
fn refuse_another_gateway(global: &GlobalOptions, profile: &Profile) -> Result<(), Error> {
    let url = gateway_url(global)?;
    let url = url.as_deref().unwrap_or(BaseUrl::DEFAULT);
    let own = profile.base()?;
    // A URL that cannot be read is reported where it is used.
    let Ok(base) = BaseUrl::parse(url, true) else { return Ok(()) };
    if base.origin() == own.origin() {
        return Ok(());
    }
    let message = format!(
        "the key of profile {} is for {}, and the gateway is {}: give the key of that one (--api-key-file), or \
         leave its base URL out",
        profile.name,
        own.origin(),
        base.origin()
    );
    Err(Error::new(ErrorKind::Misconfigured, message))
}

static JOURNAL: OnceLock<PathBuf> = OnceLock::new();
/// The profile in use where none is named.
pub(crate) const DEFAULT: &str = "default";
const PROFILE_VARIABLE: &str = "EFFECTS_PROFILE";
