//! [`Time`]: a moment as milliseconds since the Unix epoch, so that it can be saved, compared after a
//! restart and invented in a test. Every state machine of this crate and of `effects-jobs` takes it as an
//! argument, and journals store it. [`Timeline`] makes it from the machine's wall clock and monotonic
//! clock, so that it never runs back, for `effects_client::WallClock`.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch.
///
/// The core never asks what time it is: its driver says so. A driver's clock is a
/// [`Timeline`] over the machine's two clocks, or anything that never runs back.
///
/// ```
/// use std::time::Duration;
/// use effects_core::Time;
///
/// let start = Time::from_millis(1_000);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later.as_millis(), 3_000);
/// assert_eq!(later.since(start), Duration::from_secs(2));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Time(u64);

impl Time {
    /// Later than any other time: a sleep until then ends only when something else happens.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// [`Duration::as_millis`] counts in 128 bits, and a run adds times at every step.
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis().into())
}

/// Saturates at [`Time::MAX`]; what is shorter than a millisecond is dropped.
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

/// Saturates at the epoch; what is shorter than a millisecond is dropped.
impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl fmt::Display for Time {
    /// `2026-11-22T20:55:24.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = civil_from_days(days);
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, millis) = (millis / 1_000 % 60, millis % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

/// A clock for drivers out of the machine's two: the wall clock, which can be set back, and the
/// monotonic one, which may stand still while a laptop sleeps.
///
/// It reads the later of "wall time when it was made, plus monotonic time since" and "wall time
/// now", and never less than it read before.
///
/// ```
/// use std::time::Duration;
/// use effects_core::{Time, Timeline};
///
/// let mut timeline = Timeline::starting_at(Time::from_millis(1_000));
/// let wall = |millis| Time::from_millis(millis);
/// // The wall clock was set back: monotonic time carries on.
/// assert_eq!(timeline.read(wall(10), Duration::from_millis(50)), wall(1_050));
/// // The machine slept for a minute: wall time knows.
/// assert_eq!(timeline.read(wall(61_060), Duration::from_millis(60)), wall(61_060));
/// // And never back.
/// assert_eq!(timeline.read(wall(20), Duration::from_millis(70)), wall(61_060));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeline {
    start: Time,
    latest: Time,
}

impl Timeline {
    /// A timeline that starts at this wall time, where monotonic time counts zero.
    pub const fn starting_at(wall: Time) -> Self {
        Self { start: wall, latest: wall }
    }

    /// The time now, from the wall clock and the monotonic time since the start.
    pub fn read(&mut self, wall: Time, monotonic: Duration) -> Time {
        self.latest = self.latest.max(wall).max(self.start + monotonic);
        self.latest
    }
}

/// Reads `2026-01-31T08:00:00Z`, with fractions and offsets, or a space for the `T`.
pub(crate) fn parse_iso(text: &str) -> Option<Time> {
    let text = text.trim();
    let (date, clock) = text.split_at_checked(10)?;
    let mut parts = date.split('-').map(str::parse::<u64>);
    let mut part = || parts.next()?.ok();
    let (year, month, day) = (part()?, part()?, part()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let zone_at = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let mut parts = clock.split(':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().map_or(Some(0.0), |seconds| seconds.parse().ok())?;
    // A leap second is written as :60.
    if hours > 23 || minutes > 59 || !(0.0..61.0).contains(&seconds) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.0..61.0")]
    let millis = hours * 3_600_000 + minutes * 60_000 + (seconds * 1_000.0) as u64;
    let local = days_from_civil(year, month, day) * DAY + millis;
    Some(Time(local.checked_add_signed(-offset_millis(zone)?)?))
}

fn offset_millis(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => return Some(0),
        Some(b'+') => (1, &zone[1..]),
        Some(_) => (-1, &zone[1..]),
    };
    let digits = digits.replace(':', "");
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) =
        if digits.len() > 2 { (number / 100, number % 100) } else { (number, 0) };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Days since 1970-01-01 in the Gregorian calendar, with the year taken to begin in March so that
/// the leap day is its last.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    // From March on, five months have 153 days. 400 years have 146 097, and 719 468 lie between
    // 0000-03-01 and 1970-01-01.
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    // The leap days, one in 1 460 days but not in 36 524, are taken out before the division by 365.
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

const DAY: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times_read_in_every_written_form() {
        let expected = Some(Time::from_millis(1_764_000_000_000));
        for text in [
            "2025-11-24T16:00:00Z",
            "2025-11-24T16:00:00.000Z",
            "2025-11-24 16:00:00",
            "2025-11-25T00:00:00+08:00",
            "2025-11-24T11:00:00-0500",
            "2025-11-24T16:00Z",
        ] {
            assert_eq!(parse_iso(text), expected, "{text}");
        }
        assert_eq!(parse_iso("2024-02-29T00:00:00.250Z").unwrap().as_millis(), 1_709_164_800_250);
        for text in ["", "yesterday", "2025-13-01T00:00:00Z", "2025-11-24", "1969-12-31T00:00:00Z"]
        {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_prints_as_it_reads() {
        // Among them the last millisecond before the leap day of 2000 and its first, and the first
        // of 2100.
        for millis in [0, 951_782_399_999, 951_782_400_000, 1_764_000_000_123, 4_102_444_800_000] {
            let time = Time::from_millis(millis);
            assert_eq!(parse_iso(&time.to_string()), Some(time));
        }
    }
}
