//! The surfaces of the gateway, each in the form its clients know.

mod files;
mod generation;
mod storage;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::endpoint::Endpoint;
use crate::gate::{self, Gate};
use crate::gateway::Gateway;
use crate::wire::refusal::Refusal;

/// Every path of the gateway behind its gate.
pub(crate) fn router(gateway: &Arc<Gateway>) -> Router {
    let at = |endpoint, handler: MethodRouter<Arc<Gateway>>| {
        let gate = Gate { gateway: Arc::clone(gateway), endpoint };
        handler.layer(from_fn_with_state(gate, gate::pass))
    };
    Router::new()
        .route("/model/v1/generation", at(Endpoint::Create, post(generation::create)))
        .route("/model/v1/generation/task/{id}", at(Endpoint::Task, get(generation::task)))
        .route("/api/v1/storage/files", at(Endpoint::Upload, post(storage::upload)))
        .route("/files/{name}", at(Endpoint::File, get(files::file)))
        .fallback_service(
            at(Endpoint::Other, axum::routing::any(nowhere)).with_state(Arc::clone(gateway)),
        )
        // The gate has its own limits, by endpoint.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(gateway))
}

async fn nowhere() -> Refusal {
    Refusal::not_found("there is nothing at this path")
}
