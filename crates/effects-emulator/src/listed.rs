//! Reads the id of a template where only a listed one makes sense: a misspelt one in a rule or a
//! filter would match nothing, and nothing would say so.

use effects_core::Template;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with)]`.
pub(crate) fn template<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Template>, D::Error> {
    let id = Option::<String>::deserialize(from)?;
    id.map(|id| id.parse().map_err(|error| D::Error::custom(format!("template: {error}"))))
        .transpose()
}
