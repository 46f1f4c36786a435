//! [`RecordedRequest`]: a request and its answer as `RequestRecord` keeps them: the heads without keys and
//! the beginnings of the bodies; the middleware fills it in while the exchange goes on. [`SeenRequest`],
//! with its [`SeenAnswer`], is what the control API and [`Emulator::requests`](crate::Emulator::requests)
//! make of it, for the page and for tests in Rust, Python or any other language. By [`TaskOfAnswer`] a
//! handler tells the middleware which task its answer is about.
//!
//! Keys are left out when a head is written down, and the emulator's own key again when it is shown.

use std::sync::OnceLock;
use std::time::Instant;

use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;

/// A request the emulator has seen.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct SeenRequest {
    /// Its number, from 1 in the order of arrival.
    pub number: u64,
    /// When it arrived, in milliseconds since the epoch by the emulator's clock.
    pub at: u64,
    /// The endpoint it came to.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: String,
    /// Its path, with the query; the emulator's key is redacted wherever it stands.
    pub path: String,
    /// Its headers in order, 8 KiB of them at most; keys are redacted.
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Vec<(String, String)>,
    /// The first 4 KiB of its body, as text; empty without an accepted key, since the body is not
    /// read then.
    pub body: String,
    /// The bytes of its whole body; 0 if it was not read.
    pub body_bytes: usize,
    /// The first half of the SHA-256 of its whole body in hex, the name that
    /// [`Counts::by_body`](crate::Counts::by_body) has for it; `None` for an empty body.
    pub body_hash: Option<String>,
    /// The id of the task that it created, looked at or cancelled, or whose picture it asked for;
    /// `None` if there was none.
    pub task: Option<String>,
    /// The status it was answered with; `None` if no answer went out, or none yet.
    pub status: Option<u16>,
    /// The rest of the answer; `None` if no answer went out, or none yet.
    pub answer: Option<SeenAnswer>,
    /// The fault it met.
    pub fault: Option<&'static str>,
    /// Whether it was let in; `false` if it was answered 401 because no accepted key came with it.
    pub authorized: bool,
}

/// The answer to a request, beside its status.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct SeenAnswer {
    /// Its headers in order, 8 KiB of them at most.
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Vec<(String, String)>,
    /// The first 4 KiB of its body, as text; empty for a picture. Of a body that a fault has
    /// truncated or slowed down it is the whole body's beginning.
    pub body: String,
    /// The bytes of its whole body.
    pub body_bytes: usize,
    /// How long the answer took, in milliseconds of the machine's clock.
    pub milliseconds: u64,
}

/// What the emulator knows of a request beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestArrival {
    pub(crate) at: u64,
    pub(crate) endpoint: Endpoint,
    /// No accepted key came with it.
    pub(crate) is_keyless: bool,
    /// It is let in, with a key or where none is needed.
    pub(crate) is_authorized: bool,
}

/// The id of the task that an answer is about: handlers put it into the response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct TaskOfAnswer(pub(crate) Box<str>);

/// A request in few allocations: the head is one text, a line each for path and headers.
#[derive(Debug)]
pub(crate) struct RecordedRequest {
    /// 0 until the record has given it one.
    pub(crate) number: u64,
    pub(crate) arrival: RequestArrival,
    started: Instant,
    head: Box<str>,
    body: Box<[u8]>,
    body_bytes: usize,
    body_digest: Option<u128>,
    task: OnceLock<Box<str>>,
    /// `None` where the connection ended in place of an answer.
    answer: OnceLock<Option<RecordedAnswer>>,
    fault: OnceLock<&'static str>,
}

#[derive(Debug)]
struct RecordedAnswer {
    status: u16,
    head: Box<str>,
    body: Box<[u8]>,
    body_bytes: usize,
    milliseconds: u64,
}

impl RecordedRequest {
    pub(crate) fn new(parts: &Parts, body: &[u8], arrival: RequestArrival) -> Self {
        // A `CONNECT` has no path.
        let path = parts.uri.path_and_query().map_or("*", |path| path.as_str());
        Self {
            number: 0,
            arrival,
            started: Instant::now(),
            // A request line may hold a whole URL, as one to a proxy does; only its path is kept.
            head: head(&format!("{} {path}", parts.method), &parts.headers),
            body: body[..body.len().min(MAX_BODY_BYTES)].into(),
            body_bytes: body.len(),
            body_digest: (!body.is_empty()).then(|| digest(body)),
            task: OnceLock::new(),
            answer: OnceLock::new(),
            fault: OnceLock::new(),
        }
    }

    /// Adds the fault that the request meets.
    pub(crate) fn set_fault(&self, fault: &'static str) {
        // A request meets one at most.
        let _ = self.fault.set(fault);
    }

    /// Adds the task that the request is about.
    pub(crate) fn set_task(&self, task: &str) {
        // A request is about one at most.
        let _ = self.task.set(task.into());
    }

    /// Adds the answer that goes out, with its body as far as that is known.
    pub(crate) fn set_answer(&self, response: &Response, body: &Bytes) {
        let media_type = response.headers().get(CONTENT_TYPE);
        let is_file = media_type.is_some_and(|media_type| {
            let media_type = media_type.as_bytes();
            media_type.starts_with(b"image/") || media_type == b"application/octet-stream"
        });
        // The beginning of a picture is of no use as text.
        let kept = if is_file { 0 } else { body.len().min(MAX_BODY_BYTES) };
        // A request is answered once.
        let _ = self.answer.set(Some(RecordedAnswer {
            status: response.status().as_u16(),
            head: head("", response.headers()),
            body: body[..kept].into(),
            body_bytes: body.len(),
            milliseconds: crate::clock::millis(self.started.elapsed()),
        }));
    }

    /// Says that the connection ended in place of an answer.
    pub(crate) fn set_unanswered(&self) {
        let _ = self.answer.set(None);
    }

    pub(crate) fn body_digest(&self) -> u128 {
        self.body_digest.unwrap_or_else(|| digest(&[]))
    }

    pub(crate) fn task(&self) -> Option<&str> {
        self.task.get().map(|id| &**id)
    }

    /// What is shown of it, without this secret.
    pub(crate) fn seen(&self, secret: &str) -> SeenRequest {
        // A key this short is no secret, and to replace it would garble ordinary words.
        let secret = Some(secret).filter(|secret| secret.len() >= SHORTEST_SECRET);
        // A key may also stand in a path, a query or a body, where no header's name gives it away.
        let shown = |text: &str| match secret {
            Some(secret) => text.replace(secret, REDACTED),
            None => text.to_owned(),
        };
        let headers = |lines: std::str::Split<'_, char>| {
            let pairs = lines.filter_map(|line| line.split_once(": "));
            pairs.map(|(name, value)| (name.to_owned(), shown(value))).collect()
        };
        let mut lines = self.head.split('\n');
        let line = lines.next().and_then(|line| line.split_once(' '));
        let (method, path) = line.unwrap_or_default();
        let answer = self.answer.get().and_then(Option::as_ref);
        SeenRequest {
            number: self.number,
            at: self.arrival.at,
            endpoint: self.arrival.endpoint,
            method: method.to_owned(),
            path: shown(path),
            headers: headers(lines),
            body: shown(&String::from_utf8_lossy(&self.body)),
            body_bytes: self.body_bytes,
            body_hash: self.body_digest.map(name_of_digest),
            task: self.task().map(str::to_owned),
            status: answer.map(|answer| answer.status),
            answer: answer.map(|answer| SeenAnswer {
                headers: headers(answer.head.split('\n')),
                body: shown(&String::from_utf8_lossy(&answer.body)),
                body_bytes: answer.body_bytes,
                milliseconds: answer.milliseconds,
            }),
            fault: self.fault.get().copied(),
            authorized: self.arrival.is_authorized,
        }
    }
}

/// A first line and the headers as text, without keys: those that are sent as one, the emulator's
/// or a real one, are shown to no later reader.
fn head(line: &str, headers: &HeaderMap) -> Box<str> {
    // Allocated at its final length, so that `into_boxed_str` need not copy it.
    let lines = headers.iter().map(|(name, value)| {
        let value = if SECRETS.contains(name) { REDACTED.len() } else { value.len() };
        // The colon, the space and the line break.
        name.as_str().len() + value + 3
    });
    let length = line.len() + lines.sum::<usize>();
    let mut head = String::with_capacity(length.min(MAX_HEAD_BYTES));
    push(&mut head, line);
    for (name, value) in headers {
        if head.len() >= MAX_HEAD_BYTES {
            break;
        }
        head.push('\n');
        head.push_str(name.as_str());
        head.push_str(": ");
        if SECRETS.contains(name) {
            head.push_str(REDACTED);
        } else {
            match std::str::from_utf8(value.as_bytes()) {
                Ok(value) => push(&mut head, value),
                Err(_) => push(&mut head, &String::from_utf8_lossy(value.as_bytes())),
            }
        }
    }
    head.into_boxed_str()
}

/// Adds a text, or as much of it as there is room for.
fn push(head: &mut String, text: &str) {
    let room = MAX_HEAD_BYTES.saturating_sub(head.len());
    head.push_str(&text[..text.floor_char_boundary(room)]);
}

/// The first half of the SHA-256 of a body.
pub(crate) fn digest(body: &[u8]) -> u128 {
    let digest = Sha256::digest(body);
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}

pub(crate) fn name_of_digest(digest: u128) -> String {
    format!("{digest:032x}")
}

/// What stands in place of a key.
pub(crate) const REDACTED: &str = "[redacted]";

/// Headers that hold a key, the emulator's or a real one that was sent here by mistake.
static SECRETS: [HeaderName; 5] =
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE, HeaderName::from_static("x-api-key")];

const SHORTEST_SECRET: usize = 8;

/// Bytes of a head that are kept.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Bytes of a body that are kept.
pub(crate) const MAX_BODY_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_key_is_shown_nowhere_and_a_head_has_an_end() {
        // Letters of two bytes, so that the cut may fall into one.
        let long = "é".repeat(MAX_HEAD_BYTES);
        let request = Request::post("/?key=a-secret")
            .header("Authorization", "Bearer a-secret")
            .header("Cookie", "a-cookie")
            .header("X-Api-Key", "another")
            .header("X-Mine", "so a-secret it is")
            .header("X-Long", &long)
            .header("X-Last", "unseen");
        let parts = request.body(()).unwrap().into_parts().0;
        let arrival = RequestArrival {
            at: 0,
            endpoint: Endpoint::Other,
            is_keyless: false,
            is_authorized: true,
        };
        let entry = RecordedRequest::new(&parts, b"{\"key\":\"a-secret\"}", arrival);
        let answer = Response::builder()
            .header("Set-Cookie", "a-cookie")
            .header("X-Odd", [0xff, b'a'].as_slice())
            .body(axum::body::Body::empty())
            .unwrap();
        entry.set_answer(&answer, &Bytes::from_static(b"of a-secret"));
        let seen = entry.seen("a-secret");
        let shown = format!("{seen:?}");
        assert!(!["a-secret", "a-cookie", "another", "unseen"].iter().any(|no| shown.contains(no)));
        assert_eq!((&*seen.path, &*seen.body), ("/?key=[redacted]", r#"{"key":"[redacted]"}"#));
        let bytes: usize = seen.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((MAX_HEAD_BYTES - 100..=MAX_HEAD_BYTES).contains(&bytes), "{bytes}");
        let answer = seen.answer.unwrap();
        assert_eq!((&*answer.body, answer.body_bytes), ("of [redacted]", 11));
        assert_eq!(answer.headers[0], ("set-cookie".to_owned(), REDACTED.to_owned()));
        assert_eq!(seen.status, Some(200));
    }

    #[test]
    fn of_a_picture_only_the_size_is_kept() {
        let parts = Request::get("/").body(()).unwrap().into_parts().0;
        let arrival = RequestArrival {
            at: 0,
            endpoint: Endpoint::File,
            is_keyless: true,
            is_authorized: true,
        };
        let entry = RecordedRequest::new(&parts, b"", arrival);
        let picture = Response::builder().header("Content-Type", "image/png");
        let picture = picture.body(axum::body::Body::empty()).unwrap();
        entry.set_answer(&picture, &Bytes::from_static(crate::painter::STUB));
        let answer = entry.seen("").answer.unwrap();
        assert_eq!((&*answer.body, answer.body_bytes), ("", crate::painter::STUB.len()));
    }
}
