//! [`Backlog`]: counts the results of jobs that their caller has not read yet. At 64 it is full, and
//! [`JobDemand`](crate::JobDemand) takes no more jobs until one is read; jobs that run go on. The `jobs.rs`
//! of both clients count each result in when it is sent and out when it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the results that wait for their reader, so that no more jobs are drawn than are read.
///
/// A driver never waits for its reader: a task's id must reach the journal and an answer its run,
/// however long the reader takes with a result. What waits is bounded all the same, by what is full
/// here and the runs that were begun before it was.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// A result was sent to its reader.
    pub fn sent(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// A result was read. Returns whether that made room: then the driver has to be woken.
    pub fn read(&self) -> bool {
        // At the step from full to not full alone: no driver has to wake for every result that is
        // read.
        self.0.fetch_sub(1, Ordering::SeqCst) == FULL
    }

    /// Whether no more jobs should be drawn.
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= FULL
    }
}

/// Unread results at which no more jobs are drawn.
const FULL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_reported_once_each_time_it_comes() {
        let backlog = Backlog::default();
        (0..FULL + 9).for_each(|_| backlog.sent());
        assert!(backlog.is_full());
        let room: Vec<bool> = (0..FULL + 9).map(|_| backlog.read()).collect();
        assert!(!backlog.is_full());
        assert_eq!(room.iter().filter(|room| **room).count(), 1);
        assert_eq!(room.iter().position(|room| *room), Some(9));
    }
}
