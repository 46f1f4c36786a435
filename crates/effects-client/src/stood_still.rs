//! [`TIME_TO_READ`]: how long a client reads what was answered while its process stood still: it was
//! stopped, its container paused, or its machine asleep. The answers lie unread in the sockets then, and the
//! time of their requests is over. The connections of both clients and their job drivers go by it.

use std::time::Duration;

/// A time limit of a request that is noticed later than this shows that the process stood still.
pub const MOST_LATE: Duration = Duration::from_millis(100);

/// A driver that wakes up later than this shows it. A busy machine wakes one late as well, and then nothing
/// else is done while the answers are read.
pub const STOOD_STILL: Duration = Duration::from_secs(1);

/// How long what was answered meanwhile is read. A machine that has just woken up is busy.
pub const TIME_TO_READ: Duration = Duration::from_secs(1);
