//! A client's settings, and the operations made of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use effects_core::{BaseUrl, Error, ErrorKind, Picture, Time};
use effects_reqwest::{Client, ClientBuilder, Proxy, TaskHandle};
use pyo3::prelude::*;

use crate::failure;
use crate::note::{Note, Noting};
use crate::operation::Operation;
use crate::policy::{NativePolicy, span};
use crate::submission::Wish;
use crate::value::{Made, Submitted, Value, task_id};
use crate::watch::Events;

/// What both Python clients are made of.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Engine {
    setup: Setup,
    base: BaseUrl,
    /// The client of this process: connections do not survive `fork()`.
    client: Mutex<Option<(u32, Client)>>,
}

/// The settings, as they came.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Setup {
    api_key: Option<String>,
    base_url: Option<String>,
    allow_http: bool,
    connect_timeout: f64,
    uploads: Option<String>,
    proxy: Option<String>,
    ca_bundle: Option<std::path::PathBuf>,
}

/// Without the key, and without a proxy's password.
impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Setup {
    fn build(&self) -> Result<Client, Error> {
        let mut builder = ClientBuilder::<Client>::from_env()
            .allow_http(self.allow_http)
            .connect_timeout(span("connect_timeout", self.connect_timeout)?);
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key);
        }
        if let Some(url) = &self.base_url {
            builder = builder.base_url(url);
        }
        if let Some(uploads) = &self.uploads {
            builder = builder.uploads(uploads.parse()?);
        }
        if let Some(proxy) = &self.proxy {
            let direct = proxy.is_empty();
            builder = builder.proxy(if direct { Proxy::Direct } else { Proxy::Url(proxy.clone()) });
        }
        if let Some(path) = &self.ca_bundle {
            builder = builder.ca_bundle(path);
        }
        builder.build()
    }
}

impl Engine {
    /// The client of this process.
    pub fn client(&self, _holds_the_lock: Python<'_>) -> Result<Client, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some((owner, client)) = &*client
            && *owner == process
        {
            return Ok(client.clone());
        }
        let made = self.setup.build()?;
        // A parent's connections end in a thread that is not here, and must not be told.
        std::mem::forget(client.replace((process, made.clone())));
        Ok(made)
    }

    fn client_with(&self, py: Python<'_>, policy: &NativePolicy) -> PyResult<Client> {
        let client = self.client(py).map_err(|error| failure::exception(py, &error))?;
        Ok(client.with_policy(policy.0.clone()))
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, setup: Setup) -> PyResult<Self> {
        let client = setup.build().map_err(|error| failure::exception(py, &error))?;
        let base_url = client.base_url().to_string();
        // Read before, so it reads again.
        let base = BaseUrl::parse(&base_url, true).map_err(|error| {
            let error = Error::new(ErrorKind::Misconfigured, error.to_string());
            failure::exception(py, &error)
        })?;
        let client = Mutex::new(Some((std::process::id(), client)));
        // The environment may change; the gateway may not.
        let setup = Setup { base_url: Some(base_url), ..setup };
        Ok(Self { setup, base, client })
    }

    /// Where the gateway is.
    fn base_url(&self) -> String {
        self.base.to_string()
    }

    /// The line that resumes a task.
    fn resume_line(&self, py: Python<'_>, id: &str) -> PyResult<String> {
        let id = task_id(id).map_err(|error| failure::exception(py, &error))?;
        Ok(self.base.resume_line(&id))
    }

    /// Everything wrong with a wish, without a network: what the service's rules say, and what is
    /// wrong with a local photo or where to put it.
    fn check<'py>(&self, py: Python<'py>, wish: Wish) -> PyResult<Found<'py>> {
        let mut problems = Vec::new();
        let image = wish.image.clone();
        let violations = match wish.check() {
            Ok(_) => Vec::new(),
            Err(error) => match error.cause() {
                effects_core::Cause::Invalid(invalid) => invalid.violations().to_vec(),
                _ => return Err(failure::exception(py, &error)),
            },
        };
        if let Some(image) = image
            && image.draft() == effects_core::DraftImage::Local
        {
            if let Err(error) = py.detach(|| image.photo()) {
                problems.push(failure::object(py, &error)?);
            }
            let uploads = self.setup.uploads.as_deref().map_or(Ok(Default::default()), str::parse);
            let chosen = uploads.and_then(|uploads: effects_core::Uploads| {
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
        wish: Wish,
        policy: &NativePolicy,
        fetch: bool,
    ) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let order = wish.check().map_err(|error| failure::exception(py, &error))?;
        let note = Note::new(self.base.clone());
        let noting = Arc::new(Noting { note: Arc::clone(&note), inner: None });
        Ok(Operation::new(Some(note), async move {
            let begun = Instant::now();
            let template = order.template().to_owned();
            let request = order.request(&client).await?;
            let effect = client.with_journal(noting).run(request).await?;
            made(&client, effect, fetch, Some(template), begun).await
        }))
    }

    /// Submits, and knows the task's id then.
    fn submit(&self, py: Python<'_>, wish: Wish, policy: &NativePolicy) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let order = wish.check().map_err(|error| failure::exception(py, &error))?;
        let note = Note::new(self.base.clone());
        let noting = Arc::new(Noting { note: Arc::clone(&note), inner: None });
        Ok(Operation::new(Some(note), async move {
            let template = order.template().to_owned();
            let request = order.request(&client).await?;
            let handle = client.with_journal(noting).submit(request).await?;
            let at = now();
            Ok(Value::Handle(Box::new(Submitted { handle, template, at })))
        }))
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
        Ok(Handle::of_this_process(handle, template, submitted))
    }

    /// One look at a task.
    fn status(
        &self,
        py: Python<'_>,
        handle: &Handle,
        policy: &NativePolicy,
    ) -> PyResult<Operation> {
        let task = handle.at(&self.client_with(py, policy)?);
        let note = Note::about(self.base.clone(), task.id().clone());
        Ok(Operation::new(
            Some(note),
            async move { Ok(Value::Task(Box::new(task.status().await?))) },
        ))
    }

    /// Waits for a task; with `fetch`, for the pictures' bytes as well.
    fn wait(
        &self,
        py: Python<'_>,
        handle: &Handle,
        policy: &NativePolicy,
        fetch: bool,
    ) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let task = handle.at(&client);
        let note = Note::about(self.base.clone(), task.id().clone());
        let template = handle.template.clone();
        Ok(Operation::new(Some(note), async move {
            let begun = Instant::now();
            let effect = task.wait().await?;
            made(&client, effect, fetch, template, begun).await
        }))
    }

    /// Follows a task event by event.
    fn events(&self, py: Python<'_>, handle: &Handle, policy: &NativePolicy) -> PyResult<Events> {
        let task = handle.at(&self.client_with(py, policy)?);
        let note = Note::about(self.base.clone(), task.id().clone());
        Ok(Events::new(task.events(), note))
    }

    /// Downloads a picture, into a file if a path is given.
    fn download(
        &self,
        py: Python<'_>,
        picture: PlainPicture,
        path: Option<std::path::PathBuf>,
        policy: &NativePolicy,
    ) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let picture = picture.read().map_err(|error| failure::exception(py, &error))?;
        let note = Note::about(self.base.clone(), picture.task_id.clone());
        Ok(Operation::new(Some(note), async move {
            Ok(match path {
                Some(path) => Value::Path(client.download(&picture, path).await?),
                None => Value::Bytes(client.fetch(&picture).await?),
            })
        }))
    }

    /// Puts a local photo where the service can fetch it.
    fn upload(&self, py: Python<'_>, wish: Wish, policy: &NativePolicy) -> PyResult<Operation> {
        let client = self.client_with(py, policy)?;
        let Some(image) = wish.image else {
            let error = Error::new(ErrorKind::UnusablePhoto, "there is no photo to upload");
            return Err(failure::exception(py, &error));
        };
        Ok(Operation::new(None, async move {
            let photo = tokio::task::spawn_blocking(|| image.photo()).await;
            let gone = |_| Err(Error::new(ErrorKind::UnusablePhoto, "the photo was not read"));
            let reference = client.upload(&photo.unwrap_or_else(gone)?).await?;
            Ok(Value::Text(reference.as_str().to_owned()))
        }))
    }
}

/// Violations of the service's rules, and errors about the photo.
type Found<'py> = (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>);

/// The effect, with its pictures if they are wanted.
async fn made(
    client: &Client,
    effect: effects_core::Effect,
    fetch: bool,
    template: Option<String>,
    begun: Instant,
) -> Result<Value, Error> {
    let mut fetched = Vec::new();
    if fetch {
        for picture in &effect.pictures {
            fetched.push(client.fetch(picture).await?);
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    Ok(Value::Effect(Box::new(Made { effect, fetched, template, elapsed })))
}

/// A picture as Python says it: the JSON of the core's.
#[derive(FromPyObject)]
#[pyo3(transparent)]
struct PlainPicture(String);

impl PlainPicture {
    fn read(&self) -> Result<Picture, Error> {
        serde_json::from_str(&self.0).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("the picture cannot be read: {error}"))
        })
    }
}

/// A task by its id, which remembers its end once somebody saw it.
#[pyclass(frozen, module = "spark_effects._native")]
#[derive(Debug)]
pub struct Handle {
    handle: Mutex<(u32, TaskHandle)>,
    template: Option<String>,
    submitted: Option<Time>,
}

impl Handle {
    pub fn of_this_process(
        handle: TaskHandle,
        template: Option<String>,
        submitted: Option<Time>,
    ) -> Self {
        Self { handle: Mutex::new((std::process::id(), handle)), template, submitted }
    }

    /// The task, looked at by this client.
    fn at(&self, client: &Client) -> TaskHandle {
        let mut held = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if held.0 != process {
            let mut fresh = client.task(held.1.id().clone());
            if let Some(submitted) = self.submitted {
                fresh = fresh.submitted_at(submitted);
            }
            // A parent's connections end in a thread that is not here, and must not be told.
            std::mem::forget(std::mem::replace(&mut *held, (process, fresh)));
        }
        held.1.through(client)
    }
}

#[pymethods]
impl Handle {
    /// When it was submitted, in seconds since the epoch, if this client did it.
    #[getter]
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit an f64 exactly")]
    fn submitted(&self) -> Option<f64> {
        self.submitted.map(|at| at.as_millis() as f64 / 1_000.0)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn time(seconds: f64) -> Time {
    Time::from_millis((seconds * 1_000.0) as u64)
}

fn now() -> Time {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = wall.map_or(0, |wall| wall.as_millis());
    Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
