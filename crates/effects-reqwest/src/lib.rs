//! [`Client`]: the async client for the `spark_img_effects` API, on reqwest and tokio. A [`TaskHandle`]
//! names one of its tasks, a [`Watch`] follows a run event by event, and [`JobResults`] streams the results
//! of many jobs. Async Rust programs use it, and the Python package is built on it.
//!
//! ```no_run
//! use effects_reqwest::{Client, EffectRequest, Template};
//!
//! # async fn example() -> Result<(), effects_reqwest::Error> {
//! let client = Client::from_env()?;
//! let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
//! let effect = client.run(request.clone()).await?;
//! client.download(&effect.pictures[0], "ball.png").await?;
//! println!("task {} cost {:?}", effect.task_id, effect.usage.cost);
//!
//! let task = client.submit(request).await?; // the id outlives the process
//! let mut events = task.events();
//! while let Some(event) = events.next().await {
//!     println!("{event}");
//! }
//! let effect = task.wait().await?; // or, tomorrow: client.task(id).wait()
//! # Ok(())
//! # }
//! ```
//!
//! Dropping a future of this crate stops the watching and loses nothing: a submission under way
//! runs in a task of its own to its answer, and the id in it reaches the journal and the log.
//!
//! Many at once: [`Client::jobs`] draws jobs from a list as room comes. Runs that come by themselves are
//! one future of [`Client::run`] each; a client drives them all in one task, and ten thousand wait in a few
//! megabytes.
//!
//! What most programs name of [`effects_core`] and [`effects_jobs`] is exported here too.

mod client;
mod client_core;
mod clock;
mod connector;
mod driver;
mod error_description;
mod exchange;
mod guarded_future;
mod http_client;
mod http_stack;
mod jobs;
mod kept_readable;
mod runs;
mod shared_runs;
mod submission;
mod subscription;
mod task_handle;
mod tls;
mod transfer;
mod uploads;
mod waiter;
mod watch;

pub use client::Client;
pub use clock::TokioClock;
pub use effects_client::{
    ClientBuilder, Job, JobNotice, JobResult, Jobs, JobsHandle, PhotoSource, Proxy, Save,
    SaveFiles, SaveWords, read_photo,
};
pub use effects_core::gateway::{CallResult, ExchangeObserver, ObserveEnd, RequestExcerpt};
pub use effects_core::wire::ResponseExcerpt;
pub use effects_core::{
    ApiKey, Backoff, BaseUrl, Cause, Deadline, Effect, EffectRequest, Error, ErrorKind, Event,
    ExtraParams, Group, ImageFormat, InvalidApiKey, InvalidBaseUrl, InvalidParam, InvalidReference,
    InvalidRequest, InvalidTaskId, Origin, Outcome, Pace, Picture, Policy, Problem, Reference,
    Repeat, ServiceCode, ServiceError, Size, Status, Submission, Task, TaskId, Template,
    UnknownTemplate, Usage, Violation,
};
pub use effects_jobs::{
    Budget, JobLimits, JobOutcome, JournalStore, MemoryStore, Method, Photo, Uploader, Uploads,
    Work,
};
pub use exchange::ReqwestExchange;
pub use jobs::JobResults;
pub use task_handle::TaskHandle;
pub use waiter::{PollControl, RunTicket, Waiter};
pub use watch::Watch;
