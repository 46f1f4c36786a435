//! [`RawJson`]: JSON of the service kept as text, with its digits and their order, and `[key]` where an
//! answer repeated the API key. [`Task`](crate::Task), [`Effect`](crate::Effect) and a failed task keep
//! their whole answer so (`raw`), the first two also the service's notes (`metadata`); `effects status` and
//! other commands print them, and the Python package returns them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::gateway::api_key::ApiKey;

/// A piece of JSON, kept letter for letter: unknown fields, the order of keys, the digits of
/// numbers. Where it repeated the API key, `[key]` stands in its place.
///
/// ```
/// use effects_core::wire::RawJson;
///
/// let raw: RawJson = serde_json::from_str(r#"{"cost": 0.10}"#)?;
/// assert_eq!(raw.as_str(), r#"{"cost": 0.10}"#);
/// assert_eq!(raw.to_value()["cost"], 0.1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The JSON as a tree; numbers become what [`Value`] holds. Nesting too deep for it is `null`.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl RawJson {
    /// An object without members: where no answer is kept.
    pub(crate) fn empty() -> Self {
        Self("{}".into())
    }

    /// JSON of an answer, parsed before, without the key it was asked for with.
    pub(crate) fn of_answer(json: &str, key: &ApiKey) -> Self {
        Self(key.redact_json(json).into())
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({})", self.0)
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        // As a `RawValue`, which serde_json writes as it is: a tree of values would change digits.
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get().into()))
    }
}
