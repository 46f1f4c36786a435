//! [`Behaviour`]: what a [`ScriptedServer`](super::ScriptedServer) does with one request: answer, delay,
//! cut the answer off, hang, close, reset or tunnel; [`ConnectionEnd`] is how it ends a connection before
//! it has read the whole request. Tests of the Rust and Python clients and of the command put behaviours
//! into a server's script; `script.rs` picks the next one for each request, and `connection.rs` carries it
//! out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::request::ReceivedRequest;
use crate::response::Response;

/// What the server does with one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// Answers.
    Respond(Response),
    /// Answers and keeps the connection open until another request begins to arrive on it; then
    /// resets it. So a server's idle limit meets a client's next request, every time.
    RespondThenReset(Response),
    /// Reads the head and this many bytes of the body, answers if there is an answer, and ends the
    /// connection, whatever is left of the request.
    Early {
        /// How much of the body has arrived before.
        body_bytes: usize,
        /// What is sent.
        response: Option<Response>,
        /// How the connection ends.
        end: ConnectionEnd,
    },
    /// Answers a CONNECT with 200 and relays bytes between the client and this address.
    Tunnel(SocketAddr),
    /// Reads the whole request and closes the connection without a word.
    Close,
    /// Lets the whole request arrive and resets the connection: the peer gets an error, not an end.
    Reset,
    /// Sends the head and this many bytes of the body, then closes the connection.
    Truncate {
        /// The response.
        response: Response,
        /// How much of its body arrives.
        body_bytes: usize,
    },
    /// Sends this many bytes of the response, head included, then closes the connection.
    TruncateHead {
        /// The response.
        response: Response,
        /// How much of it arrives.
        bytes: usize,
    },
    /// Answers nothing until [`ScriptedServer::release`](super::ScriptedServer::release) or the
    /// end of the server; then closes the connection.
    Hang,
    /// Sends the head and this many bytes of the body, then hangs like [`Hang`](Self::Hang).
    HangAfter {
        /// The response.
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
    pub fn with(decide: impl Fn(&ReceivedRequest) -> Self + Send + Sync + 'static) -> Self {
        Self::Decide(Decide(Arc::new(decide)))
    }

    /// Answers once the head and this many bytes of the body have arrived, and ends the connection.
    pub fn early(response: Response, body_bytes: usize, end: ConnectionEnd) -> Self {
        Self::Early { body_bytes, response: Some(response), end }
    }

    /// Ends the connection without an answer once the head and this many bytes of the body have
    /// arrived.
    pub fn cut(body_bytes: usize, end: ConnectionEnd) -> Self {
        Self::Early { body_bytes, response: None, end }
    }

    /// The same, after a wait.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delay(delay, Box::new(self))
    }
}

/// How a connection ends that has not been read to the end of its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionEnd {
    /// At once, with a reset (RST): what a socket does that is closed with bytes unread.
    Reset,
    /// In order (FIN), and what the client still sends is read and thrown away.
    Drain,
    /// Not until [`ScriptedServer::release`](super::ScriptedServer::release) or the end of the server,
    /// and nothing more is read.
    Stall,
}

impl From<Response> for Behaviour {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// The decision of [`Behaviour::Decide`].
#[derive(Clone)]
pub struct Decide(pub(super) Arc<dyn Fn(&ReceivedRequest) -> Behaviour + Send + Sync>);

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide(…)")
    }
}
