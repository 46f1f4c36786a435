//! Pictures and uploads, for whoever knows their names.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode, Uri};

use crate::gateway::Gateway;
use crate::kind::Kind;
use crate::wire::refusal::Refusal;

/// `GET /files/{name}`
pub(crate) async fn file(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let now = gateway.clock.now();
    if expires(&uri).is_some_and(|end| end <= now) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the link has expired"));
    }
    let name = uri.path().strip_prefix("/files/").unwrap_or_default();
    let file = gateway.vault.get(name, now).await;
    let file = file.ok_or_else(|| Refusal::not_found("there is no such file, or no longer"))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(Kind::of(&file).media_type())),
        // Uploads are anybody's bytes: a browser must not take them for a page.
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, file).into_response())
}

/// When a link says it ends, in the clock's milliseconds.
fn expires(uri: &Uri) -> Option<u64> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("expires="))?.parse().ok()
}
