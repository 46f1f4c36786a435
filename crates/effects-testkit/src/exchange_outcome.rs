//! [`ExchangeOutcome`]: what becomes of one exchange with the scripted [`Service`](crate::Service): whether
//! the service does its part, and whether its answer arrives whole, late, changed or not at all. Tests of
//! the core and of this crate put outcomes into the service's script, and [`Faults`](crate::Faults) draws
//! them at random.

use std::time::Duration;

use bytes::Bytes;

use crate::response::Response;

/// What becomes of one exchange with the scripted [`Service`](crate::Service).
///
/// What matters is not only what the client gets, but whether the service did its part: only then
/// is a task made, and paid for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExchangeOutcome {
    /// The service does its part and answers.
    Served,
    /// It never leaves the client's machine.
    NotSent,
    /// It never leaves, since the server's certificate is not trusted.
    Untrusted,
    /// It is lost on the way to the service; the client cannot know where.
    LostBefore,
    /// The service does its part, and its answer is lost.
    LostAfter,
    /// The service does nothing and answers this.
    Answered(Response),
    /// The service does its part, and this comes in place of its answer.
    ServedBut(Response),
    /// The service does its part, and this many bytes of its answer's body are left out at the end.
    Truncated(usize),
    /// Another outcome, this much later. Beyond the call's time limit the client gets no answer in time;
    /// a [`World`](crate::World) delivers it late.
    Slow(Duration, Box<Self>),
}

impl ExchangeOutcome {
    /// The service does its part, and the answer is no JSON.
    pub fn garbage() -> Self {
        Self::ServedBut(Response::new(200).body(Bytes::from_static(b"\x00\xff{garbage")))
    }

    /// The service does its part, and a proxy's page comes in place of its answer.
    pub fn html() -> Self {
        Self::ServedBut(Response::html("<html><title>Welcome to the hotel</title></html>"))
    }

    /// The same, so much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Slow(delay, Box::new(self))
    }
}

/// The service does nothing and answers this.
impl From<Response> for ExchangeOutcome {
    fn from(response: Response) -> Self {
        Self::Answered(response)
    }
}
