//! The catalogue: which models there are, what their parameters are, how they are driven.
//!
//! It answers without a key, as part of the official clients asks; it offers the one model on the
//! queue surface by contract and on the generation surface by spec, which all of them understand.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use effects_core::{DEFAULT_SIDE, MODEL, SIDE_RANGE, Template};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::surfaces::segment;

/// `GET /api/v1/skill/models`
pub(crate) async fn models(RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let asked = |name: &str| {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .filter(|(key, value)| key == name && !value.is_empty())
            .last()
            .map(|(_, value)| value.into_owned())
    };
    let number = |name: &str, usual: u64| {
        asked(name).and_then(|value| value.parse().ok()).filter(|value| *value > 0).unwrap_or(usual)
    };
    let (page, page_size) = (number("page", 1), number("page_size", 20).min(100));
    let wanted = asked("type").is_none_or(|kind| kind == "image")
        && asked("provider").is_none_or(|provider| provider == PROVIDER)
        && asked("keywords").is_none_or(|words| matches(&words));
    let models = if wanted && page == 1 { vec![model()] } else { Vec::new() };
    let total = u64::from(wanted);
    Json(envelope(&json!({
        "models": models,
        "total": total,
        "page": page,
        "page_size": page_size,
        "total_pages": total,
    })))
}

/// `GET /api/v1/skill/models/{id}/spec`
pub(crate) async fn spec(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    headers: HeaderMap,
) -> Json<Value> {
    if segment(&uri, MODEL_PLACE) != MODEL {
        return Json(no_such_model());
    }
    let endpoint = format!("{}/model/v1/generation", gateway.origin_for(&headers));
    let side = |name: &str, what: &str| {
        let (min, max) = (SIDE_RANGE.start(), SIDE_RANGE.end());
        let constraints = json!({"default": DEFAULT_SIDE, "min": min, "max": max});
        parameter(name, "integer", false, what, &constraints)
    };
    Json(envelope(&json!({
        "model_id": MODEL,
        "name": NAME,
        "vendor": PROVIDER,
        "type": "image",
        "api": {
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
        "agent_prompt": format!(
            "POST {endpoint} with {{\"model\":\"{MODEL}\",\"input\":[{{\"params\":{{\"image_input1\":URL,\
             \"template_id\":ID}}}}]}}, then GET {endpoint}/task/ID until status is completed or failed."
        ),
    })))
}

/// `GET /api/v1/skill/model-contracts/{id}`
pub(crate) async fn contract(uri: Uri) -> Json<Value> {
    if segment(&uri, MODEL_PLACE) != MODEL {
        return Json(no_such_model());
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
    Json(envelope(&json!({
        "schema_version": "model-contract.v1",
        "revision": "1",
        "model_id": MODEL,
        "display_name": NAME,
        "family": MODEL,
        "kind": "image",
        "protocol": "queue",
        "body_mode": "raw_json",
        "endpoints": {
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
    })))
}

fn model() -> Value {
    json!({
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

fn matches(words: &str) -> bool {
    let text = format!("{MODEL} {NAME}").to_lowercase();
    words.to_lowercase().split_whitespace().all(|word| text.contains(word))
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

fn envelope(data: &Value) -> Value {
    json!({"status": {"code": 200, "message": "ok"}, "data": data})
}

/// The catalogue says so inside its envelope; the HTTP status stays 200.
fn no_such_model() -> Value {
    json!({"status": {"code": 404, "message": "model not found"}, "data": null})
}

/// The id's place among the segments of `/api/v1/skill/models/{id}` and `…/model-contracts/{id}`.
const MODEL_PLACE: usize = 5;

const NAME: &str = "Spark Img Effects";
const PROVIDER: &str = "vtrix";
