//! The client's face.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Jobs, Settings};
use effects_core::driver::AsyncClock;
use effects_core::gateway::Gateway;
use effects_core::journal::{AsyncJournal, NoJournal};
use effects_core::pace::Pacer;
use effects_core::{Effect, EffectRequest, Error, Event, Picture, Policy, Reference, TaskId, Time};
use effects_jobs::{Photo, Work};

use crate::clock::TokioClock;
use crate::driver::WaitedFor;
use crate::exchange::ReqwestExchange;
use crate::shared_runs::{RunTicket, SharedRuns, Waiter};
use crate::task_handle::TaskHandle;
use crate::transfer::{self, Target};
use crate::uploads::Uploads;
use crate::watch::Watch;

/// An async client. Cloning it is cheap and shares its connections.
///
/// It is made anywhere; its futures need a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Client(Arc<Parts>);

/// What a client is made of. One under another policy shares some of it.
#[derive(Clone)]
struct Parts {
    shared: Arc<Shared>,
    policy: Arc<Policy>,
    journal: Arc<dyn AsyncJournal>,
    /// What drives its runs; made with the first.
    runs: Arc<Mutex<Option<Arc<SharedRuns>>>>,
}

pub(crate) struct Shared {
    pub(crate) gateway: Gateway<ReqwestExchange>,
    pub(crate) clock: TokioClock,
    pub(crate) settings: Settings,
    pub(crate) uploads: Uploads,
}

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
    #[must_use]
    pub fn with_policy(&self, policy: impl Into<Arc<Policy>>) -> Self {
        let policy = self.0.shared.settings.policy_here(policy.into());
        Self(Arc::new(Parts { policy, runs: Arc::default(), ..(*self.0).clone() }))
    }

    /// The same client with a journal: no submission leaves before its intent is in it, no poll
    /// before the task's id is.
    #[must_use]
    pub fn with_journal(&self, journal: Arc<dyn AsyncJournal>) -> Self {
        Self(Arc::new(Parts { journal, ..(*self.0).clone() }))
    }

    /// The gateway it talks to.
    pub fn base_url(&self) -> &effects_core::BaseUrl {
        self.0.shared.settings.endpoint.base()
    }

    /// How its runs behave.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// What it has learnt of how long tasks take, shared by all its runs and clones.
    pub fn pacer(&self) -> &Pacer {
        &self.0.shared.settings.pacer
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
    /// A submission that made no task, or nobody knows; and a task whose id the journal did not take
    /// ([`ErrorKind::Journal`](effects_core::ErrorKind::Journal), with the id).
    pub async fn submit(&self, request: EffectRequest) -> Result<TaskHandle, Error> {
        self.watch(request).submitted().await
    }

    /// Submits a request, to be followed event by event.
    pub fn watch(&self, request: EffectRequest) -> Watch {
        Watch::new(self, request.into())
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

    /// A task submitted before, by whomever.
    pub fn task(&self, id: TaskId) -> TaskHandle {
        TaskHandle::new(self, id, None)
    }

    /// Puts a photo where the service can fetch it. The same photo is uploaded once an
    /// hour, however many ask for it at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) where nobody chose how,
    /// [`ErrorKind::Upload`](effects_core::ErrorKind::Upload) and its like where it failed. Nothing
    /// was submitted then.
    pub async fn upload(&self, photo: &Photo) -> Result<Reference, Error> {
        transfer::upload(self, photo).await
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
            transfer::download(self, picture, &mut target, on_event).await?;
            target.finish().await
        };
        landed.await.map_err(|error| self.resumable(error, &picture.task_id))
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
        let mut target = Target::Memory(Vec::new());
        let fetched = transfer::download(self, picture, &mut target, on_event).await;
        fetched.map_err(|error| self.resumable(error, &picture.task_id))?;
        Ok(target.into_bytes())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Begins a run whose end `waiter` is told: for callers that have no future each. Its entries go to
    /// `journal`, else to the client's. Needs a tokio runtime to be called.
    ///
    /// Where the runtime is shut down, the waiter is dropped without having been told.
    pub fn begin(
        &self,
        work: impl Into<Work>,
        journal: Option<Arc<dyn AsyncJournal>>,
        waiter: Arc<dyn Waiter>,
    ) {
        let journal = journal.unwrap_or_else(|| self.journal());
        self.runs().begin(work.into(), WaitedFor::new(waiter, journal, None));
    }

    /// Lets a run look at its task again whose waiter did not want it to.
    pub fn look_on(&self, run: RunTicket) {
        if let Some(runs) = &*self.kept_runs() {
            runs.look_on(run);
        }
    }

    /// Stops watching the runs whose waiters have left: what of them has not been submitted is not,
    /// a submission in flight is awaited and its task's id recorded.
    pub fn look_who_left(&self) {
        if let Some(runs) = &*self.kept_runs() {
            runs.look_who_left();
        }
    }

    /// How many runs of it and its clones are under way.
    pub fn runs_under_way(&self) -> usize {
        self.kept_runs().as_ref().map_or(0, |runs| runs.count())
    }

    /// The runs that its next one joins, in the runtime that is entered. Another runtime has others, since
    /// each drives its own.
    pub(crate) fn runs(&self) -> Arc<SharedRuns> {
        let mut runs = self.kept_runs();
        match &*runs {
            Some(runs) if runs.is_here() => Arc::clone(runs),
            _ => Arc::clone(runs.insert(Arc::new(SharedRuns::start(self)))),
        }
    }

    fn kept_runs(&self) -> MutexGuard<'_, Option<Arc<SharedRuns>>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same client for a driver of runs that each bring a journal. It keeps neither this client's
    /// journal, which may be one run's own, nor its runs, since a driver that kept itself would never end.
    pub(crate) fn for_driver(&self) -> Self {
        let journal = Arc::new(NoJournal);
        Self(Arc::new(Parts { journal, runs: Arc::default(), ..(*self.0).clone() }))
    }

    pub(crate) fn now(&self) -> Time {
        self.0.shared.clock.now()
    }

    pub(crate) fn shared_policy(&self) -> Arc<Policy> {
        Arc::clone(&self.0.policy)
    }

    pub(crate) fn journal(&self) -> Arc<dyn AsyncJournal> {
        Arc::clone(&self.0.journal)
    }

    /// The error, with its task and the line that resumes it.
    pub(crate) fn resumable(&self, error: Error, task: &TaskId) -> Error {
        self.with_resume_line(error.about(task))
    }

    pub(crate) fn with_resume_line(&self, error: Error) -> Error {
        error.with_resume_line(|task| self.0.shared.gateway.resume_line(task))
    }
}

impl BuildClient for Client {
    fn from_settings(settings: Settings) -> Result<Self, Error> {
        let shared = Shared {
            gateway: Gateway::new(settings.endpoint.clone(), ReqwestExchange::new(&settings)?),
            clock: TokioClock::default(),
            uploads: Uploads::default(),
            settings: settings.clone(),
        };
        Ok(Self(Arc::new(Parts {
            shared: Arc::new(shared),
            policy: Arc::new(settings.policy),
            journal: Arc::new(NoJournal),
            runs: Arc::default(),
        })))
    }
}

/// Without the key.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.0.shared.settings.endpoint.base().to_string())
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
