//! [`Observation`]: what a run saw of its task's duration: the ages at the last poll that saw it running
//! and the first that saw it ended, or only the former if the run stopped watching. `Run::observation`
//! makes it; [`History`](super::History) and [`Pacer`](super::Pacer) learn from it, for single runs and for
//! `Batch`.

use std::time::Duration;

/// What a run saw of its task's duration: ages at which it looked.
///
/// [`Run::observation`](crate::Run::observation) makes it, a [`History`](super::History) and a
/// [`Pacer`](super::Pacer) learn from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observation {
    /// The task was seen to end, whether well or not.
    Ended {
        /// Its age at the last look that saw it running, if one did.
        last_running: Option<Duration>,
        /// Its age at the look that saw its end.
        first_ended: Duration,
    },
    /// Its end was not seen: the run stopped watching first.
    Running {
        /// Its age at the last look that saw it running.
        age: Duration,
    },
}
