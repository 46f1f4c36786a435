//! [`Progress`]: how much of a task is done, by its own report at some age. A run that waits
//! (`run/wait.rs`) keeps the last two reports; `Curve` moves the next poll towards the end that they
//! suggest ([`expected_end`], [`sharpen`]), to no less than half and no more than twice the planned wait,
//! since a report may be wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A report of progress: how far a task of some age says it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Progress {
    /// The age of the task at the look that brought the report.
    pub age: Duration,
    /// How much is done, from 0 to 1.
    pub done: f64,
}

/// The age, in seconds, at which the task will end if it goes on as between its last two reports.
pub(super) fn expected_end(reports: &[Progress]) -> Option<f64> {
    let [.., before, last] = reports else { return None };
    let moves = before.done > 0.0 && last.done - before.done >= LEAST_MOVE && last.done < 1.0;
    // The age of a task can be corrected between two reports, and a `Duration` cannot be negative.
    let time = last.age.checked_sub(before.age)?.as_secs_f64();
    if !moves || time <= 0.0 {
        return None;
    }
    let left = 1.0 - last.done;
    // The time that is left, at the pace between the two reports and at the pace since the start.
    let lately = left * time / (last.done - before.done);
    let overall = left * last.age.as_secs_f64() / last.done;
    let steady = lately <= STEADY * overall && overall <= STEADY * lately;
    steady.then_some(last.age.as_secs_f64() + lately)
}

/// A planned wait, moved towards the expected end, within bounds that a liar cannot abuse.
pub(super) fn sharpen(gap: f64, left: f64) -> f64 {
    (left * (1.0 + MARGIN)).clamp(gap / MAX_CORRECTION, gap * MAX_CORRECTION)
}

/// Progress that moves by less than this between two looks stands still.
const LEAST_MOVE: f64 = 0.02;

/// How far the pace of late may be from the pace since the start, as a factor.
const STEADY: f64 = 2.0;

/// How much later than expected the look is, as a share of what is left: a look too early is lost.
const MARGIN: f64 = 0.05;

/// How far a wait is moved at most, as a factor.
const MAX_CORRECTION: f64 = 2.0;
