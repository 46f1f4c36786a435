//! The time, as a driver tells it and waits for it: [`Clock`], and its async twin [`AsyncClock`].

use crate::time::Time;

/// Tells the time and waits, blocking the thread.
pub trait Clock {
    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    fn sleep_until(&self, until: Time);
}

/// Tells the time and waits, without blocking. Its future is of the runtime's own type: see
/// [`AsyncExchange`](crate::gateway::AsyncExchange).
pub trait AsyncClock {
    /// A sleep under way.
    type Sleeping<'a>: Future<Output = ()> + 'a
    where
        Self: 'a;

    /// The time now; never less than it was.
    fn now(&self) -> Time;
    /// Waits until then, or less: waking early does no harm.
    fn sleep_until(&self, until: Time) -> Self::Sleeping<'_>;
}
