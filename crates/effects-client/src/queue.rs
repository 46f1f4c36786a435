//! [`Queue`]: counts how many jobs may be drawn now, as room comes and as results are read; [`draw`]
//! takes them from the caller's iterator, on a thread of its own. The job drivers of both clients
//! (`jobs.rs`) use the two.

use crate::backlog::Backlog;

/// How many more jobs may be drawn.
#[derive(Debug, Default)]
pub struct Queue {
    backlog: Backlog,
    /// Jobs there is room for, until they are asked for.
    hungry: u32,
    /// Of them, those that were asked for and have not come.
    wished: u32,
}

impl Queue {
    /// The count of unread results, which their reader shares.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// There is room for so many more jobs.
    pub fn make_room(&mut self, room: u32) {
        self.hungry = room;
    }

    /// How many jobs to ask for now: as many as there is room for; `None` while too many results are
    /// unread.
    pub fn wish(&mut self) -> Option<u32> {
        // Room that is not asked for now stays noted until a result is read.
        if self.hungry == 0 || self.backlog.is_full() {
            return None;
        }
        let room = std::mem::take(&mut self.hungry);
        // A machine tells its whole room each time, with the jobs in it that are on their way
        // already.
        let wish = room.saturating_sub(self.wished);
        self.wished = self.wished.max(room);
        (wish > 0).then_some(wish)
    }

    /// A job came.
    pub fn came(&mut self) {
        self.wished = self.wished.saturating_sub(1);
    }
}

/// Takes as many jobs from an iterator as each wish asks for and sends them, and `None` after the last.
/// It returns then, or when there are no more wishes or a job is not taken.
pub fn draw<T>(
    mut jobs: impl Iterator<Item = T>,
    wishes: impl IntoIterator<Item = u32>,
    mut send: impl FnMut(Option<T>) -> bool,
) {
    for wished in wishes {
        for _ in 0..wished {
            let job = jobs.next();
            let last = job.is_none();
            if !send(job) || last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_jobs_are_wished_for_than_there_is_room() {
        let mut queue = Queue::default();
        assert_eq!(queue.wish(), None);
        queue.make_room(5);
        assert_eq!(queue.wish(), Some(5));
        assert_eq!(queue.wish(), None, "they are on their way");
        queue.came();
        queue.came();
        // Of the four there is room for, three are on their way.
        queue.make_room(4);
        assert_eq!(queue.wish(), Some(1));
    }

    #[test]
    fn no_result_is_read_so_no_job_is_asked_for() {
        let mut queue = Queue::default();
        queue.make_room(1);
        while !queue.backlog().is_full() {
            queue.backlog().told();
        }
        assert_eq!(queue.wish(), None);
        queue.backlog().read();
        assert_eq!(queue.wish(), Some(1));
    }
}
