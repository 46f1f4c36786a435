//! The service's name for a task: the one thing that must never be lost.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The id the service gave a task. Cloning it allocates nothing.
///
/// ```
/// use effects_core::TaskId;
///
/// let id: TaskId = "d758n65e878c73cmdg20".parse()?;
/// assert_eq!(id.as_str(), "d758n65e878c73cmdg20");
/// assert!("".parse::<TaskId>().is_err());
/// # Ok::<(), effects_core::InvalidTaskId>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// The id as the service wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        // `.` and `..` would name another place in the URL of the task.
        if id.is_empty() || id.len() > MAX_BYTES || id.chars().any(odd) || matches!(id, "." | "..")
        {
            return Err(InvalidTaskId(id.chars().take(80).collect()));
        }
        Ok(Self(id.into()))
    }
}

impl TryFrom<String> for TaskId {
    type Error = InvalidTaskId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be a task id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("task id {0:?} cannot be one: an id has 1 to 256 bytes, no spaces, and is not a dot")]
pub struct InvalidTaskId(String);

const MAX_BYTES: usize = 256;
