//! [`next`], [`scripted`] and [`unscript`]: the handlers of `/_emulator/next`, which script the faults of
//! the next requests, list those still to come, and forget them. [`plan`] and [`follow`]: those of
//! `/_emulator/faults`, which show the fault plan and set another. All of them go to the `FaultInjector`.
//! Tests in any language call them over HTTP, and the page does (`page/control.js`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use effects_core::Template;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::read;
use crate::endpoint::Endpoint;
use crate::faults::{Fault, FaultPlan, Script};
use crate::state::EmulatorState;
use crate::template_id::{self, TemplateId};
use crate::wire::refusal::ApiRefusal;

/// `POST /_emulator/next`
#[utoipa::path(post, path = "/_emulator/next", tag = "control", request_body = NextRequests,
    responses((status = 204, description = "It is scripted")))]
pub(crate) async fn next(
    State(state): State<Arc<EmulatorState>>,
    body: Bytes,
) -> Result<StatusCode, ApiRefusal> {
    let NextRequests { on, template, key, faults } = read(&body)?;
    // `Fault::read` refuses fields that serde would pass over; all are read before one is scripted.
    let faults = faults.iter().map(|fault| fault.as_ref().map(Fault::read).transpose());
    let faults = faults
        .collect::<Result<_, _>>()
        .map_err(|why| ApiRefusal::bad_request(format!("faults: {why}")))?;
    let script = Script { on, template, key, faults };
    state.faults.script(script).map_err(|error| ApiRefusal::bad_request(error.to_string()))?;
    state.changes.other();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /_emulator/next`
#[utoipa::path(get, path = "/_emulator/next", tag = "control",
    responses((status = 200, body = Vec<Script>)))]
pub(crate) async fn scripted(State(state): State<Arc<EmulatorState>>) -> Json<Vec<Script>> {
    Json(state.faults.scripts(state.keys.own()))
}

/// `DELETE /_emulator/next`
#[utoipa::path(delete, path = "/_emulator/next", tag = "control",
    responses((status = 204, description = "Nothing is scripted")))]
pub(crate) async fn unscript(State(state): State<Arc<EmulatorState>>) -> StatusCode {
    state.faults.unscript();
    state.changes.other();
    StatusCode::NO_CONTENT
}

/// `GET /_emulator/faults`
#[utoipa::path(get, path = "/_emulator/faults", tag = "control",
    responses((status = 200, body = FaultPlan)))]
pub(crate) async fn plan(State(state): State<Arc<EmulatorState>>) -> Json<FaultPlan> {
    Json(FaultPlan::clone(&state.faults.plan()))
}

/// `PUT /_emulator/faults`
#[utoipa::path(put, path = "/_emulator/faults", tag = "control", request_body = FaultPlan,
    responses((status = 204, description = "It is followed")))]
pub(crate) async fn follow(
    State(state): State<Arc<EmulatorState>>,
    body: Bytes,
) -> Result<StatusCode, ApiRefusal> {
    let plan: FaultPlan = read(&body)?;
    // The types let in plans that cannot be followed, such as a rate of 0 requests.
    plan.check().map_err(|error| ApiRefusal::bad_request(error.to_string()))?;
    state.faults.follow(plan);
    state.changes.other();
    Ok(StatusCode::NO_CONTENT)
}

/// What the next requests of an endpoint meet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NextRequests {
    #[serde(default = "create")]
    on: Endpoint,
    /// Requests about this template alone.
    #[serde(default, deserialize_with = "template_id::deserialize")]
    #[schema(value_type = Option<TemplateId>)]
    template: Option<Template>,
    /// Requests with this key alone.
    #[serde(default)]
    key: Option<String>,
    /// First to last; null is nothing amiss.
    #[schema(value_type = Vec<Option<Fault>>)]
    faults: Vec<Option<Map<String, Value>>>,
}

fn create() -> Endpoint {
    Endpoint::Create
}
