//! [`upload`]: the HTTP handler of `POST /api/v1/storage/files`: keeps an uploaded photo in the
//! `FileStore`, unless it is too large, and answers with the URL that a create can name. `routes.rs`
//! leads requests to it, and `openapi.rs` describes it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::lifecycle;
use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// `POST /api/v1/storage/files`: a form with a field `file`.
#[utoipa::path(post, path = "/api/v1/storage/files", tag = "storage",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Uploaded)))]
pub(crate) async fn upload(
    State(state): State<Arc<EmulatorState>>,
    request: Request,
) -> Result<Json<Uploaded>, ApiRefusal> {
    let origin = state.origin_for(request.headers());
    let unreadable = |what: String| {
        ApiRefusal::bad_request(format!("the body is not a form with a field `file`: {what}"))
    };
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| unreadable(error.body_text()))?;
    while let Some(field) =
        form.next_field().await.map_err(|error| unreadable(error.body_text()))?
    {
        if field.name() != Some("file") {
            continue;
        }
        let photo = field.bytes().await.map_err(|error| unreadable(error.body_text()))?;
        let max_bytes = state.options.limits.photo_bytes;
        // The limit of the body leaves room for base64, a third more than a photo may have.
        if photo.len() > max_bytes {
            let message = format!("file: it is larger than {max_bytes} bytes");
            return Err(ApiRefusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PAYLOAD_TOO_LARGE",
                message,
            ));
        }
        let kept = state.keep(photo).await.map_err(lifecycle::storage_failed)?.kept;
        if let Some(store) = &state.store {
            // The answer promises the file, so its row is committed first, as a task's is.
            store.wait_for_commit().await.map_err(lifecycle::storage_failed)?;
        }
        let url = format!("{origin}/files/{}", kept.name);
        return Ok(Json(Uploaded { data: UploadedData { url: url.clone() }, url }));
    }
    Err(unreadable("it has other fields only".to_owned()))
}

/// Where an upload is; its clients look for it in one of two places.
#[derive(Serialize, ToSchema)]
pub(crate) struct Uploaded {
    url: String,
    data: UploadedData,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UploadedData {
    url: String,
}

/// The form of an upload.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the form is read field by field")]
pub(crate) struct UploadForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}
