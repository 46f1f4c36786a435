//! [`time_to_read`]: how long a client reads what was answered while its process stood still: it was
//! stopped, its container paused, or its machine asleep. The answers lie unread in the sockets then, and the
//! time of their requests is over. The connections of both clients go by it, and by [`TimeToSend`], after
//! which a request is not sent any more; their drivers go by [`time_to_take_unread`].

use std::time::{Duration, Instant, SystemTime};

/// The time that a request has until it is sent. It passes while the machine sleeps as well, when a monotonic
/// clock may stand still.
#[derive(Clone, Copy, Debug)]
pub struct TimeToSend {
    begun: (Instant, SystemTime),
    limit: Duration,
}

impl TimeToSend {
    /// So much, from now on.
    pub fn begin(limit: Duration) -> Self {
        Self { begun: (Instant::now(), SystemTime::now()), limit }
    }

    /// Whether nothing is to be sent any more: the answer would not be waited for.
    pub fn is_over(&self) -> bool {
        let (monotonic, wall) = self.begun;
        // A wall clock that was set back says nothing.
        monotonic.elapsed().max(wall.elapsed().unwrap_or_default()) >= self.limit
    }
}

/// How much longer an exchange lasts whose time is over since so long, once.
pub fn time_to_read(late: Duration) -> Duration {
    if late > STOOD_STILL { TIME_TO_READ } else { TIME_TO_ARRIVE }
}

/// How long a driver that wakes up so late first takes what was answered meanwhile; `None` where it is on time.
/// As long as it was late, since the machine may be just busy; an exchange takes half of the most.
pub fn time_to_take_unread(late: Duration) -> Option<Duration> {
    (late > LATE_WAKE).then(|| late.min(2 * TIME_TO_READ))
}

const LATE_WAKE: Duration = Duration::from_millis(20);

/// How long what was answered meanwhile is read. A machine that has just woken up is busy.
const TIME_TO_READ: Duration = Duration::from_secs(1);

/// How long an answer may still take that was on its way when its time was over.
const TIME_TO_ARRIVE: Duration = Duration::from_millis(250);

/// A time limit of an exchange that is noticed later than this shows that the process stood still.
const STOOD_STILL: Duration = Duration::from_millis(100);
