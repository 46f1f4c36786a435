//! [`Face`]: one way to use one client (`run`, its events, or `submit`): it does a [`FaceJob`] and returns
//! how that ended ([`Ended`]). `Blocking`, `Async` and `Python` implement it, and the wrappers
//! `CallerStack` and `WithMiddleware` (`caller_stack.rs`) for the two Rust clients. A
//! [`Scenario`](crate::Scenario) plays over any of them; the tests of faults, the emulator and spans run
//! jobs of their own.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder};
use effects_core::model::{Draft, DraftImage};
use effects_core::{
    Effect, EffectRequest, Error, ErrorKind, Event, Policy, Reference, Status, Task,
};

/// One way to use one client: what the scenarios are run over.
pub trait Face: Sync {
    /// Its name in reports.
    fn name(&self) -> String;

    /// How it uses the client.
    fn style(&self) -> Style;

    /// Which events it reports.
    fn event_scope(&self) -> EventScope {
        if self.style() == Style::Events { EventScope::Everything } else { EventScope::Nothing }
    }

    /// Whether one run submits and another waits: each begins with a look of its own.
    fn waits_in_second_run(&self) -> bool {
        self.style() == Style::Submit
    }

    /// Makes a client of the setup, does the job with it, and reports what happens on the way.
    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended;
}

/// Which events a face reports.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EventScope {
    /// None.
    Nothing,
    /// Those of a task that was submitted.
    Tasks,
    /// Those of the submission too.
    Everything,
}

/// What a face reports while it does a job.
#[derive(Clone, Copy, Debug)]
pub enum FaceEvent<'a> {
    /// Its client is made, and asks for the first time from here on.
    Begun,
    /// An event, by its text.
    Event(&'a str),
}

/// Which of a client's ways from a request to an effect is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// `run`, and for a task submitted before, `wait`.
    Run,
    /// `watch`, event by event; for a task submitted before, `events`.
    Events,
    /// `submit`, then `wait` of the handle.
    Submit,
}

/// What a client is made of: data alone, so that a client of another language can be made of it.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// The gateway.
    pub base_url: String,
    /// The key to it.
    pub api_key: String,
    /// How runs behave.
    pub policy: Policy,
    /// The longest a connection may take to be made.
    pub connect_timeout: Duration,
    /// Where local photos are put, as the command line spells it.
    pub uploads: Option<String>,
    /// Whether http passes to other machines.
    pub allow_http: bool,
}

impl ClientSetup {
    /// The builder of a client of this setup; both clients share one.
    ///
    /// # Errors
    ///
    /// When `uploads` names no way.
    pub fn builder<C: BuildClient>(&self) -> Result<ClientBuilder<C>, Error> {
        Ok(self.builder_without_connections()?.connect_timeout(self.connect_timeout))
    }

    /// The same, but for what makes connections: for a client over an HTTP stack of the caller's.
    ///
    /// # Errors
    ///
    /// Uploads that are not known.
    pub fn builder_without_connections<C: BuildClient>(&self) -> Result<ClientBuilder<C>, Error> {
        let builder = ClientBuilder::new()
            .base_url(&self.base_url)
            .api_key(&self.api_key)
            .policy(self.policy.clone())
            .allow_http(self.allow_http);
        Ok(match &self.uploads {
            Some(uploads) => builder.uploads(uploads.parse()?),
            None => builder,
        })
    }
}

/// What to do with a client.
#[derive(Clone, Debug)]
pub struct FaceJob {
    /// What is asked.
    pub ask: Ask,
    /// How often, one after the other with the same client.
    pub times: usize,
    /// Where the first picture is saved; without it every picture is fetched into memory.
    pub save_to: Option<PathBuf>,
}

/// What is asked of a client.
#[derive(Clone, Debug)]
pub enum Ask {
    /// An effect.
    Effect(Draft),
    /// An effect of a photo on this machine, which is uploaded first.
    EffectOf(Bytes, Draft),
    /// The effect of a task submitted before.
    Wait(String),
    /// One look at a task submitted before.
    Look(String),
}

impl Ask {
    /// The request of a draft, with the reference an upload gave.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the draft.
    pub(crate) fn request(
        draft: &Draft,
        uploaded: Option<&Reference>,
    ) -> Result<EffectRequest, Error> {
        let mut draft = draft.clone();
        if let Some(reference) = uploaded {
            // What was uploaded stands in for the draft's own photo.
            draft.image = DraftImage::Url(reference.as_str().to_owned());
        }
        let checked = draft.check()?;
        let image = checked.reference.as_ref().map_or("", Reference::as_str);
        Ok(EffectRequest::new(checked.template, image)?.sized(checked.size)?)
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The effect of the last run.
    pub effect: Option<Effect>,
    /// What one look showed.
    pub status: Option<Status>,
    /// The pictures of every run, byte for byte.
    pub pictures: Vec<Bytes>,
    /// The events of downloads; `None` where a face reports none of them.
    pub downloads: Option<Vec<String>>,
    /// What went wrong.
    pub failure: Option<FaceFailure>,
    /// Everything the client can be made to print: events, errors, `Debug` of what it hands out.
    pub printed: Vec<String>,
}

impl Ended {
    /// Adds what a value prints.
    pub(crate) fn add_printed(&mut self, value: &impl std::fmt::Debug) {
        self.printed.push(format!("{value:?}"));
    }

    /// Adds an event of a download.
    pub(crate) fn add_download_event(&mut self, event: &Event) {
        self.add_printed(event);
        self.printed.push(event.to_string());
        self.downloads.get_or_insert_default().push(event.to_string());
    }

    pub(crate) fn set_status(&mut self, task: &Task) {
        self.add_printed(task);
        self.status.clone_from(&task.status);
    }

    pub(crate) fn set_effect(&mut self, effect: Effect) {
        self.add_printed(&effect);
        self.printed.push(effect.raw.as_str().to_owned());
        self.effect = Some(effect);
    }

    pub(crate) fn set_failure(&mut self, error: &Error) {
        self.add_printed(error);
        self.printed.push(error.to_string());
        self.failure = Some(FaceFailure::from(error));
    }
}

/// What an error says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FaceFailure {
    /// Its kind.
    pub kind: ErrorKind,
    /// The exit code of the command.
    pub exit_code: u8,
    /// Its words.
    pub message: String,
    /// The task it is about.
    pub task_id: Option<String>,
    /// The service's code.
    pub code: Option<String>,
    /// The HTTP status it is about.
    pub status: Option<u16>,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
    /// The name of the exchange.
    pub request_id: Option<String>,
    /// The command line that resumes the task.
    pub resume_line: Option<String>,
}

impl From<&Error> for FaceFailure {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            exit_code: error.exit_code(),
            message: error.to_string(),
            task_id: error.task_id().map(ToString::to_string),
            code: error.code().map(ToString::to_string),
            status: error.status(),
            retry_after: error.retry_after(),
            request_id: error.request_id().map(str::to_owned),
            resume_line: error.resume_line().map(str::to_owned),
        }
    }
}
