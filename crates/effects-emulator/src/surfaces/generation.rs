//! The generation surface: create a task, look at it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use effects_core::model::MODEL;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};

use crate::faults::Fault;
use crate::gate::Met;
use crate::gateway::Gateway;
use crate::lifecycle;
use crate::surfaces::{about, segment};
use crate::task::Surface;
use crate::wire::create::{Create, Params};
use crate::wire::refusal::Refusal;
use crate::wire::task;

/// `POST /model/v1/generation`
#[utoipa::path(post, path = "/model/v1/generation", tag = "generation",
    request_body = crate::wire::create::CreateRequest,
    responses((status = 200, body = task::TaskAnswer<'_>)))]
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    met: Option<Extension<Met>>,
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
    let fault = met.and_then(|Extension(met)| met.0);
    let finished = fault == Some(Fault::Finished);
    let checked = Params::check(create.params);
    let accepted = lifecycle::accept(&gateway, Surface::Generation, checked, fault).await?;
    if finished {
        gateway.studio.easels_clear(|id, _| id == accepted.id).await;
        let tell =
            |task: &_, telling: task::Telling<'_>| task::told(&accepted.id, task, telling, None);
        if let Some(told) = gateway.look(&accepted.id, &headers, tell) {
            return Ok(about(&accepted.id, json(told)));
        }
    }
    let created = json(task::created(&accepted.id, accepted.created));
    Ok(about(&accepted.id, created))
}

/// `GET /model/v1/generation/task/{id}`
#[utoipa::path(get, path = "/model/v1/generation/task/{id}", tag = "generation",
    params(("id" = String, Path)), responses((status = 200, body = task::TaskAnswer<'_>)))]
pub(crate) async fn look(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    met: Option<Extension<Met>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id = segment(&uri, TASK_PLACE);
    let twist = met.as_ref().and_then(|Extension(met)| met.0.as_ref());
    let tell = |task: &_, telling: task::Telling<'_>| task::told(id, task, telling, twist);
    let told = gateway.look(id, &headers, tell);
    told.map(json).ok_or_else(|| Refusal::not_found("there is no task of this id"))
}

/// The id's place among the segments of `/model/v1/generation/task/{id}`.
const TASK_PLACE: usize = 5;

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
