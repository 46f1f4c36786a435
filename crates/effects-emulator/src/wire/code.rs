//! [`Code`]: an error code in an answer of the emulator, as text or, in the dialect `sdk`
//! (`Options::dialect`), as a number. `wire/refusal.rs` writes it in refusals and `wire/task.rs` in answers
//! about failed tasks. [`CANCELLED`] is the code of a task that its client has cancelled (`lifecycle.rs`),
//! by which `wire/queue.rs` chooses the `error_type`, and of a job whose task is over (`painting.rs`).

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
