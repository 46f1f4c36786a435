//! The bodies of requests and answers, as types.
//!
//! These types are the emulator's own. Sharing them with the clients would make both agree on a
//! mistake; written twice, from the service's page, each is a check on the other.

pub(crate) mod code;
pub(crate) mod create;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod task;
