//! [`Gateway`]: the client by which a command sends requests, and with `--emulator` the local gateway that
//! runs inside the command. `run`, `batch`, `wait` and the other commands that send requests open one, from
//! the global options and a [`GatewayLocation`]; `doctor` opens one with a `Probe` for its client.
//! [`policy`] makes the policy of runs from those options; [`key`] reads the key that they give, for
//! `effects emulator` too, and [`key_source`] says where the key is from, for `doctor`.

use std::env;
use std::fs;
use std::time::Duration;

use effects_client::{
    BuildClient, KEY_COMMAND_VARIABLE, KEY_VARIABLES, MissingKeyAdvice, PaceFile, PaceFileError,
    ProfileKey,
};
use effects_core::pace::{Curve, Learned, Pacer};
use effects_core::{Error, ErrorKind, Origin, Policy};
use effects_emulator::{Emulator, StartError};
use effects_ureq::{Client, ClientBuilder};

use crate::failure::Failure;
use crate::gateway_location::{GatewayLocation, origin_of};
use crate::global::{ActiveProfile, GlobalOptions};
use crate::output::write_stderr;
use crate::problem::Problems;
use crate::{state, typed_words};

/// A client, and the gateway it talks to if that is inside this command.
pub(crate) struct Gateway<C = Client> {
    pub(crate) client: C,
    origin: Origin,
    /// Writes what was learnt of durations to its file when it is dropped.
    _pace: Option<KeptPace>,
    /// Runs for as long as the client is used.
    _emulator: Option<Emulator>,
}

impl Gateway {
    /// Makes the client, and starts the gateway inside this command if that is the place. Nothing is sent.
    pub(crate) fn open(
        global: &GlobalOptions,
        location: &GatewayLocation,
        policy: Policy,
    ) -> Result<Self, Failure> {
        let gateway = Self::open_as(global, location, policy)?;
        // Also of a key that only its program or a keyring knew.
        let is_key = |text: &str| gateway.client.repeats_key(text);
        match Problems::among(typed_words::problems(is_key)) {
            Some(problems) => Err(Failure::Invalid(problems)),
            None => Ok(gateway),
        }
    }
}

impl<C: BuildClient> Gateway<C> {
    /// Does so with a client of another kind.
    pub(crate) fn open_as(
        global: &GlobalOptions,
        location: &GatewayLocation,
        policy: Policy,
    ) -> Result<Self, Failure> {
        let advice = MissingKeyAdvice { give: "give --api-key-file FILE", local: "--emulator" };
        let mut builder = ClientBuilder::<C>::from_env().missing_key_advice(advice);
        let (mut emulator, mut pace, mut origin) = (None, None, location.origin()?);
        match location {
            GatewayLocation::At(base) => {
                // One pacer for the client, so that what it learns
                // is there when the file is written in the end.
                pace = KeptPace::load(base.origin(), global.quiet);
                if let Some(pace) = &pace {
                    builder = builder.pacer(pace.pacer.clone());
                }
                builder = builder.base_url(base.to_string()).allow_http(global.allow_http);
                // After the environment and before the options: the last word to a builder counts. For what
                // the environment comes first in, `profile::apply` took the profile's word out.
                if let Some(ActiveProfile { profile, has_key }) = &global.active_profile {
                    builder = profile.apply_transport(builder);
                    // A profile's key is not the one to use where an option,
                    // or the environment before the profile, has one.
                    if *has_key {
                        builder = profile.clone().apply_key(builder);
                    }
                }
                if let Some(program) = &global.api_key_command {
                    builder = builder.api_key_command(program);
                }
                if let Some(key) = key(global)? {
                    builder = builder.api_key(key);
                }
            }
            GatewayLocation::Inside => {
                // With its own key: a real one that the environment has is not sent to it.
                let started = Emulator::start().map_err(|error| cannot_start(&error))?;
                builder = builder.base_url(started.base_url()).api_key(started.api_key());
                origin = origin_of(started.base_url())?;
                emulator = Some(started);
            }
        }
        if let Some(uploads) = &global.uploads {
            builder = builder.uploads(uploads.clone());
        }
        for (name, value) in &global.headers {
            builder = builder.header(name, value);
        }
        if let Some(bundle) = &global.ca_bundle {
            builder = builder.ca_bundle(bundle);
        }
        if let Some(cert) = &global.client_cert {
            builder = builder.client_cert(cert);
        }
        if let Some(key) = &global.client_key {
            builder = builder.client_key(key);
        }
        if let Some(cassette) = &global.cassette {
            builder = builder.cassette(cassette);
        }
        let client = builder.policy(policy).build()?;
        if let Some(cassette) = global.cassette().filter(|_| !global.quiet) {
            // Said before anything happens: what a replay prints looks like a paid run otherwise.
            let path = cassette.display();
            write_stderr(&if location.is_replay() {
                format!("replaying {path}: {REPLAYING}")
            } else {
                format!("recording to {path}")
            });
        }
        Ok(Self { client, origin, _pace: pace, _emulator: emulator })
    }

    /// The gateway's origin.
    pub(crate) fn origin(&self) -> Origin {
        self.origin.clone()
    }
}

/// What is known of durations at a gateway elsewhere, kept in the user's state folder. Where
/// they cannot be kept, a warning says so once, and later commands plan their polls without them.
struct KeptPace {
    file: PaceFile,
    origin: Origin,
    pacer: Pacer,
    quiet: bool,
}

impl KeptPace {
    fn load(origin: &Origin, quiet: bool) -> Option<Self> {
        if origin.is_loopback() {
            return None;
        }
        let file = PaceFile::in_state_dir()?;
        match file.load() {
            Ok(models) => {
                let pacer = models.pacer(origin);
                Some(Self { file, origin: origin.clone(), pacer, quiet })
            }
            Err(error) => {
                warn(&error, quiet);
                None
            }
        }
    }
}

/// How long a task at a gateway usually takes, as far as earlier commands have seen: by the slowest
/// of its templates.
pub(crate) fn usual_duration(origin: &Origin) -> Option<Duration> {
    let models = PaceFile::in_state_dir()?.load().ok()?;
    let curves = models.at(origin)?.values().map(|history| Curve::new(history, &Learned::DEFAULT));
    curves.filter_map(|curve| curve.eta(Duration::ZERO)).map(|eta| eta.typical).max()
}

impl Drop for KeptPace {
    fn drop(&mut self) {
        // `drop` returns no error, and lost durations only cost later commands some foresight.
        if let Err(error) = self.file.keep(&self.origin, &self.pacer) {
            warn(&error, self.quiet);
        }
    }
}

fn warn(error: &PaceFileError, quiet: bool) {
    state::warn_once(&format!("what is learnt of durations is not kept: {error}"), quiet);
}

/// How runs behave, as the global options say.
pub(crate) fn policy(global: &GlobalOptions) -> Policy {
    Policy { pace: global.poll.pace(global.emulator), ..Policy::default() }
}

/// The key of the command line; the environment's is the client's own business.
pub(crate) fn key(global: &GlobalOptions) -> Result<Option<String>, Error> {
    let Some(path) = &global.api_key_file else {
        return Ok(global.api_key.clone());
    };
    fs::read_to_string(path).map(Some).map_err(|error| {
        let message = format!("--api-key-file {} cannot be read: {error}", path.display());
        Error::new(ErrorKind::Misconfigured, message)
    })
}

/// Where the key of a client comes from; not the key.
pub(crate) fn key_source(global: &GlobalOptions) -> String {
    // The order is the one in which a client looks, so that what is said is where the key really is from.
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let variable = || KEY_VARIABLES.into_iter().chain([KEY_COMMAND_VARIABLE]).find(is_set);
    match global {
        GlobalOptions { emulator: true, .. } => "the gateway's own".to_owned(),
        GlobalOptions { api_key_file: Some(path), .. } => {
            format!("from the file {}", path.display())
        }
        GlobalOptions { api_key: Some(_), .. } => {
            "from --api-key, where other users of this machine may see it".to_owned()
        }
        GlobalOptions { api_key_command: Some(_), .. } => {
            "printed by the program of --api-key-command".to_owned()
        }
        GlobalOptions {
            active_profile: Some(ActiveProfile { profile, has_key: true }), ..
        } => {
            let stored = match profile.key() {
                ProfileKey::Stored => "stored by `effects login`",
                ProfileKey::Keyring => "in the system's keyring",
                ProfileKey::File => "from its file",
                ProfileKey::Command => "printed by its program",
                ProfileKey::Inline | ProfileKey::None => "in the profiles' file",
            };
            format!("of profile {}, {stored}", profile.name)
        }
        _ => format!("from {}", variable().unwrap_or_default()),
    }
}

/// What a command says when it replays a cassette.
const REPLAYING: &str =
    "nothing is sent and nothing is paid, and no journal knows of it but one of --journal";

/// Why an emulator does not start. An address that is taken is the caller's to change.
pub(crate) fn cannot_start(error: &StartError) -> Failure {
    match error {
        StartError::Threads(_) => Failure::Unforeseen(error.to_string()),
        _ => Failure::Error(Error::new(ErrorKind::Misconfigured, error.to_string())),
    }
}
