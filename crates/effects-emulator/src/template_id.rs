//! [`deserialize`]: reads a template's id in rules and filters, where a misspelt one is an error, since it
//! would match nothing and no message would say so. [`TemplateId`]: the OpenAPI schema of such an id.
//! Fault rules (`faults/plan.rs`) and the bodies and queries of the control API read ids with it.

use effects_core::Template;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Reads it, for `#[serde(deserialize_with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Template>, D::Error> {
    let id = Option::<String>::deserialize(from)?;
    // The parser's words name the id that was probably meant.
    id.map(|id| id.parse().map_err(|error| D::Error::custom(format!("template: {error}"))))
        .transpose()
}

/// How such an id is described: the thirty there are.
pub(crate) struct TemplateId;

impl PartialSchema for TemplateId {
    fn schema() -> RefOr<Schema> {
        let ids = Template::ALL.iter().map(Template::id);
        let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(ids));
        object.into()
    }
}

impl ToSchema for TemplateId {}
