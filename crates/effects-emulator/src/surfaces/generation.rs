//! The generation surface: create a task, look at it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use effects_core::MODEL;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::faults::Fault;
use crate::gate::Met;
use crate::gateway::Gateway;
use crate::life;
use crate::surfaces::about;
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
    let accepted = life::accept(&gateway, Surface::Generation, checked, fault).await?;
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

/// Whether a request is one of the many of `GET /model/v1/generation/task/{id}`, which are answered
/// without a router's help.
pub(crate) fn is_look(method: &Method, uri: &Uri) -> bool {
    let id = uri.path().strip_prefix("/model/v1/generation/task/");
    *method == Method::GET && id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// `GET /model/v1/generation/task/{id}`
pub(crate) fn look(gateway: &Gateway, request: &Request) -> Response {
    let id = request.uri().path().rsplit('/').next().unwrap_or_default();
    let twist = request.extensions().get::<Met>().and_then(|met| met.0.as_ref());
    let tell = |task: &_, telling: task::Telling<'_>| task::told(id, task, telling, twist);
    match gateway.look(id, request.headers(), tell) {
        Some(told) => json(told),
        None => Refusal::not_found("there is no task of this id").into_response(),
    }
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
