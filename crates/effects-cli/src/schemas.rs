//! [`SchemaCollector`]: collects the JSON Schemas of the objects that `--json` prints, each made from the
//! Rust type that is printed, so that the two agree. `batch/mod.rs` and `commands/mod.rs` add their
//! objects, and `help_json.rs` prints all with `effects --help --json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The schema of each object, by its name.
pub(crate) type Schemas = BTreeMap<&'static str, Value>;

/// Collects schemas, and the parts that they share.
#[derive(Default)]
pub(crate) struct SchemaCollector {
    pub(crate) components: Map<String, Value>,
    pub(crate) schemas: Schemas,
}

impl SchemaCollector {
    /// Adds the object that is printed under this name.
    pub(crate) fn add<T: ToSchema>(&mut self, name: &'static str) {
        let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
        T::schemas(&mut parts);
        for (name, part) in parts {
            let part = json!(part);
            let known = self.components.entry(name).or_insert_with(|| part.clone());
            // Components are shared by name, so a second type of this name would get the first one's schema.
            debug_assert_eq!(*known, part, "two types of one name");
        }
        let mut schema = json!(<T as PartialSchema>::schema());
        // A program tells the objects apart by this field alone.
        schema["properties"]["schema"] = json!({ "const": name });
        self.schemas.insert(name, schema);
    }
}
