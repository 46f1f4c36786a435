//! [`models`], [`spec`] and [`contract`]: the HTTP handlers of the model catalogue, in which there is
//! one model: its list entry, its parameters for the generation surface, and its endpoints and input
//! schema for the queue surface. `routes.rs` leads requests to them, and `openapi.rs` describes them.
//! `skills.rs` answers from the same catalogue in another form.
//!
//! It answers without a key, as part of the official clients asks; it offers the one model on the
//! queue surface by contract and on the generation surface by spec, which all of them understand.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use effects_core::Template;
use effects_core::model::{DEFAULT_SIDE, MODEL, SIDE_RANGE};
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::state::EmulatorState;
use crate::surfaces::segment;

/// `GET /api/v1/skill/models`
#[utoipa::path(get, path = "/api/v1/skill/models", tag = "catalogue",
    params(("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
        ("type" = Option<String>, Query), ("provider" = Option<String>, Query),
        ("keywords" = Option<String>, Query)),
    responses((status = 200, body = CatalogueAnswer)))]
pub(crate) async fn models(RawQuery(query): RawQuery) -> Json<CatalogueAnswer> {
    let filter = CatalogueFilter::read(query.as_deref());
    let (page, page_size) = (filter.number("page", 1), filter.number("page_size", 20).min(100));
    let wanted = filter.wants_the_model("keywords");
    // There is one model, so only the first page has any.
    let models = if wanted && page == 1 { vec![model()] } else { Vec::new() };
    let total = u64::from(wanted);
    Json(envelope(json!({
        "models": models,
        "total": total,
        "page": page,
        "page_size": page_size,
        "total_pages": total,
    })))
}

/// What a list of models is asked for.
pub(super) struct CatalogueFilter(Vec<(String, String)>);

impl CatalogueFilter {
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        // A parameter that is sent empty filters nothing.
        Self(pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The last value of a name.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(super) fn number(&self, name: &str, usual: u64) -> u64 {
        let number = self.value(name).and_then(|value| value.parse().ok());
        number.filter(|value| *value > 0).unwrap_or(usual)
    }

    /// Whether the one model is among what is asked for; `parameter` names the text that is searched for.
    pub(super) fn wants_the_model(&self, parameter: &str) -> bool {
        self.value("type").is_none_or(|kind| kind == "image")
            && self.value("provider").is_none_or(|provider| provider == PROVIDER)
            && self.value(parameter).is_none_or(|query| matches(&query))
    }
}

/// `GET /api/v1/skill/models/{id}/spec`
#[utoipa::path(get, path = "/api/v1/skill/models/{id}/spec", tag = "catalogue",
    params(("id" = String, Path)),
    responses((status = 200, body = CatalogueAnswer), (status = 404, body = CatalogueAnswer)))]
pub(crate) async fn spec(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, Json<CatalogueAnswer>) {
    if segment(&uri, MODEL_PLACE) != MODEL {
        return no_such_model();
    }
    let origin = state.origin_for(&headers);
    let endpoint = format!("{origin}/model/v1/generation");
    let side = |name: &str, what: &str| {
        let (min, max) = (SIDE_RANGE.start(), SIDE_RANGE.end());
        let constraints = json!({"default": DEFAULT_SIDE, "min": min, "max": max});
        parameter(name, "integer", false, what, &constraints)
    };
    found(json!({
        "model_id": MODEL,
        "name": NAME,
        "vendor": PROVIDER,
        "type": "image",
        "api": {
            // The command lines post to this URL and look below it, so it is absolute and this
            // emulator's.
            "endpoint": endpoint,
            "method": "POST",
            "headers": {
                "Authorization": "Bearer {{API_KEY}}",
                "Content-Type": "application/json",
            },
        },
        "parameters": [
            parameter("image_input1", "string", true, "Reference image URL", &json!({})),
            parameter("template_id", "string", true, "Template ID for style generation",
                &json!({"enum": template_ids()})),
            side("width", "Width of the output image"),
            side("height", "Height of the output image"),
        ],
        // The text mode of vtrix-cli's `models spec` prints this alone, and nothing if it is empty.
        "agent_prompt": prompt(&origin),
    }))
}

/// How to use the model, for a program that writes requests: the requests, a body to fill in, and
/// what goes into it.
pub(super) fn prompt(origin: &str) -> String {
    let (min_side, max_side) = (SIDE_RANGE.start(), SIDE_RANGE.end());
    let ids = template_ids().join(", ");
    let endpoint = format!("{origin}/model/v1/generation");
    format!(
        r#"# {NAME} (`{MODEL}`)

1. `POST {endpoint}` with `Authorization: Bearer API_KEY` and this body; the answer has the task's `id`.
2. `GET {endpoint}/task/ID` until `status` is `completed` or `failed`.
3. The picture is at `output[0].content[0].url`; why a task failed is in `error`.

```json
{{"model":"{MODEL}","input":[{{"params":{{"image_input1":"https://example.com/photo.jpg","template_id":"glass_ball","width":{DEFAULT_SIDE},"height":{DEFAULT_SIDE}}}}}]}}
```

| parameter | type | required | what |
|---|---|---|---|
| `image_input1` | string | yes | URL of the reference image |
| `template_id` | string | yes | one of the templates below, letter for letter |
| `width` | integer | no | {min_side} to {max_side}, {DEFAULT_SIDE} if left out |
| `height` | integer | no | {min_side} to {max_side}, {DEFAULT_SIDE} if left out |

Templates: {ids}.
"#
    )
}

/// `GET /api/v1/skill/model-contracts/{id}`
#[utoipa::path(get, path = "/api/v1/skill/model-contracts/{id}", tag = "catalogue",
    params(("id" = String, Path)),
    responses((status = 200, body = CatalogueAnswer), (status = 404, body = CatalogueAnswer)))]
pub(crate) async fn contract(uri: Uri) -> (StatusCode, Json<CatalogueAnswer>) {
    if segment(&uri, MODEL_PLACE) != MODEL {
        return no_such_model();
    }
    let request = format!("/model/v1/queue/{MODEL}/requests/{{request_id}}");
    let side = |what: &str| {
        json!({
            "type": "integer",
            "description": what,
            "default": DEFAULT_SIDE,
            "minimum": SIDE_RANGE.start(),
            "maximum": SIDE_RANGE.end(),
        })
    };
    found(json!({
        // seacloud-cli refuses every other version.
        "schema_version": "model-contract.v1",
        "revision": "1",
        "model_id": MODEL,
        "display_name": NAME,
        "family": MODEL,
        "kind": "image",
        // The one pair of `protocol` and `body_mode` that both SeaCloud clients take.
        "protocol": "queue",
        "body_mode": "raw_json",
        "endpoints": {
            // seacloud-cli sends a GET where the method is left out.
            "submit": {"method": "POST", "path": format!("/model/v1/queue/{MODEL}")},
            "status": {"method": "GET", "path": format!("{request}/status")},
            "result": {"method": "GET", "path": format!("{request}/response")},
            "cancel": {"method": "PUT", "path": format!("{request}/cancel")},
        },
        "input_schema": {
            "type": "object",
            "required": ["image_input1", "template_id"],
            "properties": {
                // `image` makes clients offer local files; `url` would make them refuse base64.
                "image_input1": {
                    "type": "string",
                    "format": "image",
                    "description": "Reference image URL",
                },
                "template_id": {
                    "type": "string",
                    "description": "Template ID for style generation",
                    "enum": template_ids(),
                },
                "width": side("Width of the output image"),
                "height": side("Height of the output image"),
            },
            "additionalProperties": false,
        },
    }))
}

fn model() -> Value {
    json!({
        // The command lines print `id` as what to run; other clients read `model_id`.
        "id": MODEL,
        "model_id": MODEL,
        "name": NAME,
        "type": "image",
        "provider": PROVIDER,
        "description": "Turns a photo into a styled picture by template. This one paints on your \
                        machine: a local stand-in, not the generative model.",
        "input_modalities": ["image"],
        "output_modalities": ["image"],
        "has_spec": true,
        "spec_protocol": "generation",
    })
}

fn matches(query: &str) -> bool {
    let text = format!("{MODEL} {NAME}").to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

fn parameter(name: &str, kind: &str, required: bool, what: &str, constraints: &Value) -> Value {
    json!({
        "name": name,
        "path": format!("input[0].params.{name}"),
        "type": kind,
        "required": required,
        "description": what,
        "constraints": constraints,
    })
}

fn template_ids() -> Vec<String> {
    Template::ALL.iter().map(|template| template.id().to_owned()).collect()
}

/// Everything the catalogue says: a status of its own, and what was asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct CatalogueAnswer {
    status: CatalogueStatus,
    data: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CatalogueStatus {
    code: u16,
    message: &'static str,
}

pub(super) const OK: CatalogueStatus = CatalogueStatus { code: 200, message: "ok" };

fn envelope(data: Value) -> CatalogueAnswer {
    CatalogueAnswer { status: OK, data: Some(data) }
}

fn found(data: Value) -> (StatusCode, Json<CatalogueAnswer>) {
    (StatusCode::OK, Json(envelope(data)))
}

/// Part of the clients look at the HTTP status, part of them at the one in the body.
fn no_such_model() -> (StatusCode, Json<CatalogueAnswer>) {
    let status = CatalogueStatus { code: 404, message: "model not found" };
    (StatusCode::NOT_FOUND, Json(CatalogueAnswer { status, data: None }))
}

/// The id's place among the segments of `/api/v1/skill/models/{id}` and `…/model-contracts/{id}`.
const MODEL_PLACE: usize = 5;

pub(super) const NAME: &str = "Spark Img Effects";
pub(super) const PROVIDER: &str = "vtrix";
