//! [`Routes`]: the HTTP router of one emulator: it leads each path to its handler in `surfaces/`,
//! `control/` or `openapi.rs`, behind the middleware, and answers 404 to every other.
//! `IsolatedEmulators` makes a router for the main emulator and for that of each isolated key, and
//! passes each request to the router of the emulator that it is for.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post, put};
use hyper::body::Incoming;
use tower_service::Service as _;

use crate::endpoint::Endpoint;
use crate::middleware::{self, EndpointContext};
use crate::state::EmulatorState;
use crate::surfaces::{account, catalogue, files, generation, page, queue, skills, storage};
use crate::wire::refusal::ApiRefusal;
use crate::{control, openapi};

/// The router of all surfaces, each path behind the middleware.
#[derive(Clone)]
pub(crate) struct Routes {
    router: Router,
}

impl Routes {
    pub(crate) fn new(state: &Arc<EmulatorState>) -> Self {
        Self { router: router(state) }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: http::Request<Incoming>) -> Response {
        let answer = Box::pin(self.router.clone().call(request.map(Body::new)));
        // The router's error type has no values.
        answer.await.unwrap_or_else(|never| match never {})
    }
}

fn router(state: &Arc<EmulatorState>) -> Router {
    let at = |endpoint, handler: MethodRouter<Arc<EmulatorState>>| {
        let context = EndpointContext { state: Arc::clone(state), endpoint };
        // The layer comes last and covers the fallback: a request of a wrong method is recorded as
        // well.
        handler.fallback(wrong_method).layer(from_fn_with_state(context, middleware::layer))
    };
    let queue = |rest: &str| format!("/model/v1/queue/{{model}}{rest}");
    let generation = "/model/v1/generation";
    Router::new()
        .route(generation, at(Endpoint::Create, post(generation::create)))
        .route("/model/v1/generation/task/{id}", at(Endpoint::Task, get(generation::look)))
        .route(&queue(""), at(Endpoint::QueueSubmit, post(queue::submit)))
        .route(&queue("/requests/{id}/status"), at(Endpoint::QueueStatus, get(queue::status)))
        .route(&queue("/requests/{id}/response"), at(Endpoint::QueueResponse, get(queue::response)))
        .route(&queue("/requests/{id}/cancel"), at(Endpoint::QueueCancel, put(queue::cancel)))
        .route(&queue("/sync"), at(Endpoint::Other, post(queue::sync)))
        .route(&queue("/requests/{id}/status/stream"), at(Endpoint::Other, get(queue::stream)))
        .route("/model/v1/generation/precharge", at(Endpoint::Account, post(account::precharge)))
        .route("/api/v1/user/balance", at(Endpoint::Account, get(account::balance)))
        .route("/model/v1/models/skill/search", at(Endpoint::Catalogue, get(skills::search)))
        .route("/model/v1/models/skill/{model}", at(Endpoint::Catalogue, get(skills::skill)))
        .route("/api/v1/skill/models", at(Endpoint::Catalogue, get(catalogue::models)))
        .route("/api/v1/skill/models/{id}/spec", at(Endpoint::Catalogue, get(catalogue::spec)))
        .route(
            "/api/v1/skill/model-contracts/{id}",
            at(Endpoint::Catalogue, get(catalogue::contract)),
        )
        .route("/api/v1/storage/files", at(Endpoint::Upload, post(storage::upload)))
        .route("/files/{name}", at(Endpoint::File, get(files::file)))
        .route("/", at(Endpoint::Page, get(page::index)))
        .route("/openapi.json", at(Endpoint::Page, get(openapi::document)))
        .route("/healthz", at(Endpoint::Page, get(openapi::health)))
        .route("/page/{name}", at(Endpoint::Page, get(page::file)))
        .merge(control(&at))
        .fallback_service(fallback(state).with_state(Arc::clone(state)))
        // The middleware has its own limits, by endpoint.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(state))
}

/// The control API.
fn control(
    at: &dyn Fn(Endpoint, MethodRouter<Arc<EmulatorState>>) -> MethodRouter<Arc<EmulatorState>>,
) -> Router<Arc<EmulatorState>> {
    let at = |handler| at(Endpoint::Control, handler);
    let next = get(control::faults::scripted)
        .post(control::faults::next)
        .delete(control::faults::unscript);
    Router::new()
        // To the router these are two paths.
        .route("/_emulator", at(get(control::about)))
        .route("/_emulator/", at(get(control::about)))
        .route("/_emulator/session", at(post(page::session)))
        .route("/_emulator/events", at(get(control::events::events)))
        .route("/_emulator/looks", at(get(control::looks::looks)))
        .route("/_emulator/looks/{template}", at(get(control::looks::look)))
        .route("/_emulator/requests", at(get(control::requests::requests)))
        .route("/_emulator/verify", at(post(control::verify::verify)))
        .route("/_emulator/tasks", at(get(control::tasks::tasks)))
        .route("/_emulator/tasks/{id}", at(get(control::tasks::task)))
        .route("/_emulator/tasks/{id}/picture", at(get(control::tasks::picture)))
        .route("/_emulator/tasks/{id}/finish", at(post(control::tasks::finish)))
        .route("/_emulator/tasks/{id}/fail", at(post(control::tasks::fail)))
        .route("/_emulator/counts", at(get(control::counts)))
        .route("/_emulator/next", at(next))
        .route("/_emulator/faults", at(get(control::faults::plan).put(control::faults::follow)))
        .route("/_emulator/clock/advance", at(post(control::clock::advance)))
        .route("/_emulator/reset", at(post(control::reset)))
}

/// Every other path, behind the middleware like all of them.
fn fallback(state: &Arc<EmulatorState>) -> MethodRouter<Arc<EmulatorState>> {
    let context = EndpointContext { state: Arc::clone(state), endpoint: Endpoint::Other };
    any(not_found).layer(from_fn_with_state(context, middleware::layer))
}

async fn not_found() -> ApiRefusal {
    ApiRefusal::not_found("there is nothing at this path")
}

/// There is nothing at this path for this method: some clients find their way by probing paths
/// until one is not 404.
async fn wrong_method() -> ApiRefusal {
    ApiRefusal::not_found("there is nothing at this path for this method")
}
