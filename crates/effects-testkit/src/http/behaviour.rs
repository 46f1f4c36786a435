//! What the server does with a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::request::Seen;
use crate::response::Response;

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
