//! [`Clock`] and [`AsyncClock`]: how a driver reads the time and waits, blocking or not. The loops in
//! `driver` take one, and so do the transfers and single polls of the clients. `effects-client` and
//! `effects-reqwest` implement them on the machine's clock, and `effects-testkit` on a virtual one.

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
