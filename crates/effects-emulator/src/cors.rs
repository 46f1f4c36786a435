//! Cross-origin requests: decides which other sites' pages may call an emulator from a browser, by the list
//! in [`Options::cors`](crate::Options::cors). `IsolatedEmulators::answer` has [`allowed`] check the origin
//! of each request, has [`preflight`] answer a browser that asks first, and marks the answer with
//! [`allow_origin`]; `Options::check` refuses with [`is_origin`] what is no origin.
//!
//! A page that may ask still needs the key; the cookie of the emulator's own page never counts there.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

/// The origin of a request's page, if it is one that may ask.
pub(crate) fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN).filter(|_| !origins.is_empty())?;
    // Byte for byte: `is_origin` lets in only what is written as browsers send it.
    let is_allowed = |allowed: &String| allowed == ANY || allowed.as_bytes() == origin.as_bytes();
    origins.iter().any(is_allowed).then(|| origin.clone())
}

/// The answer to a browser that asks beforehand; `None` for any other request. It has no key yet.
pub(crate) fn preflight<B>(request: &Request<B>, origin: &HeaderValue) -> Option<Response> {
    let headers = request.headers();
    if *request.method() != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    {
        return None;
    }
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let allow = answer.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE");
    allow.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    // The service's clients send many headers of their own, so all that a page asks for are
    // allowed.
    if let Some(requested) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        allow.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
    }
    // Seconds for which the browser need not ask again.
    allow.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    allow_origin(&mut answer, origin);
    Some(answer)
}

/// Lets a page of this origin read an answer.
pub(crate) fn allow_origin(answer: &mut Response, origin: &HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    // A cache must not give the answer for one origin to another's page.
    headers.append(VARY, HeaderValue::from_static("origin"));
    // Without this a page's scripts see only the few headers that browsers let through by
    // themselves.
    let exposed_headers = HeaderValue::from_static("content-range, retry-after, x-request-id");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed_headers);
}

/// Stands for every origin.
const ANY: &str = "*";

/// Whether a text names an origin as browsers send it, or all of them.
pub(crate) fn is_origin(text: &str) -> bool {
    text == ANY || url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}
