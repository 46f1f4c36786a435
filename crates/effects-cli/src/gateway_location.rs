//! [`GatewayLocation`]: where the gateway is that a command talks to: inside this command, at a URL, or in
//! a cassette that is replayed. `run`, `batch`, `wait` and the other commands that talk to one, and `check`
//! and `resolve`, make it from the global options and the environment. `Gateway` and `JournalChoice` open
//! for it; it also tells how photos get there, and the line that resumes a task, for messages.

use effects_client::{base_url_of_the_environment, is_replay, replay_base};
use effects_core::{BaseUrl, Error, ErrorKind, Origin, TaskId};
use effects_jobs::Uploads;

use crate::global::GlobalOptions;

/// Where the gateway is.
#[derive(Clone, Debug)]
pub(crate) enum GatewayLocation {
    /// Inside this command.
    Inside,
    /// At this URL.
    At(BaseUrl),
}

impl GatewayLocation {
    /// The gateway the global options and the environment name.
    pub(crate) fn of(global: &GlobalOptions) -> Result<Self, Error> {
        // First of all: a cassette that is there is replayed
        // whatever gateway is set, so nothing is sent to that.
        let replayed = global.cassette().map(|path| replay_base(&path)).transpose()?.flatten();
        if let Some(base) = replayed {
            return Ok(Self::At(base));
        }
        if global.emulator {
            return Ok(Self::Inside);
        }
        let url = match &global.base_url {
            Some(url) => Some(url.clone()),
            None => base_url_of_the_environment()?,
        };
        BaseUrl::parse(url.as_deref().unwrap_or(BaseUrl::DEFAULT), global.allow_http)
            .map(Self::At)
            .map_err(|error| Error::new(ErrorKind::Misconfigured, error.to_string()))
    }

    /// Whether a cassette is replayed in its place.
    pub(crate) fn is_replay(&self) -> bool {
        matches!(self, Self::At(base) if is_replay(base.origin()))
    }

    /// The command line that resumes a task there; none where the task does not outlive the command, or is
    /// one of a replay.
    pub(crate) fn resume_line(&self, task: &TaskId) -> Option<String> {
        match self {
            Self::Inside => None,
            Self::At(_) if self.is_replay() => None,
            Self::At(base) => Some(base.resume_line(task)),
        }
    }

    /// Its origin. That of a gateway inside this command is known once it listens.
    pub(crate) fn origin(&self) -> Result<Origin, Error> {
        match self {
            Self::At(base) => Ok(base.origin().clone()),
            Self::Inside => loopback(),
        }
    }

    /// How a local photo gets there.
    ///
    /// # Errors
    ///
    /// The refusal that names the choices, where the caller made none.
    pub(crate) fn uploads(&self, chosen: Option<&Uploads>) -> Result<Uploads, Error> {
        let chosen = chosen.cloned().unwrap_or_default();
        match self {
            // Its port is not known yet, and the choice depends on the host alone.
            Self::Inside => chosen.chosen_for(&loopback()?),
            Self::At(base) => chosen.chosen_for(base.origin()),
        }
    }
}

fn loopback() -> Result<Origin, Error> {
    origin_of("http://127.0.0.1")
}

/// The origin of a URL.
pub(crate) fn origin_of(url: &str) -> Result<Origin, Error> {
    let misconfigured = |error: String| Error::new(ErrorKind::Misconfigured, error);
    Origin::try_from(url.to_owned()).map_err(|error| misconfigured(error.to_string()))
}
