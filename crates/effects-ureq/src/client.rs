//! [`Client`]: the public blocking client: it submits, watches, uploads and downloads, and runs many
//! jobs. The `effects` command and blocking Rust programs use it; `ClientCore` holds its parts.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{AtomicFile, BuildClient, ClientBuilder, Jobs, Settings, Transport};
use effects_core::gateway::DynExchange;
use effects_core::journal::Journal;
use effects_core::pace::Pacer;
use effects_core::{
    Deadline, Effect, EffectRequest, Error, Event, Picture, Policy, Reference, TaskId,
};
use effects_jobs::{Photo, Work};

use crate::client_core::ClientCore;
use crate::task_handle::TaskHandle;
use crate::transfer;
use crate::watch::Watch;

/// A blocking client. Cloning it is cheap and shares its connections.
#[derive(Clone)]
pub struct Client(ClientCore);

impl Client {
    /// A client with this key and every other setting as it comes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) for a key that cannot
    /// be one.
    pub fn new(api_key: impl Into<String>) -> Result<Self, Error> {
        Self::builder().api_key(api_key).build()
    }

    /// Settings, one by one. Nothing is read from the environment.
    pub fn builder() -> ClientBuilder<Self> {
        ClientBuilder::new()
    }

    /// A client from `EFFECTS_API_KEY` (else `VTRIX_API_KEY`) and `EFFECTS_BASE_URL`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`](effects_core::ErrorKind::MissingKey) where no key is set, and what
    /// [`ClientBuilder::build`] has.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build()
    }

    /// The same client under another policy: for one call, `client.with_policy(policy).run(…)`.
    /// The headers that the client was built with are sent all the same; what else the builder said of how
    /// runs behave is in [`policy`](Self::policy): change a copy of that.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self(self.0.with_policy(Arc::new(policy)))
    }

    /// The same client with one deadline for all its calls together, so long from now: an upload, a
    /// run and a download, say. Nothing is submitted after it; a task that is not over by then goes on,
    /// and the error names it.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use effects_ureq::{Client, EffectRequest, Template};
    /// # fn example(client: &Client, request: EffectRequest) -> Result<(), effects_ureq::Error> {
    /// let client = client.with_deadline(Duration::from_secs(60));
    /// let effect = client.run(request)?;
    /// client.download(&effect.pictures[0], "ball.png")?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, limit: Duration) -> Self {
        let deadline = Some(Deadline::after(limit).begun(self.0.now()));
        self.with_policy(Policy { deadline, ..self.policy().clone() })
    }

    /// The same client with one more header on its requests to the gateway, or with another value of it:
    /// for one call, `client.with_header("X-Team", "studio")?.run(…)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) for one that the client sets
    /// itself, the authorisation above all, and for what is no header.
    pub fn with_header(&self, name: &str, value: &str) -> Result<Self, Error> {
        let policy = self.policy().clone();
        let headers = policy.headers.clone().with(name, value)?;
        Ok(self.with_policy(Policy { headers, ..policy }))
    }

    /// The same client with a journal: no submission leaves before its intent is in it, no poll
    /// before the task's id is.
    #[must_use]
    pub fn with_journal(&self, journal: Arc<dyn Journal>) -> Self {
        Self(self.0.with_journal(journal))
    }

    /// The gateway it talks to.
    pub fn base_url(&self) -> &effects_core::BaseUrl {
        self.0.base_url()
    }

    /// Refuses work that repeats the API key, as each submission does by itself: in its template, a
    /// parameter, its photo's URL, or in one of the `words` that are kept with it, each with its field and name. To
    /// be asked before a photo is uploaded or a row is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](effects_core::ErrorKind::InvalidRequest), with the place and without the
    /// key.
    pub fn refuse_key(
        &self,
        work: &Work,
        words: &[(&'static str, &str, Option<&str>)],
    ) -> Result<(), Error> {
        self.0.shared().settings.refuse_key(work, words)
    }

    /// Whether a text repeats the API key.
    pub fn repeats_key(&self, text: &str) -> bool {
        self.0.shared().settings.endpoint.repeats_key(text)
    }

    /// The text with `[key]` in place of every repetition of the API key.
    pub fn redact_key<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.0.shared().settings.endpoint.redact_key(text)
    }

    /// How its runs behave.
    pub fn policy(&self) -> &Policy {
        self.0.policy()
    }

    /// What it has learnt of how long tasks take, shared by all its runs and clones.
    pub fn pacer(&self) -> &Pacer {
        self.0.pacer()
    }

    /// Submits a request and waits for its effect.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task; [`Error::kind`] tells which, and [`Error::task_id`] the
    /// task wherever there is one.
    pub fn run(&self, request: EffectRequest) -> Result<Effect, Error> {
        self.watch(request).finish()
    }

    /// Submits a request and returns once its task's id is known.
    ///
    /// # Errors
    ///
    /// A submission that made no task, or of unknown outcome; and a task whose id the journal did not take
    /// ([`ErrorKind::Journal`](effects_core::ErrorKind::Journal), with the id).
    pub fn submit(&self, request: EffectRequest) -> Result<TaskHandle, Error> {
        self.submit_with(request, |_| {})
    }

    /// [`submit`](Self::submit) that tells what happens on the way: [`Event::Retrying`], say.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit).
    pub fn submit_with(
        &self,
        request: EffectRequest,
        on_event: impl FnMut(Event),
    ) -> Result<TaskHandle, Error> {
        let template = Some(request.template().clone());
        let (id, known, end) = self.watch(request).submitted(on_event)?;
        let handle = TaskHandle::new(&self.0, id, template).submitted_at(known);
        handle.saw_end(&end);
        Ok(handle)
    }

    /// Submits a request, to be followed event by event.
    pub fn watch(&self, request: EffectRequest) -> Watch {
        Watch::new(&self.0, request.into())
    }

    /// Does many jobs at once, from the photo to the file: say how, then [`run`](Jobs::run) them.
    ///
    /// ```no_run
    /// # use effects_ureq::{Client, Job, Template};
    /// # let client = Client::from_env()?;
    /// let photos = ["cat.jpg", "dog.jpg"];
    /// let jobs = photos.map(|path| Job::photo(Template::GlassBall, path));
    /// for result in client.jobs().in_flight(16).save_to("pictures").run(jobs)? {
    ///     println!("{result}");
    /// }
    /// # Ok::<(), effects_ureq::Error>(())
    /// ```
    pub fn jobs(&self) -> Jobs<Self> {
        Jobs::of(self.clone())
    }

    /// A task submitted before, by this program or another.
    pub fn task(&self, id: TaskId) -> TaskHandle {
        TaskHandle::new(&self.0, id, None)
    }

    /// Puts a photo where the service can fetch it. The same photo is uploaded once an hour.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) where no way was chosen,
    /// [`ErrorKind::Upload`](effects_core::ErrorKind::Upload) and its like where it failed. Nothing
    /// was submitted then.
    pub fn upload(&self, photo: &Photo) -> Result<Reference, Error> {
        transfer::upload(&self.0, photo, &|| true)
    }

    /// Downloads a picture into a file, which appears whole or not at all; a device or a pipe at that
    /// path is written to, and a symbolic link stays one.
    ///
    /// A picture whose length is not what the service said is kept with a warning. Hear of it, and of
    /// attempts that are repeated, through [`download_with`](Self::download_with).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`](effects_core::ErrorKind::Download), with the task's id and the
    /// picture's URL: it is paid for and still there.
    pub fn download(&self, picture: &Picture, path: impl AsRef<Path>) -> Result<PathBuf, Error> {
        self.download_with(picture, path, |_| {})
    }

    /// [`download`](Self::download) that tells what happens on the way:
    /// [`Event::DownloadRetrying`] and [`Event::Warning`].
    ///
    /// # Errors
    ///
    /// Those of [`download`](Self::download).
    pub fn download_with(
        &self,
        picture: &Picture,
        path: impl AsRef<Path>,
        on_event: impl FnMut(Event),
    ) -> Result<PathBuf, Error> {
        let mut landing = AtomicFile::begin(path.as_ref())
            .map_err(|error| self.0.resumable(error, &picture.task_id))?;
        transfer::download(&self.0, picture, &mut landing, on_event)?;
        landing.finish().map_err(|error| self.0.resumable(error, &picture.task_id))
    }

    /// Downloads a picture into memory.
    ///
    /// A picture whose length is not what the service said is kept with a warning. Hear of it, and of
    /// attempts that are repeated, through [`fetch_with`](Self::fetch_with).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`](effects_core::ErrorKind::Download), with the task's id and the
    /// picture's URL: it is paid for and still there.
    pub fn fetch(&self, picture: &Picture) -> Result<Bytes, Error> {
        self.fetch_with(picture, |_| {})
    }

    /// [`fetch`](Self::fetch) that tells what happens on the way: [`Event::DownloadRetrying`] and
    /// [`Event::Warning`].
    ///
    /// # Errors
    ///
    /// Those of [`fetch`](Self::fetch).
    pub fn fetch_with(
        &self,
        picture: &Picture,
        on_event: impl FnMut(Event),
    ) -> Result<Bytes, Error> {
        transfer::fetch(&self.0, picture, on_event)
    }

    pub(crate) fn core(&self) -> &ClientCore {
        &self.0
    }
}

impl TaskHandle {
    /// The same task, looked at by another client: one with another policy, say.
    #[must_use]
    pub fn through(&self, client: &Client) -> Self {
        self.with_core(&client.0)
    }
}

impl BuildClient for Client {
    type Exchange = DynExchange;

    fn from_settings(settings: Settings, transport: Transport<DynExchange>) -> Result<Self, Error> {
        ClientCore::new(settings, transport).map(Self)
    }
}

/// Without the key.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.0).finish()
    }
}
