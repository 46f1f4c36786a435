//! The ids of templates in fault plans and in requests to the control API: [`deserialize`] reads one,
//! and refuses an id that no template has, since it would match nothing and no message would say so.
//! `faults/plan.rs` and the files in `control/` read ids with it. [`TemplateId`] is the OpenAPI schema
//! of an id, there and in scripts (`faults/script.rs`) and creates (`wire/create.rs`).

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
