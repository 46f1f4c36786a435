//! `effects login`, `effects logout` and `effects profile list` ([`login`], [`logout`], [`profiles`]):
//! store the API key of a profile (in the system's keyring or a file), remove it, and list the profiles
//! with where each has its key. A key is read from stdin or a prompt that does not show it, and never
//! printed. `commands::main` calls them.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use effects_client::{KeyStore, Profile, ProfileKey, StoredKey};
use effects_core::{ApiKey, Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::global::GlobalOptions;
use crate::output::Output;
use crate::profile;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects login
  effects login --profile studio < key-file
  pass show effects | effects login
  effects login --store file

The key is read from stdin, or typed where stdin is a terminal, and stored for the profile (`default` unless \
--profile or EFFECTS_PROFILE names one): in the system's keyring (the Secret Service of a Linux desktop, the \
keychain of macOS, the Credential Manager of Windows) where one answers, else in a file in the state folder that \
this user alone may read. A line says where. To keep it in a vault, let the profile's api_key_command print it. \
`effects doctor` shows whether the gateway takes it.")]
pub(crate) struct LoginArguments {
    /// Where to store the key
    #[arg(long, value_name = "PLACE", default_value = "auto")]
    store: LoginStore,
    #[command(flatten)]
    typed: TypedWords,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum LoginStore {
    /// In the system's keyring where one answers, else in a file
    Auto,
    /// In the system's keyring, or not at all
    Keyring,
    /// In a file that this user alone may read
    File,
}

/// Words that these commands do not take. One may be a key, so that it must not be in a message.
#[derive(Args)]
struct TypedWords {
    #[arg(hide = true)]
    words: Vec<OsString>,
}

impl TypedWords {
    fn refuse(&self, why: &str) -> Result<(), Failure> {
        match self.words.is_empty() {
            true => Ok(()),
            false => Err(misconfigured(why.to_owned())),
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects logout
  effects logout --profile studio")]
pub(crate) struct LogoutArguments {
    #[command(flatten)]
    typed: TypedWords,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects profile list
  effects profile list --json")]
pub(crate) struct ProfileArguments {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Subcommand)]
enum ProfileCommand {
    /// List the profiles, and where each has its key
    List,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LoginObject<'a> {
    schema: &'static str,
    profile: &'a str,
    /// Where the key is: `keyring` or `file`.
    store: &'static str,
    /// The file that holds the key, or says that the keyring does.
    #[schema(value_type = String)]
    file: &'a Path,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LogoutObject<'a> {
    schema: &'static str,
    profile: &'a str,
    /// Whether there was a key.
    removed: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ProfileObject<'a> {
    schema: &'static str,
    profile: &'a str,
    /// Whether it is the one in use.
    active: bool,
    base_url: String,
    /// Where its key is: `stored` (by `effects login`, in a file), `keyring`, `file`, `command`, `inline`.
    key: Option<&'static str>,
    uploads: Option<&'a str>,
    #[schema(value_type = Option<String>)]
    journal: Option<String>,
}

pub(crate) fn login(
    global: &GlobalOptions,
    arguments: &LoginArguments,
    output: &Output,
) -> CommandResult {
    arguments.typed.refuse(
        "login takes no argument: the key is read from standard input or a prompt, where other users do not \
         see it; one that was typed into the command line is in the shell's history now, so make another; \
         nothing was stored",
    )?;
    // A global option that every command takes; here it would be a key in the shell's history.
    if global.api_key.is_some() {
        let why = "login reads the key from stdin or a prompt, where other users do not see it: leave --api-key out";
        return Err(misconfigured(why.to_owned()));
    }
    let name = name(global);
    // Before the key is asked for: none is typed that would not be stored.
    refuse_key_elsewhere(&name)?;
    let stored = StoredKey::of(&name)?;
    let key = read_key(output)
        .map_err(|error| misconfigured(format!("the key cannot be read: {error}")))?;
    // Before a keyring is asked, which may ask a person.
    let key = ApiKey::new(key).map_err(|error| misconfigured(error.to_string()))?;
    if let Some(warning) = key.warning() {
        output.note(&format!("warning: {warning}"));
    }
    let store = store(&stored, key.expose(), arguments.store, output)?;
    let file = stored.path();
    let (store, location) = match store {
        KeyStore::Keyring => ("keyring", "the system's keyring".to_owned()),
        KeyStore::File => ("file", file.display().to_string()),
    };
    let object = LoginObject { schema: "effects.login.v1", profile: &name, store, file };
    output.result(&object, &[format!("the key of profile {name} is stored in {location}")])?;
    Ok(CommandEnd::Ok)
}

/// Stores the key where it is asked for. Where that is left open, a keyring that is of no use gives way to a file.
fn store(
    stored: &StoredKey,
    key: &str,
    choice: LoginStore,
    output: &Output,
) -> Result<KeyStore, Failure> {
    if choice != LoginStore::File {
        match stored.store(key, KeyStore::Keyring) {
            Ok(_) => return Ok(KeyStore::Keyring),
            Err(error) if choice == LoginStore::Auto => output.note(&error.to_string()),
            Err(error) => {
                return Err(misconfigured(format!(
                    "{error}; nothing was stored: `--store file` keeps it in a file that this user alone may read"
                )));
            }
        }
    }
    // The file decides where the key is read, so the new key is in use although the old one was not removed.
    if let Some(error) = stored.store(key, KeyStore::File)? {
        output.note_always(&format!("the earlier key is still in the system's keyring: {error}"));
    }
    Ok(KeyStore::File)
}

/// A profile whose file says where its key is never takes a stored one.
fn refuse_key_elsewhere(name: &str) -> Result<(), Failure> {
    let setting = match Profile::find(name)?.as_ref().map(Profile::key) {
        Some(ProfileKey::Inline) => "api_key",
        Some(ProfileKey::File) => "api_key_file",
        Some(ProfileKey::Command) => "api_key_command",
        Some(ProfileKey::Stored | ProfileKey::Keyring | ProfileKey::None) | None => return Ok(()),
    };
    Err(misconfigured(format!(
        "profile {name} has {setting} in profiles.toml, which comes first, so that a stored key would never be \
         used: take it out there, or change the key where it leads; nothing was stored"
    )))
}

pub(crate) fn logout(
    global: &GlobalOptions,
    arguments: &LogoutArguments,
    output: &Output,
) -> CommandResult {
    arguments
        .typed
        .refuse("logout takes no argument: --profile NAME says whose key is forgotten")?;
    let name = name(global);
    let removed = StoredKey::of(&name)?.forget()?;
    let object = LogoutObject { schema: "effects.logout.v1", profile: &name, removed };
    let line = if removed { "is removed" } else { "was not stored" };
    output.result(&object, &[format!("the key of profile {name} {line}")])?;
    Ok(CommandEnd::Ok)
}

pub(crate) fn profiles(
    global: &GlobalOptions,
    arguments: &ProfileArguments,
    output: &Output,
) -> CommandResult {
    let ProfileCommand::List = arguments.command;
    let active = name(global);
    let profiles = Profile::list()?;
    for profile in &profiles {
        let key = match profile.key() {
            ProfileKey::Stored => Some("stored"),
            ProfileKey::Keyring => Some("keyring"),
            ProfileKey::File => Some("file"),
            ProfileKey::Command => Some("command"),
            ProfileKey::Inline => Some("inline"),
            ProfileKey::None => None,
        };
        let journal = profile.journal.as_deref().map(Path::to_string_lossy);
        let object = ProfileObject {
            schema: "effects.profile.v1",
            profile: &profile.name,
            active: profile.name == active,
            base_url: profile.base()?.to_string(),
            key,
            uploads: profile.uploads.as_deref(),
            journal: journal.map(|journal| effects_journal::without_password(&journal)),
        };
        let mark = if object.active { '*' } else { ' ' };
        let line = format!(
            "{mark} {}  {}  key: {}",
            object.profile,
            object.base_url,
            key.unwrap_or("none")
        );
        if !output.listing(&object, &[line])? {
            break;
        }
    }
    if profiles.is_empty() {
        output.note("there is no profile: `effects login` makes one, or write profiles.toml");
    }
    Ok(CommandEnd::Ok)
}

fn name(global: &GlobalOptions) -> String {
    profile::named(global).map_or(profile::DEFAULT.to_owned(), |(name, _)| name)
}

fn read_key(output: &Output) -> io::Result<String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // With --quiet, too: a prompt that says nothing looks like a command that hangs.
        output.note_always("API key (it is not shown):");
        return rpassword::read_password();
    }
    let mut key = String::new();
    // What never ends, such as a device, is not read to its end.
    stdin.lock().take(MAX_KEY_BYTES).read_to_string(&mut key)?;
    Ok(key)
}

fn misconfigured(message: String) -> Failure {
    Error::new(ErrorKind::Misconfigured, message).into()
}

/// No key is nearly as long.
const MAX_KEY_BYTES: u64 = 64 * 1024;
