//! Decodes answers of the web API: `answer.rs` says what an answer to a submission or a poll means,
//! [`Task`](crate::Task) (`task.rs`), with its pictures and bill, is what it shows, and [`ExchangeError`]
//! (`exchange_error.rs`) why it shows none. The state machines in `run` decide by them, and a client's single
//! poll returns a `Task`.

pub(crate) mod answer;
mod answer_excerpt;
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod exchange_error;
pub(crate) mod picture;
pub(crate) mod raw;
pub(crate) mod repair;
pub(crate) mod response_excerpt;
pub(crate) mod task;
pub(crate) mod usage;

pub use code::FaultSide;
pub use exchange_error::{ExchangeError, Rejection};
pub use raw::RawJson;
pub use response_excerpt::ResponseExcerpt;
