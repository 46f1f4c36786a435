//! [`Create`]: the body of a create, read as tolerantly as the service reads it; [`CheckedParams`]: its
//! parameters once they passed every check, in the order of the service's error codes. The handlers of
//! the generation and the account surface read the one and check the other, the queue surface checks
//! parameters alone, and `middleware.rs` reads a create for its template, which fault rules go by.
//! `lifecycle.rs` makes a task of the parameters.

use effects_core::model::{DEFAULT_SIDE, SIDE_RANGE};
use effects_core::{ServiceCode, Template};
use http::HeaderMap;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::refusal::ApiRefusal;
use crate::task::TaskFailure;
use crate::template_id::TemplateId;

/// A create whose envelope could be read; its parameters are not checked yet.
#[derive(Debug)]
pub(crate) struct Create {
    /// From the body, else from `X-Model`: part of the official clients move it there.
    pub(crate) model: Option<String>,
    pub(crate) params: Map<String, Value>,
}

impl Create {
    /// Reads `{"model", "input": [{"params": {…}}]}`. Unknown keys are ignored;
    /// parameters that are missing altogether are read as none.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiRefusal> {
        let mut body = object(body)?;
        let from_header = || headers.get("x-model").and_then(|value| value.to_str().ok());
        let model = match body.remove("model") {
            // The body's comes first. Which of the two the service prefers is not known; no
            // official client sends both.
            Some(Value::String(model)) if !model.is_empty() => Some(model),
            Some(Value::Null | Value::String(_)) | None => from_header().map(str::to_owned),
            Some(other) => {
                return Err(ApiRefusal::bad_request(format!("model: {other} is not a text")));
            }
        };
        Ok(Self { model, params: params(body) })
    }
}

/// The body of a create as it should be. It is read more tolerantly: what is wrong with parameters
/// becomes the failure of a task.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read step by step")]
pub(crate) struct CreateRequest {
    /// `spark_img_effects`; it may come in the header `X-Model` instead.
    model: Option<String>,
    input: Vec<CreateInput>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read step by step")]
pub(crate) struct CreateInput {
    params: CreateParams,
}

/// The parameters of a create.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read step by step")]
pub(crate) struct CreateParams {
    /// A URL, a data URL or base64 of the photo.
    image_input1: String,
    #[schema(value_type = TemplateId)]
    template_id: String,
    #[schema(minimum = 512, maximum = 2048, default = 1328)]
    width: Option<u32>,
    #[schema(minimum = 512, maximum = 2048, default = 1328)]
    height: Option<u32>,
}

/// The body as a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiRefusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiRefusal::bad_request("the body is JSON but not an object")),
        Err(error) => Err(ApiRefusal::bad_request(format!("the body is not JSON: {error}"))),
    }
}

/// `input[0].params`, empty if it is not there.
fn params(mut body: Map<String, Value>) -> Map<String, Value> {
    // No error of the request: without parameters a task fails with 3009001, the code for that.
    let Some(Value::Array(input)) = body.remove("input") else { return Map::new() };
    let Some(Value::Object(mut first)) = input.into_iter().next() else { return Map::new() };
    match first.remove("params") {
        Some(Value::Object(params)) => params,
        _ => Map::new(),
    }
}

/// Parameters that passed every check.
#[derive(Debug, PartialEq)]
pub(crate) struct CheckedParams {
    pub(crate) image: String,
    pub(crate) template: Template,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl CheckedParams {
    /// Checks parameters in the order of the service's codes: 3009001 to 3009004. The first that
    /// does not hold is the failure.
    pub(crate) fn check(mut params: Map<String, Value>) -> Result<Self, TaskFailure> {
        let image = match params.remove("image_input1") {
            Some(Value::String(image)) if !image.trim().is_empty() => image,
            other => {
                let what = unlike(other.as_ref(), "a URL of the reference image");
                return Err(TaskFailure::new(
                    ServiceCode::MissingImage,
                    format!("Missing image_input1: input[0].params.image_input1 is {what}"),
                ));
            }
        };
        let id = match params.get("template_id") {
            Some(Value::String(id)) if !id.is_empty() => id,
            other => {
                let what = unlike(other, "the id of a template");
                return Err(TaskFailure::new(
                    ServiceCode::MissingTemplateId,
                    format!("Missing template_id: input[0].params.template_id is {what}"),
                ));
            }
        };
        let template = id.parse().map_err(|error| {
            TaskFailure::new(
                ServiceCode::InvalidTemplateId,
                format!("Invalid template_id: {error}"),
            )
        })?;
        let width = side(&params, "width")?;
        let height = side(&params, "height")?;
        Ok(Self { image, template, width, height })
    }
}

fn side(params: &Map<String, Value>, name: &str) -> Result<u32, TaskFailure> {
    let value = match params.get(name) {
        // vtrix-cli sends no sides unless its user names some.
        None | Some(Value::Null) => return Ok(DEFAULT_SIDE),
        Some(value) => value,
    };
    // JSON integers alone: vtrix-cli, too, takes `1024.0` for none.
    let side = value.as_u64().and_then(|side| u32::try_from(side).ok());
    side.filter(|side| SIDE_RANGE.contains(side)).ok_or_else(|| {
        let (min_side, max_side) = (SIDE_RANGE.start(), SIDE_RANGE.end());
        let said = brief(value);
        TaskFailure::new(
            ServiceCode::InvalidSize,
            format!("Invalid size parameter: {name} is {said}, not an integer in {min_side}..={max_side}"),
        )
    })
}

/// Says what stands where something else was wanted.
fn unlike(found: Option<&Value>, wanted: &str) -> String {
    match found {
        None | Some(Value::Null) => "not there".to_owned(),
        Some(Value::String(_)) => "empty".to_owned(),
        Some(other) => format!("{}, not {wanted}", brief(other)),
    }
}

/// The value, or its beginning: a message is no place for a photo.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(40).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(params: &Value) -> Result<CheckedParams, TaskFailure> {
        let body = json!({"model": "m", "input": [{"params": params}]}).to_string();
        CheckedParams::check(Create::read(&HeaderMap::new(), body.as_bytes()).unwrap().params)
    }

    #[test]
    fn the_first_rule_broken_is_the_failure() {
        let code = |params: Value| check(&params).unwrap_err().code;
        assert_eq!(code(json!({})), ServiceCode::MissingImage);
        assert_eq!(code(json!({"image_input1": " ", "width": 1})), ServiceCode::MissingImage);
        assert_eq!(code(json!({"image_input1": 7})), ServiceCode::MissingImage);
        assert_eq!(code(json!({"image_input1": "u"})), ServiceCode::MissingTemplateId);
        let template = |id: &str| json!({"image_input1": "u", "template_id": id, "width": 1});
        assert_eq!(code(template("")), ServiceCode::MissingTemplateId);
        assert_eq!(code(template("Glass_Ball")), ServiceCode::InvalidTemplateId);
        assert_eq!(code(template("glass_ball")), ServiceCode::InvalidSize);
        for side in [json!(511), json!(2049), json!(1024.0), json!("1024"), json!(-1), json!([])] {
            let params = json!({"image_input1": "u", "template_id": "glass_ball", "height": side});
            assert_eq!(code(params), ServiceCode::InvalidSize, "{side}");
        }
    }

    #[test]
    fn sides_left_out_are_the_services_own() {
        let params =
            check(&json!({"image_input1": "u", "template_id": "glass_ball", "width": 512}));
        let expected = CheckedParams {
            image: "u".to_owned(),
            template: Template::GlassBall,
            width: 512,
            height: DEFAULT_SIDE,
        };
        assert_eq!(params, Ok(expected));
    }

    #[test]
    fn the_model_is_in_the_body_or_in_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Model", "there".parse().unwrap());
        let model = |body: &str| Create::read(&headers, body.as_bytes()).unwrap().model;
        assert_eq!(model(r#"{"input":[]}"#).as_deref(), Some("there"));
        assert_eq!(model(r#"{"model":"here"}"#).as_deref(), Some("here"));
        assert!(Create::read(&headers, br#"{"model":7}"#).is_err());
        assert!(Create::read(&headers, b"[]").is_err());
        assert!(Create::read(&headers, b"\xff{").is_err());
    }
}
