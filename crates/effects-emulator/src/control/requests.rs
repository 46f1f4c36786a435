//! [`requests`]: the handler of `GET /_emulator/requests`, which lists the recorded requests with their
//! answers, filtered by [`RequestsQuery`]. Tests in any language and the emulator's page call it over HTTP;
//! Rust and Python tests may call `Emulator::requests` instead.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use effects_core::Template;
use http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::query;
use super::verify::RequestMatch;
use crate::endpoint::Endpoint;
use crate::seen_request::SeenRequest;
use crate::state::EmulatorState;
use crate::template_id::{self, TemplateId};
use crate::wire::refusal::ApiRefusal;

/// `GET /_emulator/requests`
#[utoipa::path(get, path = "/_emulator/requests", tag = "control", params(RequestsQuery),
    responses((status = 200, body = Vec<SeenRequest>)))]
pub(crate) async fn requests(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
) -> Result<Json<Vec<SeenRequest>>, ApiRefusal> {
    let RequestsQuery { after, limit, task, template, endpoint, status, since } = query(&uri)?;
    let wanted =
        RequestMatch { task, template, endpoint, status, since, ..RequestMatch::default() };
    let seen = state.requests(after).into_iter();
    // The comparison of `verify`, so that the list shows what that counts.
    let seen = seen.filter(|seen| wanted.differences(&state, seen).is_empty());
    // Without a limit it is the whole record, which is bounded by `Limits::requests`.
    Ok(Json(seen.take(limit.unwrap_or(usize::MAX)).collect()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestsQuery {
    /// Requests of higher numbers alone.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    task: Option<String>,
    #[serde(default, deserialize_with = "template_id::deserialize")]
    #[param(value_type = Option<TemplateId>)]
    template: Option<Template>,
    endpoint: Option<Endpoint>,
    #[param(minimum = 100, maximum = 599)]
    status: Option<u16>,
    since: Option<u64>,
}
