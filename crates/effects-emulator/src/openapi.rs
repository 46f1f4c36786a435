//! [`openapi`]: describes the gateway's surfaces and the control API as OpenAPI 3.1, from the types of
//! their requests and answers; left out are the event stream, the page with its session and its previews of
//! templates, and the endpoints that refuse every request. The handlers [`document`] (`GET /openapi.json`),
//! which serves it, and [`health`] (`GET /healthz`) are here, too, for `routes.rs`; programs may call
//! [`openapi`], and the crate's tests check answers against it.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::state::EmulatorState;
use crate::wire::refusal::RefusalForms;
use crate::{control, surfaces};

/// The OpenAPI 3.1 description of an emulator, as JSON.
///
/// ```
/// let described = effects_emulator::openapi();
/// assert_eq!(described["openapi"], "3.1.0");
/// assert!(described["paths"]["/model/v1/generation"]["post"].is_object());
/// ```
pub fn openapi() -> Value {
    DESCRIPTION.clone()
}

/// `GET /openapi.json`
pub(crate) async fn document(
    State(state): State<Arc<EmulatorState>>,
    headers: HeaderMap,
) -> Json<Value> {
    let mut described = openapi();
    // Tools that read it send their requests to the host that it was read from.
    described["servers"] = json!([{"url": state.origin_for(&headers)}]);
    Json(described)
}

/// `GET /healthz`: it answers.
#[utoipa::path(get, path = "/healthz", tag = "control", responses((status = 200, body = Health)))]
pub(crate) async fn health() -> Response {
    // A constant: the emulator depends on no other process, so that it answers at all is the check.
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut described = serde_json::to_value(Description::openapi())
        // Plain structs of texts and numbers always have a JSON form.
        .expect("a description is plain data");
    let paths = described["paths"].as_object_mut().into_iter().flatten();
    for (path, operations) in paths {
        let operations = operations.as_object_mut().into_iter().flatten();
        for (_, operation) in operations {
            if KEYLESS.iter().any(|start| path.starts_with(start)) {
                // An empty list lifts what the description asks of every operation, the key.
                operation["security"] = json!([]);
            }
            // Each status that is not described is a refusal, and every path may give one.
            operation["responses"]["default"] = json!({
                "description": "A refusal",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RefusalForms"}}},
            });
        }
    }
    described
});

/// The beginnings of the paths that answer without a key.
const KEYLESS: [&str; 4] = ["/api/v1/skill/", "/model/v1/models/", "/files/", "/healthz"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Effects emulator",
        description = "The spark_img_effects gateway on this machine, and the control API under \
                       /_emulator/. Answers that a fault has changed are not described.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        surfaces::generation::create, surfaces::generation::look,
        surfaces::queue::submit, surfaces::queue::status, surfaces::queue::response,
        surfaces::queue::cancel,
        surfaces::catalogue::models, surfaces::catalogue::spec, surfaces::catalogue::contract,
        surfaces::skills::search, surfaces::skills::skill,
        surfaces::storage::upload, surfaces::files::file,
        surfaces::account::balance, surfaces::account::precharge,
        control::about, control::counts, control::reset, control::verify::verify,
        control::requests::requests,
        control::tasks::tasks, control::tasks::task, control::tasks::picture,
        control::tasks::finish, control::tasks::fail,
        control::faults::next, control::faults::scripted, control::faults::unscript,
        control::faults::plan, control::faults::follow,
        control::clock::advance, control::looks::looks,
        health,
    ),
    components(schemas(RefusalForms, control::tasks::TaskStatus)),
    modifiers(&Key),
    security(("key" = [])),
)]
struct Description;

/// The key, as every client sends it.
struct Key;

impl Modify for Key {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}
