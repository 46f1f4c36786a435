//! [`VirtualClock`]: a clock for tests, on which sleeping takes no time: it jumps to the sleep's end.
//! [`Service`](crate::Service) and [`World`](crate::World) run on it, and so can the core's drivers; tests
//! of the core also move it forward and back.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use effects_core::Time;
use effects_core::driver::{AsyncClock, Clock};

/// A clock on which sleeping takes no time. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use effects_core::driver::Clock;
/// use effects_testkit::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let start = clock.now();
/// clock.sleep_until(start + Duration::from_secs(3_600));
/// assert_eq!(clock.now().since(start), Duration::from_secs(3_600));
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// A clock that starts on a day in November 2025.
    pub fn new() -> Self {
        Self::starting_at(Time::from_millis(1_764_000_000_000))
    }

    /// A clock that starts then.
    pub fn starting_at(start: Time) -> Self {
        Self(Arc::new(AtomicU64::new(start.as_millis())))
    }

    /// Lets time pass, as a machine's sleep does behind a program's back.
    pub fn advance(&self, duration: Duration) {
        self.set(self.time() + duration);
    }

    /// Sets the time, back as well: which a clock must not do to a run, so a run must bear it.
    pub fn set(&self, now: Time) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// The time now.
    pub fn time(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Jumps there, unless it is past.
    ///
    /// # Panics
    ///
    /// When it is the end of all time: nothing would ever end that sleep.
    pub fn jump_to(&self, until: Time) {
        assert!(until < Time::MAX, "a sleep without an end: what it waits for cannot come");
        // Of two threads that sleep at once, the one that wakes earlier does not set the time back.
        self.0.fetch_max(until.as_millis(), Ordering::SeqCst);
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.time()
    }

    fn sleep_until(&self, until: Time) {
        self.jump_to(until);
    }
}

impl AsyncClock for VirtualClock {
    type Sleeping<'a> = Ready<()>;

    fn now(&self) -> Time {
        self.time()
    }

    fn sleep_until(&self, until: Time) -> Ready<()> {
        self.jump_to(until);
        ready(())
    }
}
