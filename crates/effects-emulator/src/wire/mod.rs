//! The JSON bodies of requests and answers about tasks, as types: `create.rs` reads the request that
//! makes a task; `task.rs` and `queue.rs` write the answers about a task, `refusal.rs` every error
//! answer and `code.rs` its code. The handlers in `surfaces/` use them; the control API,
//! `lifecycle.rs`, the middleware and others use some, mostly the refusals.
//!
//! These types are the emulator's own. Sharing them with the clients would make both agree on a
//! mistake; written twice, from the service's page, each is a check on the other.

pub(crate) mod code;
pub(crate) mod create;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod task;
