//! [`Profile`]: a client's settings under a name (gateway, key, uploads, proxy, certificates, journal): a
//! table of `profiles.toml` in [`config_dir`], or only a key that `effects login` stored ([`StoredKey`]).
//! [`ProfileKey`] says where the key is. The command (`--profile`, `login`, `profile`, `doctor`) and
//! Python's `Client.from_profile` read profiles, and Rust programs put one into a [`ClientBuilder`] by
//! [`Profile::apply`].
//!
//! ```toml
//! [studio]
//! base_url = "https://gateway.studio.example"
//! api_key_command = "pass show effects/studio"
//! uploads = "command=/usr/local/bin/put-photo"
//! proxy = "http://proxy.studio.example:3128"
//! journal = "/srv/effects/journal.db"
//! ```

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use effects_core::{BaseUrl, Error, ErrorKind};
use effects_jobs::Uploads;
use serde::Deserialize;

use crate::builder::{BuildClient, ClientBuilder};
use crate::program::run_key_program;
use crate::settings::Proxy;
use crate::state::config_dir;
use crate::stored_key::{KeyStore, StoredKey, check_profile_name};

/// Settings under a name. What is left out is as it is without a profile.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Profile {
    /// Its name, which is its table's.
    #[serde(skip)]
    pub name: String,
    /// The gateway.
    pub base_url: Option<String>,
    /// Whether the gateway may be http on another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// The key itself; the file must be this user's alone then.
    api_key: Option<String>,
    /// A file that holds the key and nothing else. This path and the others start from the folder of the
    /// profiles' file, or with `~/` from the user's home.
    pub api_key_file: Option<PathBuf>,
    /// A program that prints the key.
    pub api_key_command: Option<String>,
    /// Where local photos are put, as `--uploads` says it.
    pub uploads: Option<String>,
    /// The proxy for everything; empty for none.
    pub proxy: Option<String>,
    /// A PEM file of certificates to trust.
    pub ca_bundle: Option<PathBuf>,
    /// A PEM file with the certificate to show to the gateway, its chain and its key.
    pub client_cert: Option<PathBuf>,
    /// The PEM file of that key, where it is another one.
    pub client_key: Option<PathBuf>,
    /// The journal, where no other one is named: a file, or a database's URL.
    pub journal: Option<PathBuf>,
}

/// Where a profile's key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProfileKey {
    /// In the profiles' file.
    Inline,
    /// In the file that it names.
    File,
    /// Printed by a program.
    Command,
    /// Stored by `effects login`, in a file that this user alone may read.
    Stored,
    /// Stored by `effects login`, in the system's keyring.
    Keyring,
    /// Nowhere.
    None,
}

impl Profile {
    /// The profile of this name. One that only has a stored key is a profile, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] where there is none, or the file cannot be used: a setting that is not
    /// known is named.
    pub fn load(name: &str) -> Result<Self, Error> {
        // The name becomes part of a path to a key.
        check_profile_name(name)?;
        let mut profiles = read()?;
        if let Some(profile) = profiles.remove(name) {
            return Ok(profile);
        }
        if StoredKey::of(name)?.is_there() {
            return Ok(Self { name: name.to_owned(), ..Self::default() });
        }
        let known: Vec<String> = profiles.into_keys().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let file = file().map_or("profiles.toml".to_owned(), |file| file.display().to_string());
        Err(misconfigured(format!(
            "there is no profile {name:?}: {file} has {known}; `effects login --profile {name}` makes one"
        )))
    }

    /// The profile of this name, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), but for a profile that is not there.
    pub fn find(name: &str) -> Result<Option<Self>, Error> {
        let is_there = read()?.contains_key(name) || StoredKey::of(name)?.is_there();
        if is_there { Self::load(name).map(Some) } else { Ok(None) }
    }

    /// All profiles, by name: those of the file, and those of which a key is stored.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub fn list() -> Result<Vec<Self>, Error> {
        let mut profiles = read()?;
        for name in StoredKey::names() {
            let new = || Self { name: name.clone(), ..Self::default() };
            profiles.entry(name.clone()).or_insert_with(new);
        }
        Ok(profiles.into_values().collect())
    }

    /// The gateway that its key is for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for a base URL that cannot be used.
    pub fn base(&self) -> Result<BaseUrl, Error> {
        let url = self.base_url.as_deref().unwrap_or(BaseUrl::DEFAULT);
        BaseUrl::parse(url, self.allow_http)
            .map_err(|error| misconfigured(format!("profile {}: {error}", self.name)))
    }

    /// Where its key is. No keyring is asked: the stored key's file says that it is there.
    pub fn key(&self) -> ProfileKey {
        match self {
            // In the order in which `read_key` looks.
            Self { api_key: Some(_), .. } => ProfileKey::Inline,
            Self { api_key_file: Some(_), .. } => ProfileKey::File,
            Self { api_key_command: Some(_), .. } => ProfileKey::Command,
            _ => match StoredKey::of(&self.name).and_then(|key| key.store_in_use()) {
                Ok(Some(KeyStore::Keyring)) => ProfileKey::Keyring,
                // One that cannot be read is told of where it is used.
                Ok(Some(KeyStore::File)) | Err(_) => ProfileKey::Stored,
                Ok(None) => ProfileKey::None,
            },
        }
    }

    /// Reads its key; `None` where it has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] where its file cannot be read, its program prints none, or the system's
    /// keyring is locked or does not answer within a few seconds.
    pub fn read_key(&self) -> Result<Option<String>, Error> {
        let read = |path: &Path| {
            fs::read_to_string(path).map(Some).map_err(|error| {
                let why = format!("the key of profile {}: {}: {error}", self.name, path.display());
                Error::new(ErrorKind::MissingKey, why)
            })
        };
        match (&self.api_key, &self.api_key_file, &self.api_key_command) {
            (Some(key), ..) => Ok(Some(key.clone())),
            (_, Some(path), _) => read(path),
            (.., Some(program)) => run_key_program(program).map(Some),
            _ => StoredKey::of(&self.name)?.read(),
        }
    }

    /// Makes its paths start from `folder`, where they are relative, or from the user's `home`, where they
    /// begin with `~/`: one profile means the same files wherever a program is started.
    fn resolve_paths(&mut self, folder: &Path, home: Option<&Path>) {
        let Self { api_key_file, ca_bundle, client_cert, client_key, journal, .. } = self;
        for path in [api_key_file, ca_bundle, client_cert, client_key, journal] {
            let Some(path) = path else { continue };
            // The URL of a database is no path.
            if path.to_str().is_some_and(|text| text.contains("://")) {
                continue;
            }
            *path = match (path.strip_prefix("~"), home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => folder.join(&*path),
            };
        }
    }

    /// Puts its settings into a builder. A key that may change is asked for again when it is refused.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for uploads that are not known.
    pub fn apply<C: BuildClient>(
        self,
        mut builder: ClientBuilder<C>,
    ) -> Result<ClientBuilder<C>, Error> {
        if let Some(uploads) = &self.uploads {
            builder = builder.uploads(uploads.parse::<Uploads>()?);
        }
        builder = self.apply_transport(builder);
        // The profile's own gateway: another one that the environment names must not get its key.
        builder = builder.base_url(self.base()?.to_string()).allow_http(self.allow_http);
        // Without a key of its own it leaves the builder's, which may be the environment's.
        Ok(if self.key() == ProfileKey::None { builder } else { self.apply_key(builder) })
    }

    /// Puts its proxy and certificates into a builder.
    pub fn apply_transport<C: BuildClient>(
        &self,
        mut builder: ClientBuilder<C>,
    ) -> ClientBuilder<C> {
        if let Some(proxy) = &self.proxy {
            let is_none = proxy.is_empty();
            builder =
                builder.proxy(if is_none { Proxy::Direct } else { Proxy::Url(proxy.clone()) });
        }
        if let Some(bundle) = &self.ca_bundle {
            builder = builder.ca_bundle(bundle);
        }
        if let Some(cert) = &self.client_cert {
            builder = builder.client_cert(cert);
        }
        // After the certificate, whose setting drops the key of an earlier one.
        match &self.client_key {
            Some(key) => builder.client_key(key),
            None => builder,
        }
    }

    /// Puts its key into a builder.
    pub fn apply_key<C: BuildClient>(self, builder: ClientBuilder<C>) -> ClientBuilder<C> {
        builder.api_key_from(move || {
            let missing = || {
                let error =
                    Error::new(ErrorKind::MissingKey, format!("profile {} has no key", self.name));
                error.with_way_out(format!("store one: effects login --profile {}", self.name))
            };
            self.read_key()?.ok_or_else(missing)
        })
    }
}

/// Without the key, and without a proxy's password.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the profiles' file; none where it is not there.
fn read() -> Result<BTreeMap<String, Profile>, Error> {
    let Some(path) = file() else { return Ok(BTreeMap::new()) };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(misconfigured(format!("{}: {error}", path.display()))),
    };
    let mut profiles: BTreeMap<String, Profile> = toml::from_str(&text).map_err(|error| {
        // Without the line itself, which may hold the key.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        // Another message may repeat a value, and that may be the key.
        let message = error.message().lines().next().unwrap_or_default();
        let is_field = message.starts_with("unknown field") || message.starts_with("missing field");
        let why = if is_field { message } else { "this is no TOML, or no value for this setting" };
        misconfigured(format!("{}, line {line}: {why}", path.display()))
    })?;
    for (name, profile) in &mut profiles {
        check_profile_name(name)?;
        profile.name.clone_from(name);
        if profile.api_key.is_some() && others_may_read(&path) {
            let why = "holds a key and others may read it: chmod 600, or `effects login`";
            return Err(misconfigured(format!("{} {why}", path.display())));
        }
        if let Some(folder) = path.parent() {
            profile.resolve_paths(folder, env::home_dir().as_deref());
        }
    }
    Ok(profiles)
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // Any right of the group or of others.
    path.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false
}

fn file() -> Option<PathBuf> {
    config_dir().map(|folder| folder.join("profiles.toml"))
}

fn misconfigured(message: String) -> Error {
    Error::new(ErrorKind::Misconfigured, message)
}
