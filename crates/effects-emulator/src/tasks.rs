//! [`Tasks`]: the table of an emulator's tasks by id. Beyond its limit it forgets the oldest finished ones;
//! where too few are finished, it is full at twice the limit, and creates are refused. `EmulatorState` has
//! it and looks tasks up for the handlers of polls; `lifecycle.rs` adds tasks and ends them early,
//! `painting.rs` and `settle.rs` note how their work goes, and the middleware, the control API and
//! `inspection.rs` read them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::task::EmulatedTask;

/// The tasks the emulator remembers.
#[derive(Debug)]
pub(crate) struct Tasks {
    known: Mutex<TaskTable>,
    limit: usize,
}

#[derive(Debug, Default)]
struct TaskTable {
    tasks: HashMap<Box<str>, EmulatedTask>,
    /// How many there were when none could be forgotten: looking again at each new one would make
    /// many unfinished tasks cost their square.
    stuck_at: usize,
}

impl Tasks {
    /// Room for this many tasks; beyond it the oldest finished ones make way.
    pub(crate) fn new(limit: usize) -> Self {
        Self { known: Mutex::default(), limit }
    }

    /// Remembers a task and gives back those forgotten for it at this time.
    pub(crate) fn insert(
        &self,
        id: &str,
        task: EmulatedTask,
        now: u64,
    ) -> Vec<(Box<str>, EmulatedTask)> {
        let mut known = self.known();
        known.tasks.insert(id.into(), task);
        // Making room by sixteenths keeps the search for the oldest rare.
        let step = self.limit / 16 + 1;
        let len = known.tasks.len();
        if len <= self.limit || len < known.stuck_at + step {
            return Vec::new();
        }
        let gone = known.make_room(step, now);
        known.stuck_at = if gone.is_empty() { len } else { 0 };
        gone
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.known().tasks.len()
    }

    /// Whether another task would have to displace an unfinished one.
    pub(crate) fn is_full(&self) -> bool {
        // Twice the limit is reached only if the finished ones that could go are too few.
        self.count() >= self.limit.saturating_mul(2)
    }

    /// Works on one task; `None` if there is none of this id.
    pub(crate) fn with<R>(&self, id: &str, work: impl FnOnce(&mut EmulatedTask) -> R) -> Option<R> {
        self.known().tasks.get_mut(id).map(work)
    }

    /// Calls `work` with every task, in no order.
    pub(crate) fn for_each(&self, mut work: impl FnMut(&str, &EmulatedTask)) {
        // The lock is held throughout, so `work` must not come back to this table.
        self.known().tasks.iter().for_each(|(id, task)| work(id, task));
    }

    /// The ids of those that a look at this time sees running.
    pub(crate) fn running(&self, now: u64) -> BTreeSet<Box<str>> {
        let mut running = BTreeSet::new();
        self.for_each(|id, task| {
            if task.is_running(now) {
                running.insert(id.into());
            }
        });
        running
    }

    pub(crate) fn clear(&self) {
        *self.known() = TaskTable::default();
    }

    /// No work under this lock leaves a task half changed, so a panic elsewhere spoils nothing.
    fn known(&self) -> MutexGuard<'_, TaskTable> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskTable {
    /// Forgets the oldest finished tasks. One whose work is over may still wait for its time: it is not
    /// finished to its client.
    fn make_room(&mut self, wanted: usize, now: u64) -> Vec<(Box<str>, EmulatedTask)> {
        let finished = self.tasks.iter().filter(|(_, task)| task.is_settled() && task.due <= now);
        let mut oldest: Vec<_> = finished.map(|(id, task)| (task.created, id.clone())).collect();
        oldest.sort_unstable();
        oldest.truncate(wanted);
        oldest.into_iter().filter_map(|(_, id)| self.tasks.remove_entry(&id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use effects_core::ServiceCode;

    use super::*;
    use crate::task::{Surface, TaskFailure, WorkStage};

    fn task(created: u64, stage: WorkStage) -> EmulatedTask {
        EmulatedTask {
            surface: Surface::Generation,
            template: None,
            width: 512,
            height: 512,
            created,
            due: created,
            stage,
            settled: None,
            fault: None,
            looks: 0,
        }
    }

    #[test]
    fn beyond_the_limit_the_oldest_finished_tasks_make_way() {
        let tasks = Tasks::new(2);
        let failed = || WorkStage::Failed(TaskFailure::new(ServiceCode::Upstream, "no"));
        assert!(tasks.insert("1a", task(1, WorkStage::Queued), 3).is_empty());
        assert!(tasks.insert("2a", task(2, failed()), 3).is_empty());
        let gone = tasks.insert("3a", task(3, failed()), 3);
        assert_eq!(gone.iter().map(|(id, _)| &**id).collect::<Vec<_>>(), ["2a"]);
        assert!(tasks.with("1a", |_| ()).is_some());
        assert!(tasks.with("2a", |_| ()).is_none());
        let mut left = 0;
        tasks.for_each(|_, _| left += 1);
        assert_eq!(left, 2);
        tasks.clear();
        assert!(tasks.with("3a", |_| ()).is_none() && !tasks.is_full());
        assert_eq!(tasks.count(), 0);
    }

    #[test]
    fn tasks_whose_time_has_not_come_stay_until_there_is_no_room_at_all() {
        let tasks = Tasks::new(8);
        let failed = || WorkStage::Failed(TaskFailure::new(ServiceCode::Upstream, "no"));
        // Twice the limit, where the table is full.
        for at in 0..16 {
            assert!(!tasks.is_full());
            let early = EmulatedTask { due: 100, ..task(1, failed()) };
            assert_eq!(tasks.insert(&format!("{at}a"), early, 99).len(), 0);
        }
        assert!(tasks.is_full());
        assert_eq!(tasks.insert("16a", task(1, failed()), 100).len(), 1);
    }
}
