//! [`Client`]: the blocking client for the `spark_img_effects` API, on ureq; with [`Watch`], a run event
//! by event, [`TaskHandle`], and [`JobResults`] of many jobs. Rust programs without an async runtime use
//! it, and the `effects` command is built on it.
//!
//! ```no_run
//! use effects_ureq::{Client, EffectRequest, Template};
//!
//! let client = Client::from_env()?;
//! let effect = client.run(EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?)?;
//! client.download(&effect.pictures[0], "ball.png")?;
//! println!("task {} cost {:?}", effect.task_id, effect.usage.cost);
//! # Ok::<(), effects_ureq::Error>(())
//! ```
//!
//! [`Client::run`] submits and waits; [`Client::submit`] returns once the task's id is known, and
//! [`Client::task`] picks a task up again in another process. [`Client::watch`] is what they are
//! made of: an iterator of events that ends in an outcome, and that another thread can stop.
//!
//! Every name of [`effects_core`] in these signatures is exported here too.

mod address_order;
mod client;
mod client_core;
mod connection;
mod exchange;
mod http_client;
mod http_stack;
mod jobs;
mod key_stand_in;
mod task_handle;
mod transfer;
mod watch;

pub use client::Client;
pub use effects_client::{
    ClientBuilder, Job, JobNotice, JobResult, Jobs, JobsHandle, PhotoSource, Proxy, Save,
    SaveFiles, SaveWords, Stopper, read_photo,
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
pub use exchange::UreqExchange;
pub use jobs::JobResults;
pub use task_handle::TaskHandle;
pub use watch::Watch;
