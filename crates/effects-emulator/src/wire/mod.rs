//! The bodies of requests and answers, as types: `Create` is what a client sends to make a task, and the files
//! beside it hold what it is answered. The handlers in `surfaces/` read and write them.
//!
//! These types are the emulator's own. Sharing them with the clients would make both agree on a
//! mistake; written twice, from the service's page, each is a check on the other.

pub(crate) mod code;
pub(crate) mod create;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod task;
