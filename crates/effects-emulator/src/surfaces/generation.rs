//! The generation surface: create a task, look at it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use effects_core::MODEL;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};

use crate::gateway::Gateway;
use crate::life;
use crate::task::Surface;
use crate::wire::create::{Create, Params};
use crate::wire::refusal::Refusal;
use crate::wire::task;

/// `POST /model/v1/generation`
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let create = Create::read(&headers, &body)?;
    drop(body);
    match create.model.as_deref() {
        Some(MODEL) => {}
        Some(other) => {
            return Err(Refusal::bad_request(format!(
                "model: `{other}` is not served here; it is `{MODEL}`"
            )));
        }
        None => {
            return Err(Refusal::bad_request(format!(
                "model: missing from the body and from X-Model; it is `{MODEL}`"
            )));
        }
    }
    let accepted = life::accept(&gateway, Surface::Generation, Params::check(create.params))?;
    Ok(json(task::created(&accepted.id, accepted.created)))
}

/// `GET /model/v1/generation/task/{id}`
pub(crate) async fn task(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // Ids have no letter that would be escaped, so the raw segment is the id or names none.
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let told = gateway.look(id, &headers, |task, telling| task::told(id, task, telling));
    told.map(json).ok_or_else(|| Refusal::not_found("there is no task of this id"))
}

fn json(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
