//! What the server does with a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::request::Seen;

/// What the server does with one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// Answers.
    Respond(Response),
    /// Reads the whole request and closes the connection without a word.
    Close,
    /// Lets the whole request arrive and resets the connection: the peer gets an error, not an end.
    Reset,
    /// Sends the head and this many bytes of the body, then closes the connection.
    Truncate {
        /// What is begun.
        response: Response,
        /// How much of its body arrives.
        body_bytes: usize,
    },
    /// Sends this many bytes of the response, head included, then closes the connection.
    TruncateHead {
        /// What is begun.
        response: Response,
        /// How much of it arrives.
        bytes: usize,
    },
    /// Answers nothing until [`ScriptedServer::release`](super::ScriptedServer::release) or the
    /// end of the server; then closes the connection.
    Hang,
    /// Sends the head and this many bytes of the body, then hangs like [`Hang`](Self::Hang).
    HangAfter {
        /// What is begun.
        response: Response,
        /// How much of its body arrives.
        body_bytes: usize,
    },
    /// Sends the head at once and the body in pieces, with a pause before each.
    Drip {
        /// What is sent.
        response: Response,
        /// How many bytes a piece has, at least one.
        piece: usize,
        /// The pause.
        every: Duration,
    },
    /// Waits, then does something else.
    Delay(Duration, Box<Self>),
    /// Sends these bytes as they are and closes the connection.
    Raw(Bytes),
    /// Decides when it sees the request. Made with [`Behaviour::with`].
    Decide(Decide),
}

impl Behaviour {
    /// Decides what to do when it sees the request.
    pub fn with(decide: impl Fn(&Seen) -> Self + Send + Sync + 'static) -> Self {
        Self::Decide(Decide(Arc::new(decide)))
    }

    /// The same, after a wait.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delay(delay, Box::new(self))
    }
}

impl From<Response> for Behaviour {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// The decision of [`Behaviour::Decide`].
#[derive(Clone)]
pub struct Decide(pub(super) Arc<dyn Fn(&Seen) -> Behaviour + Send + Sync>);

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide(…)")
    }
}

/// An answer to send.
///
/// ```
/// use effects_testkit::http::{Framing, Response};
///
/// let busy = Response::new(503).header("Retry-After", "2").body("busy");
/// let page = Response::html("<title>502 Bad Gateway</title>").status(502);
/// let streamed = Response::json("{}").framed(Framing::Chunked(1));
/// ```
#[derive(Clone, Debug)]
pub struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) framing: Framing,
    pub(super) after: After,
}

/// How the client learns where a body ends.
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

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
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
            after: After::KeepAlive,
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
    pub fn and(self, after: After) -> Self {
        Self { after, ..self }
    }

    /// The head, as it is sent. A body is promised to a GET and to a HEAD alike.
    pub(super) fn head(&self) -> Vec<u8> {
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
        if self.after == After::Close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body, as it is sent.
    pub(super) fn framed_body(&self) -> Vec<u8> {
        let Framing::Chunked(piece) = self.framing else {
            return self.body.to_vec();
        };
        let mut framed = Vec::new();
        for chunk in self.body.chunks(piece.max(1)) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }

    pub(super) fn closes(&self) -> bool {
        self.after != After::KeepAlive || self.framing == Framing::UntilClose
    }
}

fn status_code(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) => status,
        Err(_) => panic!("status {status} is none: give 100 to 999"),
    }
}
