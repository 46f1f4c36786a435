//! Test doubles for code on `effects-core`: a scripted [`Service`] on a virtual clock with seeded faults,
//! and a [`World`] that drives a run against it; an HTTP server that misbehaves ([`http`]); a simulation of
//! several processes over one journal ([`simulation`]); and Postgres servers (`postgres`). The tests and
//! benchmarks of this workspace use them, and so can those of other programs.
//!
//! # Without a network
//!
//! [`Service`] plays the service from a script and counts what its tasks would cost; [`VirtualClock`]
//! jumps where others sleep. The core's own drivers run on them, and so does whatever an embedder
//! builds on the core. A [`World`] drives one run by itself, delivers answers that come too late,
//! and writes a [`Transcript`].
//!
//! ```
//! use std::sync::Arc;
//! use effects_core::{EffectRequest, Outcome, Policy, Run, Seed, Template};
//! use effects_testkit::{ExchangeOutcome, World};
//!
//! let mut world = World::new();
//! // The service takes the task, and its answer is lost on the way back.
//! world.service().on_submit([ExchangeOutcome::LostAfter]);
//!
//! let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
//! let mut run = Run::submit(request, Arc::new(Policy::default()), Seed::from(1), world.now());
//! let outcome = world.drive(&mut run);
//!
//! // One task is paid for; the run says that it may be, and asks for no second one.
//! assert!(matches!(outcome, Outcome::Unknown(_)), "{}", world.transcript());
//! assert_eq!(world.service().submissions(), 1);
//! assert_eq!(world.service().tasks_made(), 1);
//! # Ok::<(), effects_core::InvalidRequest>(())
//! ```
//!
//! | for | take |
//! |---|---|
//! | one exchange that goes wrong in one way | [`ExchangeOutcome`], with [`Service::on_submit`] and [`Service::on_poll`] |
//! | many, at random, and the same again from the same seed | [`Faults`] |
//! | how long a task takes and how it ends | [`TaskScript`] |
//! | several processes over one journal, with crashes and a budget | [`simulation::Simulation`] |
//! | a Postgres server for a test | `postgres::TestDatabase`, `postgres::TestServer` (on Linux) |
//! | an HTTP client to be tried against closes, hangs and garbage | [`http::ScriptedServer`] |

mod clock;
mod exchange_outcome;
mod faults;
pub mod http;
#[cfg(target_os = "linux")]
pub mod postgres;
mod response;
mod service;
pub mod simulation;
mod task_script;
mod transcript;
mod world;

pub use clock::VirtualClock;
pub use exchange_outcome::ExchangeOutcome;
pub use faults::{ExchangeFault, Faults};
pub use response::{ConnectionAfter, Framing, Response, result_of};
pub use service::{Delivery, Service, ServiceCall};
pub use task_script::TaskScript;
pub use transcript::{Transcript, TranscriptNote};
pub use world::World;
