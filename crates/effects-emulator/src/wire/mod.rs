//! The bodies of requests and answers about tasks, as types: `create.rs` has `Create`, sent by a client
//! to make a task; `task.rs`, `queue.rs`, `refusal.rs` and `code.rs` have the answers. The handlers in
//! `surfaces/` and the middleware read and write them.
//!
//! These types are the emulator's own. Sharing them with the clients would make both agree on a
//! mistake; written twice, from the service's page, each is a check on the other.

pub(crate) mod code;
pub(crate) mod create;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod task;
