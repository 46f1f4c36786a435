//! [`TaskId`]: the service's id of a task, which is all that a later process needs to find a paid task
//! again. Runs, jobs, journals, both clients, the command and the Python package pass it on; a text that
//! cannot be one is an [`InvalidTaskId`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
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
#[derive(Clone, Deserialize, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct TaskId(IdText);

/// The service's ids have twenty letters: they lie in place, beside what else is known of a task, and
/// a hundred thousand need no room on the heap.
#[derive(Clone)]
enum IdText {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

impl TaskId {
    /// The id as the service wrote it.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // They were a text when they were put there, so they are one.
            IdText::Short { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            IdText::Long(text) => text,
        }
    }
}

impl From<&str> for IdText {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

/// Ids are the texts they are.
impl PartialEq for TaskId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TaskId {}

impl PartialOrd for TaskId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TaskId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for TaskId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskId").field(&self.as_str()).finish()
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        // `.` and `..` would name another place in the URL of the task.
        if id.is_empty() || id.len() > MAX_BYTES || id.chars().any(odd) || matches!(id, "." | "..")
        {
            // Shown in part: a text that is no id may be a whole page.
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
        f.write_str(self.as_str())
    }
}

/// A text that cannot be a task id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "task id {0:?} cannot be one: an id has 1 to {most} bytes, no spaces, and is not a dot",
    most = MAX_BYTES
)]
pub struct InvalidTaskId(String);

/// No id seen so far has more than a few dozen. An id is what was paid for, so the bound is far from
/// that, and below what a URL may hold even if each byte is percent-encoded.
const MAX_BYTES: usize = 4096;

/// Ids up to this many bytes lie in place: as many as make three words with their length.
const SHORT: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text_wherever_that_lies() {
        // On both sides of the length where an id moves to the heap, with letters of two bytes
        // across it.
        let texts: Vec<String> = [1, SHORT - 2, SHORT - 1, SHORT, SHORT + 1, MAX_BYTES]
            .map(|length| "é".repeat(length / 2) + &"x".repeat(length % 2))
            .into();
        let ids: Vec<TaskId> = texts.iter().map(|text| text.parse().unwrap()).collect();
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!((id.as_str(), &id.to_string()), (text.as_str(), text));
            assert_eq!(format!("{id:?}"), format!("TaskId({text:?})"));
            assert_eq!(id, &text.parse().unwrap());
            let longer: Result<TaskId, _> = format!("{text}x").parse();
            assert!(longer.is_err() || longer.as_ref().is_ok_and(|longer| id < longer));
        }
        let distinct: std::collections::HashSet<&TaskId> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        // Three words, with room for the absence: a batch holds one for each waiting run.
        assert_eq!(size_of::<Option<TaskId>>(), 24);
    }
}
