//! [`Engine`]: the native class behind the Python `Client` and `AsyncClient` (`_client.py`), which hold one
//! each. Most of its methods return the `Operation`, `Events` or `Many` that does one call of a client, with
//! the client's settings; the [`ProcessClients`] give it the Rust client of the call.

use std::path::PathBuf;
use std::sync::Arc;

use effects_core::batch::BatchLimits;
use effects_core::{Error, ErrorKind, Picture, Policy, Template};
use effects_reqwest::Client;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::call_timeout::CallTimeout;
use crate::handle::{Handle, time};
use crate::interruptible::off_thread;
use crate::journal::{OpenJournal, TaskRows};
use crate::many::{CallBudget, Funds, Many, Plan};
use crate::operation::Operation;
use crate::policy::NativePolicy;
use crate::process_clients::ProcessClients;
use crate::reservation::Allotment;
use crate::run_operation::{FollowedTask, Launch, RunPurpose, SingleSubmission};
use crate::setup::{PlainMoney, Setup, money, plain_money};
use crate::shared_budget::GivenPrice;
use crate::submission::PlainRequest;
use crate::submission_tracker::SubmissionNote;
use crate::value::{OperationValue, fetch_picture, task_id};
use crate::watch::Events;
use crate::{failure, journal, runtime, warnings};

/// What both Python clients are made of.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Engine {
    setup: Arc<Setup>,
    clients: ProcessClients,
}

impl Engine {
    /// One submission by itself, checked.
    fn single(
        &self,
        py: Python<'_>,
        request: PlainRequest,
        policy: &NativePolicy,
    ) -> PyResult<SingleSubmission> {
        let client = self.clients.client_with(py, policy)?;
        let checked = request.check().map_err(|error| failure::exception(py, &error))?;
        let journal = self.journal(py);
        let origin = self.clients.base().origin().clone();
        let (note, shared_budget) =
            (SubmissionNote::new(Arc::clone(self.clients.base())), self.clients.shared_budget(py));
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
        let client = self.clients.client_with(py, policy)?;
        let rows = self
            .journal(py)
            .map(|journal| TaskRows::new(journal, self.clients.base().origin().clone()));
        Ok(FollowedTask {
            task: handle.at(&client),
            client,
            shared_budget: self.clients.shared_budget(py),
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
        let shared_budget = self.clients.shared_budget(py);
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
        let (base, fetch, ordered) = (Arc::clone(self.clients.base()), plain.fetch, plain.ordered);
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
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, setup: Setup) -> PyResult<Self> {
        // Before the client is built, whose own warnings (of a key that is too short, say) are
        // logged too.
        warnings::listen();
        let setup = Arc::new(setup);
        let clients = ProcessClients::new(py, Arc::clone(&setup))?;
        Ok(Self { setup, clients })
    }

    /// Where the gateway is.
    fn base_url(&self) -> String {
        self.clients.base().to_string()
    }

    /// What is left of its budget, for a copy of it elsewhere.
    fn money(&self, py: Python<'_>) -> Option<PlainMoney> {
        self.clients
            .shared_budget(py)
            .map(|shared_budget| plain_money(&shared_budget.for_other_process()))
    }

    /// The line that resumes a task.
    fn resume_line(&self, py: Python<'_>, id: &str) -> PyResult<String> {
        let id = task_id(id).map_err(|error| failure::exception(py, &error))?;
        Ok(self.clients.base().resume_line(&id))
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
                uploads.chosen_for(self.clients.base().origin()).map(drop)
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
        let plan = self.plan(py, &plain, policy, self.clients.client(py)?);
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
        let (mut handle, submitted) =
            (self.clients.client_with(py, policy)?.task(id), submitted.map(time));
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
        let note = SubmissionNote::silent(Arc::clone(self.clients.base()), task.id().clone());
        let limit = CallTimeout::new(
            self.clients.base(),
            timeout,
            ErrorKind::Transport,
            "the look at the task",
        )
        .map_err(|error| failure::exception(py, &error))?;
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
        let note = handle.note(self.clients.base());
        let template = handle.template.as_deref().and_then(|id| Template::unlisted(id).ok());
        let (client, purpose) = (followed.client.clone(), RunPurpose::Follow(Box::new(followed)));
        Ok(Operation::joining(Launch { purpose, note, client }, template, fetch))
    }

    /// Follows a task event by event.
    fn events(&self, py: Python<'_>, handle: &Handle, policy: &NativePolicy) -> PyResult<Events> {
        let followed = self.followed(py, handle, policy)?;
        let (client, note) = (followed.client.clone(), handle.note(self.clients.base()));
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
        self.clients.close();
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
        let client = self.clients.client_with(py, policy)?;
        let picture = picture.read().map_err(|error| failure::exception(py, &error))?;
        let note = SubmissionNote::silent(Arc::clone(self.clients.base()), picture.task_id.clone());
        let limit = CallTimeout::new(
            self.clients.base(),
            timeout,
            ErrorKind::Download,
            "the download of the picture",
        )
        .map_err(|error| failure::exception(py, &error))?;
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
        let client = self.clients.client_with(py, policy)?;
        let limit = CallTimeout::new(
            self.clients.base(),
            timeout,
            ErrorKind::Upload,
            "the upload of the photo",
        )
        .map_err(|error| failure::exception(py, &error))?;
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
