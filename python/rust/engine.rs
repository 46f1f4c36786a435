//! [`Engine`]: the native class behind the Python `Client` and `AsyncClient` (`_client.py`), which hold one
//! each. Most of its methods return the `Operation`, `Events` or `Many` that does one call of a client. It
//! keeps a client's settings, and for each process connections and a budget, so that a child of `fork()`
//! has its own.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use effects_client::is_replay;
use effects_core::batch::BatchLimits;
use effects_core::{BaseUrl, Error, ErrorKind, Picture, Policy, TaskId, Template};
use effects_reqwest::Client;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::handle::{Handle, time};
use crate::interruptible::off_thread;
use crate::journal::{OpenJournal, TaskRows};
use crate::many::{CallBudget, Funds, Many, Plan};
use crate::operation::Operation;
use crate::policy::{NativePolicy, duration};
use crate::reservation::Allotment;
use crate::run_operation::{FollowedTask, Launch, RunPurpose, SingleSubmission};
use crate::setup::{PlainMoney, Setup, money, plain_money};
use crate::shared_budget::{GivenPrice, SharedBudget};
use crate::submission::PlainRequest;
use crate::submission_tracker::SubmissionNote;
use crate::value::{OperationValue, fetch_picture, task_id};
use crate::watch::Events;
use crate::{failure, journal, runtime, setup, warnings};

/// What both Python clients are made of.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Engine {
    setup: Arc<Setup>,
    base: Arc<BaseUrl>,
    /// What belongs to this process: connections and drivers do not survive `fork()`.
    process_state: Mutex<Option<ProcessState>>,
    /// What this client may spend in its life, and the process that counts.
    shared_budget: Mutex<Option<(u32, Arc<SharedBudget>)>>,
}

/// What an engine has in one process.
#[derive(Debug)]
struct ProcessState {
    process: u32,
    client: Client,
    /// The same client under each policy: its runs are driven together.
    clients: Vec<(Arc<Policy>, Client)>,
}

impl ProcessState {
    fn of(client: Client) -> Self {
        Self { process: std::process::id(), client, clients: Vec::new() }
    }

    fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    /// The client under this policy.
    fn client_under(&mut self, policy: &Arc<Policy>) -> Client {
        // Most calls bring the policy of their client: comparing the pointers spares comparing its
        // fields.
        let same = |of: &Arc<Policy>| Arc::ptr_eq(of, policy) || **of == **policy;
        if let Some((_, client)) = self.clients.iter().find(|(of, _)| same(of)) {
            return client.clone();
        }
        let client = self.client.with_policy(Arc::clone(policy));
        if self.clients.len() >= MAX_CLIENTS {
            // A client without runs is cheap to make again. Forgetting one that drives runs would
            // give the next call of its policy a second driver.
            self.clients.retain(|(_, client)| client.runs_under_way() > 0);
        }
        // Where every call has a policy of its own, each has a driver of its own.
        if self.clients.len() < MAX_CLIENTS {
            self.clients.push((Arc::clone(policy), client.clone()));
        }
        client
    }
}

/// In a fork, drivers and connections belong to a thread of the parent's, and so does what waits for the
/// budget: they are forgotten, not dropped.
impl Drop for Engine {
    fn drop(&mut self) {
        let process = std::process::id();
        let state = self.process_state.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if state.as_ref().is_some_and(|state| !state.is_here()) {
            std::mem::forget(state);
        }
        let budget = self.shared_budget.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if budget.as_ref().is_some_and(|(owner, _)| *owner != process) {
            std::mem::forget(budget);
        }
    }
}

impl Engine {
    /// The client of this process.
    pub fn client(&self, py: Python<'_>) -> PyResult<Client> {
        self.with_state(py, |state| state.client.clone())
    }

    /// Does this with what belongs to this process.
    fn with_state<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ProcessState) -> T,
    ) -> PyResult<T> {
        loop {
            if let Some(state) = &mut *self.process_state()
                && state.is_here()
            {
                return Ok(work(state));
            }
            // Without the mutex: what gives the key may let go of the interpreter's lock, and a thread
            // that takes that lock and then waits for the mutex would never let go of it.
            let made = ProcessState::of(build_client(py, &self.setup, Some(&self.base))?);
            let mut held = self.process_state();
            // Another thread may have been faster: its client may have runs already.
            if !held.as_ref().is_some_and(ProcessState::is_here) {
                // Forgotten, not dropped: a parent's connections end in a thread that is not in this
                // process.
                std::mem::forget(held.replace(made));
            }
        }
    }

    fn process_state(&self) -> MutexGuard<'_, Option<ProcessState>> {
        self.process_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The money of this process: a fork counts for itself.
    fn shared_budget(&self, _holds_the_lock: Python<'_>) -> Option<Arc<SharedBudget>> {
        let mut held = self.shared_budget.lock().unwrap_or_else(PoisonError::into_inner);
        let (owner, shared_budget) = held.as_ref()?;
        let process = std::process::id();
        if *owner == process {
            return Some(Arc::clone(shared_budget));
        }
        let own = SharedBudget::of(shared_budget.forked());
        // Forgotten, not dropped: a parent's waiters are in a thread that is not in this process.
        std::mem::forget(held.replace((process, Arc::clone(&own))));
        Some(own)
    }

    /// One submission by itself, checked.
    fn single(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
    ) -> PyResult<SingleSubmission> {
        let client = self.client_with(py, policy)?;
        let checked = request.check().map_err(|error| failure::exception(py, &error))?;
        let journal = self.journal(py);
        let origin = self.base.origin().clone();
        let (note, shared_budget) =
            (SubmissionNote::new(Arc::clone(&self.base)), self.shared_budget(py));
        Ok(SingleSubmission { client, request: checked, note, journal, origin, shared_budget })
    }

    /// Where the client's journal is, if it has one.
    fn journal(&self, py: Python<'_>) -> Option<Arc<OpenJournal>> {
        self.setup.journal.as_deref().map(|path| journal::journal_at(py, path))
    }

    /// A task to be followed, with the budget and the journal that its end settles.
    fn followed(
        &self,
        py: Python<'_>,
        handle: &Handle,
        policy: &NativePolicy,
    ) -> PyResult<FollowedTask> {
        let client = self.client_with(py, policy)?;
        let rows =
            self.journal(py).map(|journal| TaskRows::new(journal, self.base.origin().clone()));
        Ok(FollowedTask {
            task: handle.at(&client),
            client,
            shared_budget: self.shared_budget(py),
            rows,
        })
    }

    fn plan(
        &self,
        py: Python<'_>,
        plain: &PlainMany,
        policy: &NativePolicy,
        client: Client,
    ) -> Result<Plan, Error> {
        let path = plain.journal.clone().or_else(|| self.setup.journal.clone());
        let journal = path.map(|path| journal::journal_at(py, &path));
        let price = plain.price.as_deref().map(money).transpose()?;
        let limit = plain.budget.as_deref().map(money).transpose()?;
        let shared_budget = self.shared_budget(py);
        if let Some(scope) = &plain.scope {
            let why = match (&journal, &shared_budget) {
                (None, _) => "is shared through a journal: give journal= as well",
                (_, Some(_)) => {
                    "shares one budget with others, and the client has a budget of its own, which only \
                     its process knows: give budget= to this call instead of the client"
                }
                _ => "",
            };
            if !why.is_empty() {
                return Err(Error::new(ErrorKind::Misconfigured, format!("scope={scope:?} {why}")));
            }
        }
        let funds = match shared_budget {
            // The journal may know what one costs.
            Some(shared_budget) if journal.is_some() => Funds::Later(shared_budget, limit, price),
            // Set aside before this call returns: the next call must not find the same money free.
            Some(shared_budget) => match Allotment::of(&shared_budget, limit, price, None)? {
                Some(allotted) => Funds::Allotted(allotted),
                None => Funds::Later(shared_budget, limit, price),
            },
            None => Funds::Own(limit, price),
        };
        let policy = policy.of_call(&client);
        let policy = Policy { unknown_in_a_row: plain.unknown_in_a_row, ..(*policy).clone() };
        let client = client.with_policy(policy);
        let (submissions, tasks, polls_per_second) = plain.batch_limits;
        let batch_limits = BatchLimits { submissions, tasks, polls_per_second };
        let (base, fetch, ordered) = (Arc::clone(&self.base), plain.fetch, plain.ordered);
        let scope = plain.scope.clone();
        let (ahead, call_budget) =
            (plain.ahead, CallBudget { budget: limit, price: GivenPrice::of(price) });
        let parent = plain.parent.as_ref().map(|parent| Arc::new(parent.clone_ref(py)));
        Ok(Plan {
            client,
            base,
            batch_limits,
            ahead,
            funds,
            call_budget,
            scope,
            journal,
            fetch,
            ordered,
            parent,
        })
    }

    /// The time that one call may take.
    fn call_timeout(
        &self,
        py: Python<'_>,
        seconds: Option<f64>,
        kind: ErrorKind,
        what: &'static str,
    ) -> PyResult<CallTimeout> {
        let limit = seconds.map(|seconds| duration("timeout", seconds)).transpose();
        let time = limit.map_err(|error| failure::exception(py, &error))?;
        Ok(CallTimeout { time, kind, what, task: None, base: Arc::clone(&self.base) })
    }

    /// The client of this process under this policy, for one call that begins now.
    fn client_with(&self, py: Python<'_>, policy: &NativePolicy) -> PyResult<Client> {
        self.with_state(py, |state| state.client_under(&policy.of_call(&state.client)))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, setup: Setup) -> PyResult<Self> {
        // Before the client is built, whose own warnings (of a key that is too short, say) are
        // logged too.
        warnings::listen();
        let setup = Arc::new(setup);
        let client = build_client(py, &setup, None)?;
        let base_url = client.base_url().to_string();
        // Building the client has read it, and decided whether plain http is allowed: `true` asks no more.
        let base = BaseUrl::parse(&base_url, true).map_err(|error| {
            let error = Error::new(ErrorKind::Misconfigured, error.to_string());
            failure::exception(py, &error)
        })?;
        let base = Arc::new(base);
        let shared_budget =
            setup.shared_budget().map_err(|error| failure::exception(py, &error))?;
        let process_state = Mutex::new(Some(ProcessState::of(client)));
        let shared_budget =
            Mutex::new(shared_budget.map(|shared_budget| (std::process::id(), shared_budget)));
        Ok(Self { setup, base, process_state, shared_budget })
    }

    /// Where the gateway is.
    fn base_url(&self) -> String {
        self.base.to_string()
    }

    /// What is left of its budget, for a copy of it elsewhere.
    fn money(&self, py: Python<'_>) -> Option<PlainMoney> {
        self.shared_budget(py).map(|shared_budget| plain_money(&shared_budget.for_other_process()))
    }

    /// The line that resumes a task.
    fn resume_line(&self, py: Python<'_>, id: &str) -> PyResult<String> {
        let id = task_id(id).map_err(|error| failure::exception(py, &error))?;
        Ok(self.base.resume_line(&id))
    }

    /// Everything wrong with a request, without a network: what the service's rules say, and what is
    /// wrong with a local photo or where to put it.
    fn check<'py>(&self, py: Python<'py>, request: PlainRequest) -> PyResult<CheckFindings<'py>> {
        let mut problems = Vec::new();
        let image = request.image.clone();
        let violations = match request.check() {
            Ok(_) => Vec::new(),
            Err(error) => match error.cause() {
                effects_core::Cause::Invalid(invalid) => invalid.violations().to_vec(),
                _ => return Err(failure::exception(py, &error)),
            },
        };
        if let Some(image) = image
            && image.draft() == effects_core::model::DraftImage::Local
        {
            // The photo may be a pipe that nothing writes to: Ctrl-C is answered while it is read.
            if let Err(error) = off_thread(py, || image.photo())? {
                problems.push(failure::object(py, &error)?);
            }
            let uploads = self.setup.uploads.as_deref().map_or(Ok(Default::default()), str::parse);
            let chosen = uploads.and_then(|uploads: effects_jobs::Uploads| {
                uploads.chosen_for(self.base.origin()).map(drop)
            });
            if let Err(error) = chosen {
                problems.push(failure::object(py, &error)?);
            }
        }
        Ok((failure::violations(py, &violations)?, problems))
    }

    /// Submits and waits; with `fetch`, for the pictures' bytes as well.
    fn run(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
        fetch: bool,
    ) -> PyResult<Operation> {
        let single = self.single(py, request, policy)?;
        let (note, template) = (Arc::clone(&single.note), Some(single.request.template().clone()));
        let (client, purpose) = (single.client.clone(), RunPurpose::Submit(Box::new(single)));
        Ok(Operation::joining(Launch { purpose, note, client }, template, fetch))
    }

    /// Submits, and knows the task's id then.
    fn submit(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
    ) -> PyResult<Operation> {
        let single = self.single(py, request, policy)?;
        let (note, template) = (Arc::clone(&single.note), single.request.template().clone());
        let (client, purpose) = (single.client.clone(), RunPurpose::Submit(Box::new(single)));
        Ok(Operation::submitting(Launch { purpose, note, client }, template))
    }

    /// Does many rows at once. `batch_limits` are submissions and tasks in flight and polls a second;
    /// `budget` and `price` are decimal text; `rows` gives plain dicts.
    fn run_many(&self, py: Python<'_>, plain: PlainMany, policy: &NativePolicy) -> PyResult<Many> {
        let plan = self.plan(py, &plain, policy, self.client(py)?);
        let plan = plan.map_err(|error| failure::exception(py, &error))?;
        let runtime = runtime::handle(py).map_err(|error| failure::exception(py, &error))?;
        Ok(Many::start(&runtime, plan, plain.rows))
    }

    /// A task submitted before; `submitted` in seconds since the epoch, if it is known.
    fn task(
        &self,
        py: Python<'_>,
        id: &str,
        policy: &NativePolicy,
        template: Option<String>,
        submitted: Option<f64>,
    ) -> PyResult<Handle> {
        let id = task_id(id).map_err(|error| failure::exception(py, &error))?;
        let (mut handle, submitted) = (self.client_with(py, policy)?.task(id), submitted.map(time));
        if let Some(submitted) = submitted {
            handle = handle.submitted_at(submitted);
        }
        if let Some(template) = template.as_deref().and_then(|id| Template::unlisted(id).ok()) {
            handle = handle.of_template(template);
        }
        Ok(Handle::of_this_process(handle, template, submitted).known_to_caller())
    }

    /// One look at a task, within so many seconds.
    fn status(
        &self,
        py: Python<'_>,
        handle: &Handle,
        policy: &NativePolicy,
        timeout: Option<f64>,
    ) -> PyResult<Operation> {
        let FollowedTask { client, task, shared_budget, rows } =
            self.followed(py, handle, policy)?;
        let note = SubmissionNote::silent(Arc::clone(&self.base), task.id().clone());
        let limit = self.call_timeout(py, timeout, ErrorKind::Transport, "the look at the task")?;
        let limit = limit.about(task.id());
        Ok(Operation::new(Some(note), async move {
            let look = limit.enforce(task.status()).await?;
            if let Some(outcome) = look.outcome(task.id(), Some(client.base_url())) {
                // A look that shows the end settles it like a wait would: no other call may ever
                // see this end.
                let end = outcome.into_result();
                if let Some(shared_budget) = shared_budget {
                    shared_budget.settle_task(task.id(), &end);
                }
                if let Some(rows) = rows {
                    rows.settle(task.id(), &end).await;
                }
            }
            Ok(OperationValue::Task(Box::new(look)))
        }))
    }

    /// Waits for a task; with `fetch`, for the pictures' bytes as well.
    fn wait(
        &self,
        py: Python<'_>,
        handle: &Handle,
        policy: &NativePolicy,
        fetch: bool,
    ) -> PyResult<Operation> {
        let followed = self.followed(py, handle, policy)?;
        let note = handle.note(&self.base);
        let template = handle.template.as_deref().and_then(|id| Template::unlisted(id).ok());
        let (client, purpose) = (followed.client.clone(), RunPurpose::Follow(Box::new(followed)));
        Ok(Operation::joining(Launch { purpose, note, client }, template, fetch))
    }

    /// Follows a task event by event.
    fn events(&self, py: Python<'_>, handle: &Handle, policy: &NativePolicy) -> PyResult<Events> {
        let followed = self.followed(py, handle, policy)?;
        let (client, note) = (followed.client.clone(), handle.note(&self.base));
        let purpose = RunPurpose::Follow(Box::new(followed));
        Ok(Events::new(Launch { purpose, note, client }, handle.template.clone()))
    }

    /// Submits and follows event by event, from the submission on.
    fn run_events(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
    ) -> PyResult<Events> {
        let single = self.single(py, request, policy)?;
        let (note, template) =
            (Arc::clone(&single.note), single.request.template().id().to_owned());
        let (client, purpose) = (single.client.clone(), RunPurpose::Submit(Box::new(single)));
        Ok(Events::new(Launch { purpose, note, client }, Some(template)))
    }

    /// Lets go of its connections; what is under way keeps its own to its end.
    fn close(&self) {
        // In a fork, what is held is the parent's: it is forgotten, as in `drop`.
        if let Some(state) = self.process_state().take()
            && !state.is_here()
        {
            std::mem::forget(state);
        }
    }

    /// Downloads a picture within so many seconds, into a file if a path is given.
    fn download(
        &self,
        py: Python<'_>,
        picture: PlainPictureJson,
        path: Option<PathBuf>,
        policy: &NativePolicy,
        timeout: Option<f64>,
    ) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let picture = picture.read().map_err(|error| failure::exception(py, &error))?;
        let note = SubmissionNote::silent(Arc::clone(&self.base), picture.task_id.clone());
        let limit =
            self.call_timeout(py, timeout, ErrorKind::Download, "the download of the picture")?;
        let limit = limit.about(&picture.task_id);
        Ok(Operation::new(Some(note), async move {
            Ok(match path {
                Some(path) => {
                    let download = client.download_with(&picture, path, warnings::log_event);
                    OperationValue::Path(limit.enforce(download).await?)
                }
                None => {
                    OperationValue::Bytes(limit.enforce(fetch_picture(&client, &picture)).await?)
                }
            })
        }))
    }

    /// Puts a local photo where the service can fetch it, within so many seconds.
    fn upload(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
        timeout: Option<f64>,
    ) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let limit = self.call_timeout(py, timeout, ErrorKind::Upload, "the upload of the photo")?;
        let Some(image) = request.image else {
            let error = Error::new(ErrorKind::UnusablePhoto, "there is no photo to upload");
            return Err(failure::exception(py, &error));
        };
        Ok(Operation::new(None, async move {
            // Reading and encoding block, and the runtime has one thread for every operation of the
            // process.
            let photo = tokio::task::spawn_blocking(|| image.photo()).await;
            let gone = |_| Err(Error::new(ErrorKind::UnusablePhoto, "the photo was not read"));
            let photo = photo.unwrap_or_else(gone)?;
            let reference = limit.enforce(client.upload(&photo)).await?;
            Ok(OperationValue::Text(reference.as_str().to_owned()))
        }))
    }
}

/// The client of a setup, at the gateway that an earlier one of it had: the environment may change; the
/// gateway may not.
fn build_client(
    py: Python<'_>,
    setup: &Arc<Setup>,
    base: Option<&Arc<BaseUrl>>,
) -> PyResult<Client> {
    let built = if setup.asks_environment_for_key() {
        // A program may print it, or a keyring ask a person: other threads run meanwhile, and Ctrl-C is
        // answered.
        let (setup, base) = (Arc::clone(setup), base.cloned());
        off_thread(py, move || setup.build(base.as_deref()))?
    } else {
        setup.build(base.map(Arc::as_ref))
    };
    let client = built.map_err(|error| {
        setup::interrupt_while_asked().unwrap_or_else(|| failure::exception(py, &error))
    })?;
    if base.is_some_and(|base| is_replay(client.base_url().origin()) && !is_replay(base.origin())) {
        // Its journal and its budget would take the replay for what is paid.
        let why = "the process that this one was forked from has recorded this client's cassette: make \
            another client here to replay it";
        return Err(failure::exception(py, &Error::new(ErrorKind::Misconfigured, why)));
    }
    Ok(client)
}

/// The time that one call may take, whatever is repeated within it.
struct CallTimeout {
    /// None: as long as the policy lets it.
    time: Option<Duration>,
    kind: ErrorKind,
    what: &'static str,
    task: Option<TaskId>,
    base: Arc<BaseUrl>,
}

impl CallTimeout {
    fn about(self, task: &TaskId) -> Self {
        Self { task: Some(task.clone()), ..self }
    }

    async fn enforce<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(time) = self.time else { return work.await };
        // The end of the time drops the work half-way, which is safe for what comes here: looks,
        // uploads and downloads, none of which is billed.
        tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
            let why = format!("{} took longer than the {time:?} of timeout=", self.what);
            let error = Error::new(self.kind, why);
            Err(match &self.task {
                // A replay's task is nowhere.
                Some(task) if is_replay(self.base.origin()) => error.about(task),
                Some(task) => {
                    error.about(task).with_resume_line(|task| self.base.resume_line(task))
                }
                None => error,
            })
        })
    }
}

/// Many rows, as Python says them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainMany {
    rows: Py<PyIterator>,
    batch_limits: (u32, u32, f64),
    ahead: u32,
    unknown_in_a_row: u32,
    budget: Option<String>,
    price: Option<String>,
    scope: Option<String>,
    journal: Option<PathBuf>,
    fetch: bool,
    ordered: bool,
    parent: Option<Py<PyAny>>,
}

/// Violations of the service's rules, and errors about the photo.
type CheckFindings<'py> = (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>);

/// A picture as Python says it: the JSON of the core's.
#[derive(FromPyObject)]
#[pyo3(transparent)]
struct PlainPictureJson(String);

impl PlainPictureJson {
    fn read(&self) -> Result<Picture, Error> {
        serde_json::from_str(&self.0).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("the picture cannot be read: {error}"))
        })
    }
}

/// Open batches of one client: as many policies as are used side by side.
const MAX_CLIENTS: usize = 32;
