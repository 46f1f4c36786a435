//! What a driver needs from the world: exchanges and time.
//!
//! Another HTTP stack is one small `impl` of [`Transport`] or [`AsyncTransport`].

use async_trait::async_trait;

use crate::gateway::call::{Call, CallResult};
use crate::time::Time;

/// Makes exchanges, blocking the thread.
///
/// An implementation owns an [`Endpoint`](crate::Endpoint), which turns the call into an
/// authorised request, and the [`Answer`](crate::Answer) into the result. It keeps to the call's
/// `timeout`, follows no redirect, repeats nothing, and says truthfully whether the request can have
/// left: in doubt, it has.
pub trait Transport {
    /// Makes one exchange.
    fn send(&self, call: &Call) -> CallResult;
}

/// Makes exchanges, without blocking; otherwise like [`Transport`].
#[async_trait]
pub trait AsyncTransport: Send + Sync {
    /// Makes one exchange.
    async fn send(&self, call: &Call) -> CallResult;
}

/// Tells the time and waits, blocking the thread.
pub trait Clock {
    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    fn sleep_until(&self, until: Time);
}

/// Tells the time and waits, without blocking.
#[async_trait]
pub trait AsyncClock: Send + Sync {
    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    async fn sleep_until(&self, until: Time);
}
