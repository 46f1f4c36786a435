//! [`StoredKey`]: the API key that `effects login` stored for a profile, in the system's keyring or in a
//! file that this user alone may read ([`KeyStore`]). [`Profile`](crate::Profile) reads it, and the
//! commands `login` and `logout` store and forget it.
//!
//! One file in the state folder, named after the profile, either holds the key or says under which name the
//! keyring has it. So no keyring is asked unless `effects login` stored a key there, and a key moves from one
//! place to the other by the renaming of one file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use effects_core::{ApiKey, Error, ErrorKind};

use crate::keyring_error::KeyringError;
use crate::state::{make_private_dir, state_dir};
use crate::system_keyring::KeyringEntry;

/// Where a stored key is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyStore {
    /// The system's keyring.
    Keyring,
    /// A file that this user alone may read.
    File,
}

/// The key that `effects login` stored for a profile, there or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredKey {
    profile: String,
    file: PathBuf,
}

impl StoredKey {
    /// That of a profile, there or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for a name that is no file's, or where there is no state folder.
    pub fn of(profile: &str) -> Result<Self, Error> {
        check_profile_name(profile)?;
        let folder = state_dir().ok_or_else(|| {
            misconfigured(
                "there is no home folder to keep keys in: set EFFECTS_STATE_DIR".to_owned(),
            )
        })?;
        Ok(Self { profile: profile.to_owned(), file: folder.join(KEYS).join(profile) })
    }

    /// The file that holds it, or says that the keyring does.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.file.is_file()
    }

    /// Where it is kept; `None` where there is none. No keyring is asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] where its file cannot be read.
    pub fn store_in_use(&self) -> Result<Option<KeyStore>, Error> {
        Ok(self.content()?.map(|content| match content {
            StoredContent::Key(_) => KeyStore::File,
            StoredContent::Entry(_) => KeyStore::Keyring,
        }))
    }

    /// Reads it; `None` where there is none. A keyring that does not answer is given up after a few seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] where its file cannot be read, and where the keyring is locked, does not
    /// answer or does not have it any more.
    pub fn read(&self) -> Result<Option<String>, Error> {
        let entry = match self.content()? {
            None => return Ok(None),
            Some(StoredContent::Key(key)) => return Ok(Some(key)),
            Some(StoredContent::Entry(entry)) => entry,
        };
        let name = &self.profile;
        let (message, way_out) = match entry.read() {
            Ok(Some(key)) => return Ok(Some(key)),
            Ok(None) => (
                format!("the key of profile {name} is not in the system's keyring any more"),
                format!("store it again: effects login --profile {name}"),
            ),
            Err(error) => (
                format!("the key of profile {name} is in the system's keyring, and {error}"),
                format!(
                    "give the key in another way (--api-key-file; EFFECTS_API_KEY where no --profile is given, \
                     which comes first), or keep it in a file: effects login --profile {name} --store file"
                ),
            ),
        };
        Err(Error::new(ErrorKind::MissingKey, message).with_way_out(way_out))
    }

    /// Stores a key in this place, and takes an earlier one out of the other. Returns why an earlier key
    /// is still in the keyring, where it could not be taken out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] for a text that is no key, where the keyring does not take it, and
    /// where the file cannot be written. An earlier key is still there then.
    pub fn store(&self, key: &str, store: KeyStore) -> Result<Option<KeyringError>, Error> {
        let key = ApiKey::new(key).map_err(|error| misconfigured(error.to_string()))?;
        let before = match self.content()? {
            Some(StoredContent::Entry(entry)) => Some(entry),
            _ => None,
        };
        if store == KeyStore::File {
            // The file first: were the entry forgotten before, a full disk would lose the key.
            self.write(key.expose())?;
            return Ok(before.and_then(|entry| entry.forget().err()));
        }
        let is_new = before.is_none();
        let entry = before.map_or_else(|| self.new_entry(), Ok)?;
        // The keyring first: the file must not name an entry that is not there.
        entry.store(&key).map_err(|error| {
            misconfigured(format!("the key is not in the system's keyring: {error}"))
        })?;
        let written = self.write(&format!("{IN_KEYRING}{}", entry.account()));
        if is_new && written.is_err() {
            // Without its record it would never be found; that it stays is of less weight than the error.
            let _ = entry.forget();
        }
        written.map(|()| None)
    }

    /// Forgets it, in the keyring, too. Whether there was one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] where it cannot be removed; nothing is removed then.
    pub fn forget(&self) -> Result<bool, Error> {
        let file = self.file.display();
        // The keyring first: without the file, the entry would never be found again.
        if let Some(StoredContent::Entry(entry)) = self.content()? {
            entry.forget().map_err(|error| {
                misconfigured(format!(
                    "the key of profile {} was not taken out of the system's keyring: {error}; nothing was removed \
                     (remove {file} to leave the key there unused)",
                    self.profile
                ))
            })?;
        }
        remove(&self.file)
            .map_err(|error| misconfigured(format!("the key in {file} cannot be removed: {error}")))
    }

    /// The profiles of which there is one.
    pub(crate) fn names() -> Vec<String> {
        let entries = state_dir().and_then(|folder| fs::read_dir(folder.join(KEYS)).ok());
        let names = entries.into_iter().flatten().filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            // What an interrupted `write` left has a dot in its name, which no profile's has.
            check_profile_name(&name).ok().map(|()| name)
        });
        names.collect()
    }

    fn content(&self) -> Result<Option<StoredContent>, Error> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let (name, file) = (&self.profile, self.file.display());
                let message = format!("the key of profile {name}: {file}: {error}");
                return Err(Error::new(ErrorKind::MissingKey, message));
            }
        };
        // A key has no space.
        Ok(Some(match text.strip_prefix(IN_KEYRING) {
            Some(account) => StoredContent::Entry(KeyringEntry::new(account.trim_end())),
            None => StoredContent::Key(text),
        }))
    }

    /// The folder is part of the name, so that profiles of one name in two state folders, whose gateways may
    /// differ, never share a key.
    fn new_entry(&self) -> Result<KeyringEntry, Error> {
        let file = std::path::absolute(&self.file).map_err(|error| self.unwritten(&error))?;
        let folder = file.parent().and_then(Path::parent).unwrap_or(&file);
        Ok(KeyringEntry::new(&format!("{} ({})", self.profile, folder.display())))
    }

    fn write(&self, line: &str) -> Result<(), Error> {
        let written = self.file.parent().map_or(Ok(()), make_private_dir).and_then(|()| {
            // Made anew, so that it never has the rights of an earlier file.
            let beside = self.file.with_extension("new");
            remove(&beside)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&beside)?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()?;
            // A reader sees the old key or the new one, and never half of one.
            fs::rename(&beside, &self.file)
        });
        written.map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &io::Error) -> Error {
        misconfigured(format!("the key cannot be stored in {}: {error}", self.file.display()))
    }
}

/// What the file of a stored key says.
enum StoredContent {
    Key(String),
    Entry(KeyringEntry),
}

/// A profile's name is a file's name, too.
pub(crate) fn check_profile_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    let rule = "has other characters than letters of ASCII, digits, - and _";
    Err(misconfigured(format!("the profile's name {name:?} {rule}")))
}

fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn misconfigured(message: String) -> Error {
    Error::new(ErrorKind::Misconfigured, message)
}

const KEYS: &str = "keys";
/// How the file of a key begins that the keyring has.
const IN_KEYRING: &str = "in the system's keyring: ";
