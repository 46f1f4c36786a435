//! [`Response`]: an HTTP answer that a test scripts: status, headers, body, and for a
//! [`ScriptedServer`](crate::http::ScriptedServer) also its [`Framing`] and [`ConnectionAfter`]. Tests of
//! the core, the clients and the command give it to that server or to the scripted
//! [`Service`](crate::Service). [`result_of`] decodes an answer into a call's result, for tests,
//! benchmarks, `World` and the simulation, which drive runs by hand.

use std::sync::LazyLock;

use bytes::Bytes;
use effects_core::gateway::{Answer, CallResult, Endpoint};
use effects_core::{ApiKey, BaseUrl};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// An answer to send.
///
/// ```
/// use effects_testkit::{Framing, Response};
///
/// let busy = Response::new(503).header("Retry-After", "2").body("busy");
/// let page = Response::html("<title>502 Bad Gateway</title>").status(502);
/// let streamed = Response::json("{}").framed(Framing::Chunked(1));
/// ```
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
    pub(crate) after: ConnectionAfter,
}

/// How the client learns where a body ends: of use to the HTTP server alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// `Content-Length`, with this number whatever the body's length is.
    ClaimedLength(u64),
    /// `Transfer-Encoding: chunked`, in pieces of this many bytes, at least one.
    Chunked(usize),
    /// The end of the connection.
    UntilClose,
}

/// What becomes of the connection after an answer: of use to the HTTP server alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionAfter {
    /// It stays open for the next request.
    KeepAlive,
    /// It is closed, and the answer says so.
    Close,
    /// It is closed, and nothing said so: a client that pooled it finds out the hard way.
    CloseUnannounced,
}

impl Response {
    /// An answer without a body.
    ///
    /// # Panics
    ///
    /// When the status is not one, 100 to 999.
    pub fn new(status: u16) -> Self {
        Self {
            status: status_code(status),
            headers: Vec::new(),
            body: Bytes::new(),
            framing: Framing::Length,
            after: ConnectionAfter::KeepAlive,
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::new(200).header("Content-Type", "application/json").body(body)
    }

    /// 200 with an HTML body: what proxies and captive portals answer.
    pub fn html(body: impl Into<Bytes>) -> Self {
        Self::new(200).header("Content-Type", "text/html; charset=utf-8").body(body)
    }

    /// A redirect.
    ///
    /// # Panics
    ///
    /// When the status is not one, 100 to 999.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::new(status).header("Location", location)
    }

    /// The same with another status.
    ///
    /// # Panics
    ///
    /// When the status is not one, 100 to 999.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status: status_code(status), ..self }
    }

    /// The same with one more header, written as it is given.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The same with another framing.
    #[must_use]
    pub fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// The same with another end.
    #[must_use]
    pub fn and(self, after: ConnectionAfter) -> Self {
        Self { after, ..self }
    }

    /// The same with a `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header("Retry-After", seconds.to_string())
    }

    /// The same with a `Retry-After` that is a date, this long after the answer's own `Date`. Both
    /// are long past: they are to be measured against each other.
    ///
    /// # Panics
    ///
    /// When the wait is a day or longer.
    #[must_use]
    pub fn retry_after_date(self, seconds: u32) -> Self {
        assert!(
            seconds < 86_400,
            "{seconds} s is too long for a date in the script: give less than a day"
        );
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        self.header("Date", "Sun, 06 Nov 1994 00:00:00 GMT").header(
            "Retry-After",
            format!("Sun, 06 Nov 1994 {hour:02}:{minute:02}:{second:02} GMT"),
        )
    }

    /// The answer as an HTTP stack says it.
    ///
    /// # Panics
    ///
    /// When a header's name or value cannot be one.
    pub fn to_answer(&self) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let (Ok(key), Ok(text)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            else {
                panic!("header {name:?}: {value:?} cannot be one");
            };
            // Several headers of one name stay several.
            headers.append(key, text);
        }
        Answer::Answered { status: self.status, headers, body: self.body.clone() }
    }

    /// The head, as it is sent. A body is promised to a GET and to a HEAD alike.
    pub(crate) fn head(&self) -> Vec<u8> {
        // HTTP allows any text here, and clients go by the number.
        let reason = self.status.canonical_reason().unwrap_or("Whatever");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            // These two never have a body, so a length would be a lie.
            _ if matches!(self.status.as_u16(), 204 | 304) => {}
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Framing::ClaimedLength(length) => {
                head.push_str(&format!("Content-Length: {length}\r\n"));
            }
            Framing::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::UntilClose => {}
        }
        if self.after == ConnectionAfter::Close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body, as it is sent.
    pub(crate) fn framed_body(&self) -> Vec<u8> {
        let Framing::Chunked(piece) = self.framing else {
            return self.body.to_vec();
        };
        let mut framed = Vec::new();
        for chunk in self.body.chunks(piece.max(1)) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        // The last chunk, and no trailers.
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }

    pub(crate) fn closes(&self) -> bool {
        // Without a length the end of the connection is the end of the body.
        self.after != ConnectionAfter::KeepAlive || self.framing == Framing::UntilClose
    }
}

/// What a call comes to with this answer, at a gateway that knows a key of its own: for driving a
/// run by hand.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{Outcome, Policy, Run, Seed, Step, Time};
/// use effects_core::gateway::Answer;
/// use effects_testkit::result_of;
///
/// let now = Time::from_millis(0);
/// let mut run = Run::attach("t-1".parse()?, None, Arc::new(Policy::default()), Seed::from(1), now);
/// let Step::Send(call) = run.step(now) else { panic!() };
/// run.reply(now, call.id, &result_of(Answer::Lost("reset".to_owned())));
/// assert!(matches!(run.step(now), Step::Notify(_)));
/// # Ok::<(), effects_core::InvalidTaskId>(())
/// ```
///
/// # Panics
///
/// Never: the gateway and its key are sound.
pub fn result_of(answer: Answer) -> CallResult {
    endpoint().result(answer)
}

/// Where the scripted gateway is, and its key.
pub(crate) fn endpoint() -> &'static Endpoint {
    static GATEWAY: LazyLock<Endpoint> = LazyLock::new(|| {
        let (base, key) = (BaseUrl::parse(BaseUrl::DEFAULT, false), ApiKey::new(KEY));
        match (base, key) {
            (Ok(base), Ok(key)) => Endpoint::new(base, key),
            (base, key) => panic!("{base:?}, {key:?}"),
        }
    });
    &GATEWAY
}

/// The key of the scripted gateway: a text that stands nowhere else.
const KEY: &str = "sk-testkit-2b1f7d40";

fn status_code(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) => status,
        Err(_) => panic!("status {status} is none: give 100 to 999"),
    }
}
