//! [`Client`]: the public async client: it submits and watches tasks, uploads photos, downloads pictures,
//! and runs many jobs. Async Rust programs use it, and so does the Python package (`Engine` and what it
//! starts), which begins single runs with [`Client::begin`], where a callback takes the place of a future.
//! It holds a `Runs`: its parts (`ClientCore`) and the driver of its single runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Jobs, Settings, Transport};
use effects_core::gateway::DynAsyncExchange;
use effects_core::journal::AsyncJournal;
use effects_core::pace::Pacer;
use effects_core::{
    Deadline, Effect, EffectRequest, Error, Event, Picture, Policy, Reference, TaskId, Time,
};
use effects_jobs::{Photo, Work};

use crate::client_core::ClientCore;
use crate::runs::Runs;
use crate::task_handle::TaskHandle;
use crate::transfer::{self, Target};
use crate::waiter::{RunTicket, WaitedFor, Waiter};
use crate::watch::Watch;

/// An async client. Cloning it is cheap and shares its connections.
///
/// It is made anywhere; its futures need a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Client(Arc<Runs>);

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
    pub fn with_policy(&self, policy: impl Into<Arc<Policy>>) -> Self {
        // A driver has one policy for all its runs, so these get a driver of their own.
        Self(Runs::of(self.core().with_policy(policy.into())))
    }

    /// The same client with one deadline for all its calls together, so long from now: an upload, a
    /// run and a download, say. Nothing is submitted after it; a task that is not over by then goes on,
    /// and the error names it.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use effects_reqwest::{Client, EffectRequest, Template};
    /// # async fn example(client: &Client, request: EffectRequest) -> Result<(), effects_reqwest::Error> {
    /// let client = client.with_deadline(Duration::from_secs(60));
    /// let effect = client.run(request).await?;
    /// client.download(&effect.pictures[0], "ball.png").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, limit: Duration) -> Self {
        let deadline = Some(Deadline::after(limit).begun(self.core().now()));
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
    pub fn with_journal(&self, journal: Arc<dyn AsyncJournal>) -> Self {
        Self(self.0.with_journal(journal))
    }

    /// The gateway it talks to.
    pub fn base_url(&self) -> &effects_core::BaseUrl {
        self.core().base_url()
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
        self.core().shared().settings.refuse_key(work, words)
    }

    /// How its runs behave.
    pub fn policy(&self) -> &Policy {
        self.core().policy()
    }

    /// The time by its clock, which its deadlines and the times of its tasks go by. It never goes back, and goes
    /// on while a laptop sleeps.
    pub fn now(&self) -> Time {
        self.core().now()
    }

    /// What it has learnt of how long tasks take, shared by all its runs and clones.
    pub fn pacer(&self) -> &Pacer {
        self.core().pacer()
    }

    /// Submits a request and waits for its effect.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task; [`Error::kind`] tells which, and [`Error::task_id`] the
    /// task wherever there is one.
    pub async fn run(&self, request: EffectRequest) -> Result<Effect, Error> {
        self.watch(request).finish().await
    }

    /// Submits a request and returns once its task's id is known.
    ///
    /// # Errors
    ///
    /// A submission that made no task, or of unknown outcome; and a task whose id the journal did not take
    /// ([`ErrorKind::Journal`](effects_core::ErrorKind::Journal), with the id).
    pub async fn submit(&self, request: EffectRequest) -> Result<TaskHandle, Error> {
        self.submit_with(request, |_| {}).await
    }

    /// [`submit`](Self::submit) that tells what happens on the way: [`Event::Retrying`], say.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit).
    pub async fn submit_with(
        &self,
        request: EffectRequest,
        on_event: impl FnMut(Event),
    ) -> Result<TaskHandle, Error> {
        let template = Some(request.template().clone());
        let (id, known, end) = self.watch(request).submitted(on_event).await?;
        let handle = TaskHandle::new(&self.0, id, template).submitted_at(known);
        handle.saw_end(&end);
        Ok(handle)
    }

    /// Submits a request, to be followed event by event.
    pub fn watch(&self, request: EffectRequest) -> Watch {
        Watch::new(&self.0, request.into())
    }

    /// Does many jobs at once, from the photo to the file: say how, then [`run`](Jobs::run) them, which
    /// needs a tokio runtime.
    ///
    /// ```no_run
    /// # use effects_reqwest::{Client, Job, Template};
    /// # async fn example() -> Result<(), effects_reqwest::Error> {
    /// # let client = Client::from_env()?;
    /// let photos = ["cat.jpg", "dog.jpg"];
    /// let jobs = photos.map(|path| Job::photo(Template::GlassBall, path));
    /// let mut results = client.jobs().in_flight(16).save_to("pictures").run(jobs)?;
    /// while let Some(result) = results.next().await {
    ///     println!("{result}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn jobs(&self) -> Jobs<Self> {
        Jobs::of(self.clone())
    }

    /// A task submitted before, by this program or another.
    pub fn task(&self, id: TaskId) -> TaskHandle {
        TaskHandle::new(&self.0, id, None)
    }

    /// Puts a photo where the service can fetch it. The same photo is uploaded once an
    /// hour, however many ask for it at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) where no way was chosen,
    /// [`ErrorKind::Upload`](effects_core::ErrorKind::Upload) and its like where it failed. Nothing
    /// was submitted then.
    pub async fn upload(&self, photo: &Photo) -> Result<Reference, Error> {
        transfer::upload(self.core(), photo, &|| true).await
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
    pub async fn download(
        &self,
        picture: &Picture,
        path: impl AsRef<Path>,
    ) -> Result<PathBuf, Error> {
        self.download_with(picture, path, |_| {}).await
    }

    /// [`download`](Self::download) that tells what happens on the way:
    /// [`Event::DownloadRetrying`] and [`Event::Warning`].
    ///
    /// # Errors
    ///
    /// Those of [`download`](Self::download).
    pub async fn download_with(
        &self,
        picture: &Picture,
        path: impl AsRef<Path>,
        on_event: impl FnMut(Event) + Send,
    ) -> Result<PathBuf, Error> {
        let path = path.as_ref().to_owned();
        let landed = async {
            let mut target = Target::file(path).await?;
            transfer::download(self.core(), picture, &mut target, on_event).await?;
            target.finish().await
        };
        landed.await.map_err(|error| self.core().resumable(error, &picture.task_id))
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
    pub async fn fetch(&self, picture: &Picture) -> Result<Bytes, Error> {
        self.fetch_with(picture, |_| {}).await
    }

    /// [`fetch`](Self::fetch) that tells what happens on the way: [`Event::DownloadRetrying`] and
    /// [`Event::Warning`].
    ///
    /// # Errors
    ///
    /// Those of [`fetch`](Self::fetch).
    pub async fn fetch_with(
        &self,
        picture: &Picture,
        on_event: impl FnMut(Event) + Send,
    ) -> Result<Bytes, Error> {
        transfer::fetch(self.core(), picture, on_event).await
    }

    /// Begins a run whose end `waiter` is told: for callers that have no future each. Its entries go to
    /// `journal`, else to the client's. Needs a tokio runtime to be called.
    ///
    /// Where the runtime is shut down, the waiter is dropped without being called.
    pub fn begin(
        &self,
        work: impl Into<Work>,
        journal: Option<Arc<dyn AsyncJournal>>,
        waiter: Arc<dyn Waiter>,
    ) {
        let journal = journal.unwrap_or_else(|| self.core().journal());
        self.0.here().begin(work.into(), WaitedFor::new(waiter, journal, None));
    }

    /// Lets a run look at its task again whose waiter did not want it to.
    pub fn resume_polling(&self, run: RunTicket) {
        if let Some(runs) = self.0.begun() {
            runs.resume_polling(run);
        }
    }

    /// Stops watching the runs whose waiters have left: what of them has not been submitted is not,
    /// a submission in flight is awaited and its task's id recorded.
    pub fn stop_abandoned(&self) {
        if let Some(runs) = self.0.begun() {
            runs.stop_abandoned();
        }
    }

    /// How many runs of it and its clones are under way.
    pub fn runs_under_way(&self) -> usize {
        self.0.begun().map_or(0, |runs| runs.count())
    }

    pub(crate) fn core(&self) -> &ClientCore {
        self.0.core()
    }
}

impl TaskHandle {
    /// The same task, looked at by another client: one with another policy, say.
    #[must_use]
    pub fn through(&self, client: &Client) -> Self {
        self.with_runs(&client.0)
    }

    /// The same task in a child of `fork()`, looked at by a client that the child has made: with all that
    /// is known of it, and nothing of the parent's connections and runs.
    #[must_use]
    pub fn forked(&self, client: &Client) -> Self {
        self.forked_with_runs(&client.0)
    }
}

impl BuildClient for Client {
    type Exchange = DynAsyncExchange;

    fn from_settings(
        settings: Settings,
        transport: Transport<DynAsyncExchange>,
    ) -> Result<Self, Error> {
        Ok(Self(Runs::of(ClientCore::new(settings, transport)?)))
    }
}

/// Without the key.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(self.core()).finish()
    }
}
