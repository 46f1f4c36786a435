//! [`index`], [`file()`] and [`session`]: the HTTP handlers of the emulator's page for a browser: the
//! page at `/`, its scripts and images, which are part of the program, and the cookie by which the page
//! uses the emulator without the key. `routes.rs` leads requests to them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// `GET /`
pub(crate) async fn index(
    State(state): State<Arc<EmulatorState>>,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    // Against DNS rebinding: under a site's own name this page would have that site's origin, and
    // the site's scripts could drive it.
    if !state.session.is_own_host(&headers) {
        let message = "this page opens at the emulator's own address alone, not under another name; \
                     say --public-url if it is to have one";
        return Err(ApiRefusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    let mut page = answer("text/html; charset=utf-8", include_bytes!("../page/index.html"));
    if state.session.is_open_to(&headers) {
        page.headers_mut().insert(SET_COOKIE, state.session.cookie());
    }
    Ok(page)
}

/// `GET /page/{name}`
pub(crate) async fn file(Path(name): Path<String>) -> Result<Response, ApiRefusal> {
    // Looked up in a list, so that no path reaches a file system.
    let file = FILES.iter().find(|(file, ..)| *file == name);
    let (_, media_type, bytes) =
        file.ok_or_else(|| ApiRefusal::not_found("there is no such file"))?;
    Ok(answer(media_type, bytes))
}

/// `POST /_emulator/session`: gives the cookie to a page that has brought the key.
pub(crate) async fn session(State(state): State<Arc<EmulatorState>>) -> Response {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, state.session.cookie())]).into_response()
}

fn answer(media_type: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The next version of this program has other files at the same paths.
        (CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, bytes).into_response()
}

/// The page runs its own files and talks to its own origin; nothing may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' blob:; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: name, media type, bytes.
const FILES: [(&str, &str, &[u8]); 10] = [
    ("style.css", "text/css; charset=utf-8", include_bytes!("../page/style.css")),
    ("main.js", SCRIPT, include_bytes!("../page/main.js")),
    ("api.js", SCRIPT, include_bytes!("../page/api.js")),
    ("dom.js", SCRIPT, include_bytes!("../page/dom.js")),
    ("try.js", SCRIPT, include_bytes!("../page/try.js")),
    ("tasks.js", SCRIPT, include_bytes!("../page/tasks.js")),
    ("requests.js", SCRIPT, include_bytes!("../page/requests.js")),
    ("control.js", SCRIPT, include_bytes!("../page/control.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("../page/icon.svg")),
    ("photo.jpg", "image/jpeg", include_bytes!("../page/photo.jpg")),
];
