//! [`JobDemand`]: decides how many more jobs to ask of the caller's iterator now: as many as the job
//! machine has room for, and none while too many results are unread ([`Backlog`]). [`draw`] takes them
//! from the iterator; the job drivers of both clients (`jobs.rs`) run it on a thread of its own.

use effects_core::ErrorKind;

use crate::backlog::Backlog;
use crate::caller_panic::{guarded, panicked};
use crate::jobs::JobsHandle;

/// How many more jobs may be drawn.
#[derive(Debug, Default)]
pub struct JobDemand {
    backlog: Backlog,
    /// Jobs there is room for, until they are asked for.
    room: u32,
    /// Of them, those that were asked for and have not come.
    requested: u32,
}

impl JobDemand {
    /// The count of unread results, which their reader shares.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// There is room for so many more jobs.
    pub fn make_room(&mut self, room: u32) {
        self.room = room;
    }

    /// How many jobs to ask for now: as many as there is room for; `None` while too many results are
    /// unread.
    pub fn next_request(&mut self) -> Option<u32> {
        // Room that is not asked for now stays noted until a result is read.
        if self.room == 0 || self.backlog.is_full() {
            return None;
        }
        let room = std::mem::take(&mut self.room);
        // A machine tells its whole room each time, with the jobs in it that are on their way
        // already.
        let request = room.saturating_sub(self.requested);
        self.requested = self.requested.max(room);
        (request > 0).then_some(request)
    }

    /// A job was received.
    pub fn received(&mut self) {
        self.requested = self.requested.saturating_sub(1);
    }
}

/// Takes as many jobs from an iterator as each request asks for and sends them, and `None` after the last.
/// It returns then, or when there are no more requests or a job is not taken. An iterator that panics has no
/// more jobs, and the handle says why.
pub fn draw<T>(
    mut jobs: impl Iterator<Item = T>,
    requests: impl IntoIterator<Item = u32>,
    handle: &JobsHandle,
    mut send: impl FnMut(Option<T>) -> bool,
) {
    for requested in requests {
        for _ in 0..requested {
            let job = guarded(ITERATOR, || jobs.next()).unwrap_or_else(|| {
                handle.fail(panicked(ErrorKind::Misconfigured, ITERATOR));
                None
            });
            let last = job.is_none();
            if !send(job) || last {
                return;
            }
        }
    }
}

const ITERATOR: &str = "the iterator of jobs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_jobs_are_requested_than_there_is_room() {
        let mut demand = JobDemand::default();
        assert_eq!(demand.next_request(), None);
        demand.make_room(5);
        assert_eq!(demand.next_request(), Some(5));
        assert_eq!(demand.next_request(), None, "they are on their way");
        demand.received();
        demand.received();
        // Of the four there is room for, three are on their way.
        demand.make_room(4);
        assert_eq!(demand.next_request(), Some(1));
    }

    #[test]
    fn no_result_is_read_so_no_job_is_asked_for() {
        let mut demand = JobDemand::default();
        demand.make_room(1);
        while !demand.backlog().is_full() {
            demand.backlog().sent();
        }
        assert_eq!(demand.next_request(), None);
        demand.backlog().read();
        assert_eq!(demand.next_request(), Some(1));
    }
}
