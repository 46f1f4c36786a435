//! [`WallClock`]: the machine's clock, which never runs back and goes on while a laptop sleeps; both
//! clients and the command go by it. [`StoppableClock`] adds a blocking sleep, for the blocking client,
//! `effects doctor --live` and programs that drive a run themselves. A [`Stopper`], which programs take
//! from the blocking client's `Watch`, ends that watch and its sleep from another thread, and tells whether
//! a submission is in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use effects_core::driver::Clock;
use effects_core::{Time, Timeline};

/// The machine's clock as a [`Timeline`]: it survives a suspended laptop and never runs back.
#[derive(Debug)]
pub struct WallClock {
    anchor: Instant,
    timeline: Mutex<Timeline>,
}

impl WallClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self { anchor: Instant::now(), timeline: Mutex::new(Timeline::starting_at(wall())) }
    }

    /// The time now; never less than it was.
    pub fn now(&self) -> Time {
        let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        timeline.read(wall(), self.anchor.elapsed())
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

fn wall() -> Time {
    // A clock that was never set may stand before 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Ends a watch from another thread: from a signal handler's thread, or a user interface's.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    stopped: Mutex<bool>,
    changed: Condvar,
    submitting: AtomicBool,
}

impl Stopper {
    /// Tells the watch to stop, and wakes it if it sleeps. A submission in flight is still awaited.
    pub fn stop(&self) {
        *self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }

    /// Whether the watch was told to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a submission is in flight: the moment not to leave.
    pub fn is_submitting(&self) -> bool {
        self.0.submitting.load(Ordering::SeqCst)
    }

    /// Notes that a submission leaves, or that its answer is dealt with. For clients.
    pub fn set_submitting(&self, submitting: bool) {
        self.0.submitting.store(submitting, Ordering::SeqCst);
    }

    /// Sleeps, but no longer than until it is told to stop.
    fn sleep(&self, duration: Duration) {
        // Read under the lock that `stop` takes, so that no stop falls between this look and the
        // wait.
        let stopped = self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*stopped {
            // Waking early does no harm, so neither does an interrupted wait.
            drop(self.0.changed.wait_timeout(stopped, duration));
        }
    }
}

/// A clock for blocking drivers whose sleep a [`Stopper`] ends.
#[derive(Clone, Debug)]
pub struct StoppableClock {
    wall: Arc<WallClock>,
    stopper: Stopper,
}

impl StoppableClock {
    /// A clock over the machine's, woken by this stopper.
    pub fn new(wall: Arc<WallClock>, stopper: Stopper) -> Self {
        Self { wall, stopper }
    }
}

impl Clock for StoppableClock {
    fn now(&self) -> Time {
        self.wall.now()
    }

    fn sleep_until(&self, until: Time) {
        // The thread's timer stands still while a laptop sleeps; the wall clock does not.
        self.stopper.sleep(until.since(self.now()).min(LONGEST_SLEEP));
    }
}

// How late a sleep ends at most where the machine was suspended meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_sleep_and_a_later_one_never_begins() {
        let stopper = Stopper::default();
        let clock = StoppableClock::new(Arc::new(WallClock::new()), stopper.clone());
        let sleeper = std::thread::spawn(move || {
            while !clock.stopper.is_stopped() {
                clock.sleep_until(Time::MAX);
            }
        });
        stopper.stop();
        // Ends, or the test does not.
        sleeper.join().unwrap();
    }
}
