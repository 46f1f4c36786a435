//! Which gateway a command talks to, and under which key.

use std::env;
use std::fs;

use effects_core::{BaseUrl, Error, ErrorKind, Origin, Policy, TaskId, Uploads};
use effects_emulator::{Emulator, StartError};
use effects_ureq::{Client, ClientBuilder};

use crate::args::Global;
use crate::failure::Failure;

/// Where the gateway is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Inside this command.
    Inside,
    /// At this URL.
    At(BaseUrl),
}

impl Place {
    /// The gateway the global options and the environment name.
    pub(crate) fn of(global: &Global) -> Result<Self, Error> {
        if global.emulator {
            return Ok(Self::Inside);
        }
        let url = global
            .base_url
            .clone()
            .or_else(|| env::var(BASE_URL_VARIABLE).ok().filter(|url| !url.trim().is_empty()))
            .unwrap_or_else(|| BaseUrl::DEFAULT.to_owned());
        BaseUrl::parse(&url, global.allow_http)
            .map(Self::At)
            .map_err(|error| Error::new(ErrorKind::Misconfigured, error.to_string()))
    }

    /// The command line that resumes a task there; none where the task does not outlive the command.
    pub(crate) fn resume_line(&self, task: &TaskId) -> Option<String> {
        match self {
            Self::Inside => None,
            Self::At(base) => Some(base.resume_line(task)),
        }
    }

    /// How a local photo gets there.
    ///
    /// # Errors
    ///
    /// The refusal that names the choices, where nobody made one.
    pub(crate) fn uploads(&self, chosen: Option<&Uploads>) -> Result<Uploads, Error> {
        let chosen = chosen.cloned().unwrap_or_default();
        match self {
            Self::Inside => chosen.chosen_for(
                &Origin::try_from("http://127.0.0.1".to_owned())
                    .map_err(|error| Error::new(ErrorKind::Misconfigured, error.to_string()))?,
            ),
            Self::At(base) => chosen.chosen_for(base.origin()),
        }
    }
}

/// A client, and the gateway it talks to if that is inside this command.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    /// Kept for as long as the client is used.
    _emulator: Option<Emulator>,
}

impl Gateway {
    /// Connects, as far as that needs no network.
    pub(crate) fn open(global: &Global, place: &Place, policy: Policy) -> Result<Self, Failure> {
        let mut builder = ClientBuilder::<Client>::from_env();
        let mut emulator = None;
        match place {
            Place::At(base) => {
                builder = builder.base_url(base.to_string()).allow_http(global.allow_http);
                if let Some(key) = key(global)? {
                    builder = builder.api_key(key);
                }
            }
            Place::Inside => {
                let started = Emulator::start().map_err(|error| cannot_start(&error))?;
                builder = builder.base_url(started.base_url()).api_key(started.api_key());
                emulator = Some(started);
            }
        }
        if let Some(uploads) = &global.uploads {
            builder = builder.uploads(uploads.clone());
        }
        Ok(Self { client: builder.policy(policy).build()?, _emulator: emulator })
    }
}

/// How runs behave, as the global options say.
pub(crate) fn policy(global: &Global) -> Policy {
    Policy { pace: global.poll.pace(global.emulator), ..Policy::default() }
}

/// The key of the command line; the environment's is the client's own business.
pub(crate) fn key(global: &Global) -> Result<Option<String>, Error> {
    let Some(path) = &global.api_key_file else {
        return Ok(global.api_key.clone());
    };
    fs::read_to_string(path).map(Some).map_err(|error| {
        let message = format!("--api-key-file {} cannot be read: {error}", path.display());
        Error::new(ErrorKind::Misconfigured, message)
    })
}

/// Why an emulator does not start. An address that is taken is the caller's to change.
pub(crate) fn cannot_start(error: &StartError) -> Failure {
    match error {
        StartError::Threads(_) => Failure::Unforeseen(error.to_string()),
        _ => Failure::Error(Error::new(ErrorKind::Misconfigured, error.to_string())),
    }
}

const BASE_URL_VARIABLE: &str = "EFFECTS_BASE_URL";
