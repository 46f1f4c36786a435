//! [`answer_instead`] and [`apply`] carry out the [`Fault`]s of exchanges: the first answers in place of
//! the handler, with an error status or a connection that ends ([`Cut`]); the second spoils the handler's
//! own answer: late, lost, cut off, or with another body. The middleware calls both, and `server.rs` ends
//! the connection where an answer is a [`Cut`]. Faults of tasks and polls are carried out by the handlers
//! and `wire/`.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Collected};

use super::body::code_word;
use super::fault::{Fault, Moment};
use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// How a connection ends in place of an answer. The server finds it on the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// With a reset.
    Reset,
    /// In good order.
    Close,
}

impl IntoResponse for Cut {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

impl Fault {
    /// Whether it keeps the request from having any effect.
    pub(crate) fn answers_instead(&self) -> bool {
        match self {
            Self::Status { .. } => true,
            Self::Reset { when } | Self::Close { when } | Self::Hang { when, .. } => {
                *when == Moment::Before
            }
            _ => false,
        }
    }
}

/// The answer of a fault that [keeps the request](Fault::answers_instead) from having any effect.
pub(crate) async fn answer_instead(state: &EmulatorState, fault: &Fault) -> Response {
    // What cuts no connection here is a status: `answers_instead` lets nothing else in.
    cut(state, fault, Moment::Before).await.unwrap_or_else(|| status(fault))
}

/// What a fault leaves of the endpoint's own answer.
pub(crate) async fn apply(state: &EmulatorState, fault: &Fault, response: Response) -> Response {
    if let Some(cut) = cut(state, fault, Moment::After).await {
        return cut;
    }
    match fault {
        Fault::Slow { seconds } => {
            wait(state, *seconds).await;
            response
        }
        Fault::Garbage => with_body(response, |_| Body::from(GARBAGE)).await,
        Fault::Truncate { keep } => with_body(response, |body| truncated_body(&body, *keep)).await,
        Fault::Drip { bytes, pause } => {
            with_body(response, |body| dripped_body(body, *bytes, *pause)).await
        }
        _ => response,
    }
}

async fn cut(state: &EmulatorState, fault: &Fault, now: Moment) -> Option<Response> {
    let cut = match fault {
        Fault::Reset { when } if *when == now => Cut::Reset,
        Fault::Close { when } if *when == now => Cut::Close,
        Fault::Hang { when, seconds } if *when == now => {
            wait(state, *seconds).await;
            Cut::Close
        }
        _ => return None,
    };
    Some(cut.into_response())
}

/// Waits in the machine's time, or until the emulator stops.
async fn wait(state: &EmulatorState, seconds: f64) {
    // The time-outs of the client that waits go by the machine's clock, beside a virtual one as
    // well.
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        () = state.stopping() => {}
    }
}

fn status(fault: &Fault) -> Response {
    let Fault::Status { status, body, message, retry_after, location } = fault else {
        return Response::default();
    };
    // Plans, scripts and keys have been checked to name 200 to 599.
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = message.as_deref().or_else(|| status.canonical_reason()).unwrap_or("a fault");
    let mut response = match body.write(status, message) {
        Some((media_type, body)) => {
            let media_type = HeaderValue::from_str(media_type);
            let media_type = media_type.unwrap_or_else(|_| HeaderValue::from_static("text/plain"));
            (status, [(CONTENT_TYPE, media_type)], body).into_response()
        }
        None => ApiRefusal::new(status, code_word(status), message).into_response(),
    };
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, retry_after.header());
    }
    if let Some(location) = location.as_deref().and_then(|to| HeaderValue::from_str(to).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Puts another body behind the head of an answer. The length promised stays the old one if the
/// new body's length is unknown.
async fn with_body(response: Response, change: impl FnOnce(Bytes) -> Body) -> Response {
    let (mut parts, body) = response.into_parts();
    // Bodies of the gateway's own making are in memory and cannot fail.
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let promised = body.len();
    let body = change(body);
    // hyper writes the length itself where it knows that of the body.
    parts.headers.remove(CONTENT_LENGTH);
    if http_body::Body::size_hint(&body).exact().is_none() {
        parts.headers.insert(CONTENT_LENGTH, promised.into());
    }
    Response::from_parts(parts, body)
}

/// The first part of a body, then the end of the connection.
fn truncated_body(body: &Bytes, keep: f64) -> Body {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the body needs no exactness, and the cut keeps it inside"
    )]
    // At least one byte is left out, or nothing would be cut off.
    let kept = ((body.len() as f64 * keep) as usize).min(body.len().saturating_sub(1));
    let first = body.slice(..kept);
    Body::from_stream(stream::unfold(Some(first), |first| async move {
        if let Some(first) = first {
            return Some((Ok(first), None));
        }
        // What was written before goes out while the body has nothing to give.
        tokio::task::yield_now().await;
        // Whatever the error is, hyper ends the connection in the middle of the body.
        Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None))
    }))
}

fn dripped_body(body: Bytes, bytes: usize, pause: f64) -> Body {
    let pause = Duration::try_from_secs_f64(pause).unwrap_or_default();
    Body::from_stream(stream::unfold((body, true), move |(mut body, first)| async move {
        if body.is_empty() {
            return None;
        }
        // The first piece comes at once: the pause is one between pieces.
        if !first {
            tokio::time::sleep(pause).await;
        }
        let drop = body.split_to(bytes.min(body.len()));
        Some((Ok::<_, io::Error>(drop), (body, false)))
    }))
}

/// Neither JSON nor text nor a picture.
const GARBAGE: &[u8] = b"{\"id\":\"d758\xff\xfe\x00<html>";
