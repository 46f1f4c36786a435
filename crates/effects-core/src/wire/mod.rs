//! Decodes answers of the web API: `answer.rs` decides what an answer to a submission or a poll means,
//! [`Task`](crate::Task) (`task.rs`) is the task that it shows, with pictures and bill, and
//! [`ExchangeError`] (`exchange_error.rs`) is why an exchange failed. Runs decide by all three. A single
//! poll (`status` of a client, `effects doctor`, a cassette) returns a `Task`. Uploads and downloads of the
//! clients and of `effects-jobs` end with an `ExchangeError`, too; events, outcomes and errors carry it.

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
