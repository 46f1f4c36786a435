//! The core of a client of the `spark_img_effects` API: [`Run`] follows a paid task from submission to
//! picture, a [`Batch`](batch::Batch) many of them, as state machines without I/O; with them the types,
//! validation and wire format of the API. Every other crate here and the Python binding build on it, and so
//! do programs with an HTTP stack of their own.
//!
//! The API turns a photo into a styled picture: a client POSTs a task, polls it until it is completed
//! or failed, and gets a picture's URL and a bill. This crate knows all of that and does none of it.
//! It opens no socket, reads no clock, draws no random numbers and writes no log, so it runs under any
//! HTTP stack, in any runtime, and in a test at any speed.
//!
//! # The contract
//!
//! **Step the [`Run`], do what the [`Step`] says, tell the run what came of it. Nothing else happens.**
//!
//! 1. Make a run with [`Run::submit`], [`Run::attach`] or [`Run::restore`]. It takes the time and eight
//!    random bytes as arguments, and never asks for more of either.
//! 2. Call [`Run::step`] with the time. It is safe at any moment and any number of times.
//! 3. [`Step::Record`]: make the entry durable, then call [`Run::recorded`]. Nothing else comes before
//!    that, so no submission leaves without its intent on disk, and no poll before the task's id is.
//!    Where a [`Journal`](journal::Journal) keeps it, give its answer to [`Run::admission`] instead: one with
//!    a budget may have refused the intent, and `recorded` would send the submission all the same.
//! 4. [`Step::Send`]: make the exchange within the call's `timeout`, say truthfully in the
//!    [`Answer`](gateway::Answer) whether the request can have left, and give what
//!    [`Endpoint::result`](gateway::Endpoint::result) makes of it to [`Run::reply`]. Each call is handed
//!    out once.
//! 5. [`Step::Sleep`]: nothing to do before then. While a call is out, the sleep lasts to the call's
//!    limit, past which the run books it as lost by itself; so an end always comes.
//! 6. [`Step::Notify`]: pass the event to the caller.
//! 7. [`Step::Done`]: the [`Outcome`]. Every later step says the same.
//!
//! # The machine
//!
//! ```text
//! submit                      attach
//!   |                            |
//!   v    Record(Intent)          |
//! Intend -------> Ready          |
//!   ^               | Send       |
//!   |               v            |
//!   | refused      Out           |                                     Done
//!   | for now,      |            |                                       |
//!   | never left    |            |                                       +- Completed
//! Holding <---------+--- refused ----------------------------------------+- Refused
//!                   +--- lost, unreadable -------------------------------+- Unknown
//!                   |            |                                       |
//!                   | Record(Created), Notify(Submitted)                 |
//!                   v            v                                       |
//!                  Waiting: Due --- Send(Poll) --> Out --- verdict ------+- Failed
//!                            ^                      |  \-- gone, barred -+- Broken
//!                            +--- still running, ---+                    |
//!                            |    trouble that passes                    |
//!                            +--- the wait ends, one last look ----------+- StillRunning
//!                            +--- detach --------------------------------+- Detached
//! ```
//!
//! A submission is never repeated unless it is certain that it made no task ([`Repeat::Safe`]); a poll
//! is repeated through anything that can pass until the wait ends.
//!
//! # A complete driver
//!
//! The numbers are those of the contract. The world here is a few lines that play the service, and a
//! clock that jumps: 12 seconds of polling take no time at all.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use effects_core::{
//!     ApiKey, BaseUrl, EffectRequest, Outcome, Pace, Policy, Run, Seed, Step, Template, Time,
//! };
//! use effects_core::gateway::{Answer, Call, CallKind, Endpoint};
//! use http::{HeaderMap, StatusCode};
//!
//! let policy = Policy { pace: Pace::fixed(Duration::from_secs(3)), ..Policy::default() };
//! let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
//! let gateway = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
//! let endpoint = Endpoint::new(gateway, ApiKey::new("key-of-the-account")?);
//!
//! let mut now = Time::from_millis(1_764_000_000_000);
//! let mut polls = 0;
//! let mut run = Run::submit(request, Arc::new(policy), Seed::from(7), now); // 1
//! let outcome = loop {
//!     match run.step(now) { // 2
//!         Step::Record(entry) => run.recorded(entry.id), // 3: no journal here
//!         Step::Send(call) => { // 4
//!             let _request = endpoint.request(&call); // a real driver sends this
//!             let body = play_the_service(&call, &mut polls).into();
//!             let (status, headers) = (StatusCode::OK, HeaderMap::new());
//!             let result = endpoint.result(Answer::Answered { status, headers, body });
//!             run.reply(now, call.id, &result);
//!         }
//!         Step::Sleep { until, .. } => now = until, // 5
//!         Step::Notify(event) => println!("{event}"), // 6
//!         Step::Done(outcome) => break outcome, // 7
//!     }
//! };
//!
//! let Outcome::Completed(effect) = outcome else { panic!("{outcome:?}") };
//! assert_eq!(effect.pictures[0].url, "https://example.com/ball.png");
//! assert_eq!(effect.usage.cost.unwrap().to_string(), "0.03");
//! assert_eq!(polls, 4);
//!
//! fn play_the_service(call: &Call, polls: &mut u32) -> &'static [u8] {
//!     match &call.kind {
//!         CallKind::Submit { .. } => br#"{"id":"d758n65e","status":"in_progress"}"#,
//!         CallKind::Poll { .. } if *polls < 3 => {
//!             *polls += 1;
//!             br#"{"id":"d758n65e","status":"in_progress","progress":0.5}"#
//!         }
//!         CallKind::Poll { .. } => {
//!             *polls += 1;
//!             br#"{"id":"d758n65e","status":"completed","usage":{"cost":"0.03"},
//!                  "output":[{"content":[{"type":"image","url":"https://example.com/ball.png"}]}]}"#
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A real driver is [`driver::drive`] with an [`Exchange`](gateway::Exchange) and a
//! [`Clock`](driver::Clock), or [`driver::drive_on_async`] with their async twins: another HTTP stack is
//! one method.
//!
//! # Where to look
//!
//! The root holds what most programs name. The rest is in the module that it belongs to, and each
//! module imports from those above it alone.
//!
//! | module | what it holds |
//! |---|---|
//! | [`gateway`] | the seam to HTTP: calls, the requests they become, the [`Endpoint`](gateway::Endpoint) that has the key |
//! | [`wire`] | from the bytes of an answer to types: task, pictures, usage, codes, what went wrong |
//! | [`pace`] | when to look next, from the durations seen |
//! | [`run`] | one task: submit, wait, the ways it ends; a run that is [`Saved`](run::Saved) |
//! | [`batch`] | many runs on one thread: limits, queues, throttle, timers, shared polls |
//! | [`model`] | `spark_img_effects`: templates, sizes, the request. What is above knows no model |
//! | [`journal`] | what a driver asks of a journal for one run |
//! | [`driver`] | the blocking loop and the async loop |
//!
//! Paid work from the photo to the file, with rows and budgets, is one crate up: `effects-jobs`.

mod backoff;
pub mod batch;
mod count;
pub mod driver;
mod error;
mod error_kind;
pub mod gateway;
mod image_format;
pub mod journal;
pub mod model;
pub mod pace;
mod printable;
mod retries;
pub mod run;
mod seed;
pub mod signed_url;
mod task_id;
mod time;
pub mod wire;

pub use backoff::Backoff;
pub use count::count_of;
pub use error::{Cause, Error, Problem};
pub use error_kind::{ErrorKind, ErrorRow};
pub use gateway::api_key::{ApiKey, InvalidApiKey};
pub use gateway::origin::{BaseUrl, InvalidBaseUrl, Origin};
pub use image_format::{ImageFormat, MAX_PHOTO_BYTES};
pub use model::extra_params::{ExtraParams, InvalidParam};
pub use model::reference::{InvalidReference, Reference};
pub use model::request::{EffectRequest, InvalidRequest, Violation};
pub use model::size::Size;
pub use model::template::{Group, Template, UnknownTemplate};
pub use pace::Pace;
pub use printable::printable;
pub use retries::Retries;
pub use run::event::Event;
pub use run::outcome::{Effect, Outcome};
pub use run::policy::{Deadline, Policy, Repeat};
pub use run::submission::Submission;
pub use run::task_bill::TaskBill;
pub use run::{Run, Step};
pub use seed::Seed;
pub use task_id::{InvalidTaskId, TaskId};
pub use time::{Time, Timeline};
pub use wire::code::ServiceCode;
pub use wire::picture::Picture;
pub use wire::task::{ServiceError, Status, Task};
pub use wire::usage::Usage;
