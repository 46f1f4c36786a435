//! What the tests in `tests/tests` share, above all the conformance tests of the clients: a [`Scenario`]
//! says how every client must behave, a [`Face`] is one way to use one client, and each scenario is
//! written once and played over each face. `tests/all/conformance.rs` plays them over the Rust clients,
//! `tests/all/python.rs` over the Python ones; the other tests use the faces, the exchange cases,
//! [`Capture`] and [`vectors`]. Paths named here are from this crate's folder.
//!
//! A [`Scenario`] sets a misbehaving server up, says what is asked, and says how it must end. A
//! [`Face`] is one way to use one client: the lists in [`scenarios`] run over all of them, and over
//! any client that is given a face later. An [`ExchangeCase`] does the same for what an HTTP stack alone
//! must say of a request. [`Capture`] listens to everything that is logged,
//! [`RecordingJournal`] is a journal, and a [`Gate`] holds an answer back. [`vectors`] reads the wire's
//! vectors.

mod asynchronous;
mod blocking;
mod caller_stack;
mod capture;
mod exchange_cases;
mod face;
mod gate;
mod python;
mod recording_journal;
mod scenario;
pub mod scenarios;
mod suite;
pub mod vectors;
mod world;

pub use asynchronous::Async;
pub use blocking::Blocking;
pub use caller_stack::{CallerStack, WithMiddleware};
pub use capture::{Capture, SpanSeen};
pub use exchange_cases::{
    ExchangeCase, ExchangeUnderTest, Expected, Reqwest, Ureq, exchange_cases,
};
pub use face::{Ask, ClientSetup, Ended, EventScope, Face, FaceEvent, FaceFailure, FaceJob, Style};
pub use gate::Gate;
pub use python::Python;
pub use recording_journal::RecordingJournal;
pub use scenario::{Scenario, Witness, setup, setup_at};
pub use suite::{check_all, faces, unplayed};
pub use world::{KEY, PHOTO_URL, ScenarioWorld, TASK, picture, task_path};

/// The snippets in Rust of the pages run, against the local gateway; those marked `no_run` compile.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../docs/adding-a-model.md")]
    struct AddingAModel;
    #[doc = include_str!("../../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../../docs/many-machines.md")]
    struct ManyMachines;
    #[doc = include_str!("../../docs/observing.md")]
    struct Observing;
    #[doc = include_str!("../../docs/rust.md")]
    struct Rust;
}
