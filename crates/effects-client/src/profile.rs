//! [`Profile`]: settings under a name, in one TOML file (`profiles.toml` in [`config_dir`]), and the keys that
//! `effects login` stores beside them ([`StoredKey`]). The command's `--profile` and Python's
//! `Client.from_profile` read them.
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
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use effects_core::{ApiKey, BaseUrl, Error, ErrorKind};
use effects_jobs::Uploads;
use serde::Deserialize;

use crate::builder::{BuildClient, ClientBuilder, Proxy};
use crate::program::run_key_program;
use crate::state::{config_dir, make_private_dir, state_dir};

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
    /// A file that holds the key and nothing else.
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
    /// Stored by `effects login`.
    Stored,
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
        check_name(name)?;
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

    /// Where its key is.
    pub fn key(&self) -> ProfileKey {
        match self {
            Self { api_key: Some(_), .. } => ProfileKey::Inline,
            Self { api_key_file: Some(_), .. } => ProfileKey::File,
            Self { api_key_command: Some(_), .. } => ProfileKey::Command,
            _ if StoredKey::of(&self.name).is_ok_and(|key| key.is_there()) => ProfileKey::Stored,
            _ => ProfileKey::None,
        }
    }

    /// Reads its key; `None` where it has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] where its file cannot be read, or its program prints none.
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
            _ => match StoredKey::of(&self.name)? {
                stored if stored.is_there() => read(&stored.0),
                _ => Ok(None),
            },
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
        match &self.client_key {
            Some(key) => builder.client_key(key),
            None => builder,
        }
    }

    /// Puts its key into a builder.
    pub fn apply_key<C: BuildClient>(self, builder: ClientBuilder<C>) -> ClientBuilder<C> {
        builder.api_key_from(move || {
            let missing =
                || format!("profile {} has no key: effects login --profile {0}", self.name);
            self.read_key()?.ok_or_else(|| Error::new(ErrorKind::MissingKey, missing()))
        })
    }
}

/// Without the key, and without a proxy's password.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The file of a key that `effects login` stored: this user's alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredKey(PathBuf);

impl StoredKey {
    /// That of a profile, there or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for a name that is no file's, or where there is no state folder.
    pub fn of(profile: &str) -> Result<Self, Error> {
        check_name(profile)?;
        let folder = state_dir().ok_or_else(|| {
            misconfigured(
                "there is no home folder to keep keys in: set EFFECTS_STATE_DIR".to_owned(),
            )
        })?;
        Ok(Self(folder.join(KEYS).join(profile)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.is_file()
    }

    /// Stores a key, which this user alone may read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for a text that is no key, and where it cannot be written.
    pub fn store(&self, key: &str) -> Result<(), Error> {
        let key = ApiKey::new(key).map_err(|error| misconfigured(error.to_string()))?;
        let written = self.0.parent().map_or(Ok(()), make_private_dir).and_then(|()| {
            // Made anew, so that it never has the rights of an earlier file.
            let beside = self.0.with_extension("new");
            remove(&beside)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&beside)?;
            file.write_all(format!("{}\n", key.expose()).as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.0)
        });
        written.map_err(|error| {
            misconfigured(format!("the key cannot be stored in {}: {error}", self.0.display()))
        })
    }

    /// Forgets it. Whether there was one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] where it cannot be removed.
    pub fn forget(&self) -> Result<bool, Error> {
        remove(&self.0).map_err(|error| {
            misconfigured(format!("the key in {} cannot be removed: {error}", self.0.display()))
        })
    }

    fn names() -> Vec<String> {
        let entries = state_dir().and_then(|folder| fs::read_dir(folder.join(KEYS)).ok());
        let names = entries.into_iter().flatten().filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            check_name(&name).ok().map(|()| name)
        });
        names.collect()
    }
}

fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
        check_name(name)?;
        profile.name.clone_from(name);
        if profile.api_key.is_some() && others_may_read(&path) {
            let why = "holds a key and others may read it: chmod 600, or `effects login`";
            return Err(misconfigured(format!("{} {why}", path.display())));
        }
    }
    Ok(profiles)
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false
}

fn file() -> Option<PathBuf> {
    config_dir().map(|folder| folder.join("profiles.toml"))
}

/// A profile's name is a file's name, too.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    let rule = "has other characters than letters of ASCII, digits, - and _";
    Err(misconfigured(format!("the profile's name {name:?} {rule}")))
}

fn misconfigured(message: String) -> Error {
    Error::new(ErrorKind::Misconfigured, message)
}

const KEYS: &str = "keys";
