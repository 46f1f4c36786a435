//! [`EmulatorClock`]: the time of an emulator: the machine's, or a virtual one that moves only when a test
//! advances it ([`ClockKind`]); advancing the machine's is refused with [`ClockIsReal`]. `EmulatorState`
//! holds it: tasks are due, files expire and requests are recorded by it. Rust and Python tests and
//! `effects emulator --clock` choose the kind.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bad_option::BadOption;

/// Which clock the emulator lives by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClockKind {
    /// The machine's own.
    #[default]
    Real,
    /// A clock that starts at the machine's time and moves only by
    /// `POST /_emulator/clock/advance` or [`Emulator::advance`](crate::Emulator::advance).
    Virtual,
}

impl FromStr for ClockKind {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        match text {
            "real" => Ok(Self::Real),
            "virtual" => Ok(Self::Virtual),
            _ => Err(BadOption::new("clock", text, "it is `real` or `virtual`")),
        }
    }
}

/// The emulator's clock, in milliseconds since the epoch. It never runs back, except that a reset
/// has a virtual one begin anew.
#[derive(Debug)]
pub(crate) struct EmulatorClock {
    kind: ClockKind,
    anchor: Instant,
    /// The wall clock at the anchor; of a virtual clock, the time itself.
    millis: AtomicU64,
}

impl EmulatorClock {
    /// A clock that starts now, or at `not_before` if that is later: a virtual clock whose state
    /// was kept goes on from where it stood.
    pub(crate) fn start(kind: ClockKind, not_before: u64) -> Self {
        let millis = wall().max(not_before);
        Self { kind, anchor: Instant::now(), millis: AtomicU64::new(millis) }
    }

    pub(crate) fn now(&self) -> u64 {
        let stood = self.millis.load(Ordering::Relaxed);
        match self.kind {
            // By the monotonic clock since the start: a wall clock that is set back must not turn
            // this one back.
            ClockKind::Real => stood + millis(self.anchor.elapsed()),
            ClockKind::Virtual => stood,
        }
    }

    /// Sets a virtual clock to the machine's time, as at its start, and returns the time.
    pub(crate) fn restart(&self) -> u64 {
        if self.kind == ClockKind::Virtual {
            self.millis.store(wall(), Ordering::Relaxed);
        }
        self.now()
    }

    /// Moves a virtual clock on and returns the new time.
    pub(crate) fn advance(&self, by: Duration) -> Result<u64, ClockIsReal> {
        if self.kind == ClockKind::Real {
            return Err(ClockIsReal);
        }
        let later = |now: u64| now.saturating_add(millis(by)).min(END_OF_TIME);
        let before = self
            .millis
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(later(now)))
            // The closure always gives a new time, so there is no error to handle.
            .unwrap_or_else(|now| now);
        Ok(later(before))
    }
}

/// The machine's clock cannot be moved: only [`ClockKind::Virtual`] can be advanced.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the clock is real and moves by itself; start the emulator with a virtual clock to move it"
)]
pub struct ClockIsReal;

/// The machine's time.
fn wall() -> u64 {
    // A wall clock before 1970 counts as 0.
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole milliseconds of a span, the end of time for a longer one.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(END_OF_TIME).min(END_OF_TIME)
}

/// The year 10000 or so: far enough for any test, near enough that sums never overflow.
const END_OF_TIME: u64 = 253_402_300_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_when_told_and_a_real_one_never() {
        let clock = EmulatorClock::start(ClockKind::Virtual, 0);
        let before = clock.now();
        assert_eq!(clock.advance(Duration::from_secs(5)), Ok(before + 5_000));
        assert_eq!(clock.now(), before + 5_000);
        assert_eq!(clock.advance(Duration::MAX), Ok(END_OF_TIME));
        assert_eq!(
            EmulatorClock::start(ClockKind::Real, 0).advance(Duration::from_secs(5)),
            Err(ClockIsReal)
        );
        assert_eq!(EmulatorClock::start(ClockKind::Virtual, END_OF_TIME).now(), END_OF_TIME);
    }
}
