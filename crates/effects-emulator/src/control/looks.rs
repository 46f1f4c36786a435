//! [`looks`] and [`look`]: the handlers of `/_emulator/looks`, which list the templates and sizes, and
//! paint a small picture of an uploaded photo through one template, without a task, a record or a cost. The
//! emulator's page lets its user choose a template by them (`page/try.js`).

use std::io::Cursor;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use effects_core::Template;
use effects_core::model::{DEFAULT_SIDE, SIDE_RANGE};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{StatusCode, Uri};
use image::ImageFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::query;
use crate::photo;
use crate::state::EmulatorState;
use crate::task::TaskFailure;
use crate::wire::refusal::ApiRefusal;

/// `GET /_emulator/looks`
#[utoipa::path(get, path = "/_emulator/looks", tag = "control",
    responses((status = 200, body = TemplatePreviewList)))]
pub(crate) async fn looks() -> Json<TemplatePreviewList> {
    let look = |template: &'static Template| PreviewTemplate {
        id: template.id(),
        title: template.title(),
    };
    Json(TemplatePreviewList {
        templates: Template::ALL.iter().map(look).collect(),
        least_side: *SIDE_RANGE.start(),
        most_side: *SIDE_RANGE.end(),
        default_side: DEFAULT_SIDE,
    })
}

/// The templates, and the sizes that there are.
#[derive(Serialize, ToSchema)]
#[schema(as = Looks)]
pub(crate) struct TemplatePreviewList {
    templates: Vec<PreviewTemplate>,
    least_side: u32,
    most_side: u32,
    default_side: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LookChoice)]
pub(crate) struct PreviewTemplate {
    id: &'static str,
    title: &'static str,
}

/// `GET /_emulator/looks/{template}?photo=NAME`: an uploaded photo through a template, small. It is
/// no task: nothing is recorded and nothing paid.
pub(crate) async fn look(
    State(state): State<Arc<EmulatorState>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiRefusal> {
    let PreviewQuery { photo } = query(&uri)?;
    let template: Template =
        id.parse().map_err(|error| ApiRefusal::not_found(format!("template: {error}")))?;
    let photo = state.files.get(&photo, state.clock.now()).await;
    let photo = photo.ok_or_else(|| ApiRefusal::not_found("photo: there is no such file"))?;
    let unreadable = |why: String| ApiRefusal::bad_request(format!("photo: {why}"));
    // By its header, before it waits for a painter.
    photo::inspect(&photo, state.options.limits.photo_pixels)
        .map_err(|error| unreadable(TaskFailure::from(error).message.into()))?;
    let picture = state.renders.preview(photo, template, small).await;
    let picture = picture.map_err(unreadable)?;
    // An upload's name is never given to another file, so a look of it never changes.
    let headers = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "private, max-age=3600")];
    Ok((StatusCode::OK, headers, picture).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewQuery {
    /// The name of an uploaded file.
    photo: String,
}

/// A picture at the size that the page shows it, for screens of up to two pixels a point.
fn small(picture: &[u8]) -> Result<Vec<u8>, String> {
    let picture = image::load_from_memory(picture).map_err(|error| error.to_string())?;
    let mut small = Cursor::new(Vec::new());
    // JPEG has no transparency.
    let shrunk = picture.thumbnail(2 * PREVIEW_SIDE, 2 * PREVIEW_SIDE).into_rgb8();
    shrunk.write_to(&mut small, ImageFormat::Jpeg).map_err(|error| error.to_string())?;
    Ok(small.into_inner())
}

/// The side of a preview on the page, in points.
const PREVIEW_SIDE: u32 = 96;
