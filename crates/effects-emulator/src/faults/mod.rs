//! Faults on request. A [`FaultPlan`] (`plan.rs`) says what goes wrong, where and how often; a [`Script`]
//! (`script.rs`) gives each of the next requests a [`Fault`] (`fault.rs`); a test key (`key.rs`) chooses
//! one for the creates made with it. Rust and Python tests, `effects emulator --faults` and the control API
//! set plans and scripts; the middleware asks [`FaultInjector`] (`decide.rs`) for the fault of a request,
//! and `apply.rs` or the handlers carry it out.
//!
//! A [`FaultPlan`] is data, written in Rust or as TOML. Its chances are drawn from a seed: the
//! same plan and the same requests give the same faults. Beside the plan, `POST /_emulator/next` (or
//! [`Emulator::next`](crate::Emulator::next)) scripts the very next requests, and keys such as
//! `test_fail_3009095` choose an outcome with no plan at all.

mod apply;
mod body;
mod decide;
mod fault;
mod key;
mod plan;
mod script;

pub use body::{ErrorBody, RetryAfter};
pub use fault::{Fault, Moment};
pub use plan::{BadPlan, FaultPlan, FaultRule, RateLimit, When};
pub use script::Script;

pub(crate) use apply::{Cut, answer_instead, apply};
pub(crate) use decide::FaultInjector;
pub(crate) use key::fault_of_key;
pub(crate) use script::MAX_SCRIPTED;
