//! [`Code`]: an error code as the client's dialect expects it, text or a number. `wire/refusal.rs`
//! writes it in refusals, `wire/task.rs` in the answers about failed tasks. [`CANCELLED`]: the code of
//! a cancelled task: `lifecycle.rs` and `painting.rs` give it to tasks, and `wire/queue.rs` shows these
//! as `CANCELED`.

use effects_core::ServiceCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::options::Dialect;

/// An error code, as text or as a number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Code<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> Code<'a> {
    /// The code as a dialect writes it; one that is no number stays text.
    pub(crate) fn of(code: &'a ServiceCode, dialect: Dialect) -> Self {
        match (dialect, code.as_str().parse()) {
            // sea-sdk-go decodes a code only as a number.
            (Dialect::Sdk, Ok(number)) => Self::Number(number),
            (Dialect::Sdk, Err(_)) if code.as_str() == CANCELLED => Self::Number(CANCELLED_NUMBER),
            _ => Self::Text(code.as_str()),
        }
    }
}

/// The code of a task its own client has cancelled.
pub(crate) const CANCELLED: &str = "CANCELED";

/// The same for clients that read numbers alone: HTTP's number for a client that has gone away.
pub(crate) const CANCELLED_NUMBER: i64 = 499;
