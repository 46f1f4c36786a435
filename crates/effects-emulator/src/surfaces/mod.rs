//! The surfaces of the emulated gateway: the HTTP handlers of tasks (`generation.rs`, `queue.rs`), uploads
//! (`storage.rs`), downloads (`files.rs`), money (`account.rs`), the list of models (`catalogue.rs`,
//! `skills.rs`) and the page for a browser (`page.rs`). `routes.rs` leads requests to them, and
//! `openapi.rs` describes them, except the page and the two of `queue.rs` that always refuse. The control
//! API for tests is in `control/`.

pub(crate) mod account;
pub(crate) mod catalogue;
pub(crate) mod files;
pub(crate) mod generation;
pub(crate) mod page;
pub(crate) mod queue;
pub(crate) mod skills;
pub(crate) mod storage;

use axum::response::Response;
use http::Uri;

use crate::seen_request::TaskOfAnswer;

/// The segments of a path as they are written: what they are compared with has no letter that would
/// be escaped.
fn segment(uri: &Uri, place: usize) -> &str {
    uri.path().split('/').nth(place).unwrap_or_default()
}

/// Notes the task that an answer is about.
fn about(id: &str, mut answer: Response) -> Response {
    answer.extensions_mut().insert(TaskOfAnswer(id.into()));
    answer
}
