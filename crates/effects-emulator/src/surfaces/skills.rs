//! [`search`] and [`skill`]: the HTTP handlers of the model catalogue in the form that the SeaArt
//! clients ask for: [`search`] lists the model if the query matches it, without an envelope; [`skill`]
//! sends a text that tells a program how to call the model. The filter and the text are in
//! `catalogue.rs`. `routes.rs` leads requests to them, and `openapi.rs` describes them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use effects_core::model::MODEL;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::{CatalogueFilter, NAME, PROVIDER, prompt};
use super::segment;
use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// `GET /model/v1/models/skill/search`
#[utoipa::path(get, path = "/model/v1/models/skill/search", tag = "catalogue",
    params(("q" = Option<String>, Query), ("type" = Option<String>, Query),
        ("provider" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = SkillsFound)))]
pub(crate) async fn search(
    State(state): State<Arc<EmulatorState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Json<SkillsFound> {
    let filter = CatalogueFilter::read(query.as_deref());
    let limit = filter.number("limit", 20);
    let hit = || SkillHit {
        id: MODEL,
        name: NAME,
        provider: PROVIDER,
        description: "Turns a photo into a styled picture by template",
        input: ["image"],
        output: ["image"],
        media_type: "image",
        tags: ["image-to-image", "effects"],
        tags_abbr: ["i2i", "fx"],
        skill_content: prompt(&state.origin_for(&headers)),
    };
    let hits: Vec<_> = filter.wants_the_model("q").then(hit).into_iter().collect();
    // The fields are those of a Meilisearch answer, which the SeaArt clients read.
    Json(SkillsFound {
        estimated_total_hits: hits.len(),
        hits,
        query: filter.value("q").unwrap_or_default(),
        processing_time_ms: 0,
        limit,
        offset: 0,
    })
}

/// `GET /model/v1/models/skill/{model}`
#[utoipa::path(get, path = "/model/v1/models/skill/{model}", tag = "catalogue",
    params(("model" = String, Path)),
    responses((status = 200, body = String, content_type = "text/markdown")))]
pub(crate) async fn skill(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    let model = segment(&uri, MODEL_PLACE);
    if model != MODEL {
        return Err(ApiRefusal::not_found(format!("there is no model `{model}`; it is `{MODEL}`")));
    }
    // Without an envelope: the SeaArt clients hand the body on as text.
    let text = prompt(&state.origin_for(&headers));
    Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SkillsFound {
    hits: Vec<SkillHit>,
    query: String,
    processing_time_ms: u64,
    limit: u64,
    offset: u64,
    estimated_total_hits: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SkillHit {
    id: &'static str,
    name: &'static str,
    provider: &'static str,
    description: &'static str,
    #[schema(value_type = Vec<String>)]
    input: [&'static str; 1],
    #[schema(value_type = Vec<String>)]
    output: [&'static str; 1],
    media_type: &'static str,
    #[schema(value_type = Vec<String>)]
    tags: [&'static str; 2],
    #[schema(value_type = Vec<String>)]
    tags_abbr: [&'static str; 2],
    skill_content: String,
}

/// The model's place among the segments of `/model/v1/models/skill/{model}`.
const MODEL_PLACE: usize = 5;
