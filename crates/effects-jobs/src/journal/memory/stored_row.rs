//! [`StoredRow`]: one row of the journal in memory: its tasks ([`StoredTask`]), its stage ([`RowStage`]),
//! and the methods that change it, such as [`StoredRow::give_task`] when a task is made,
//! [`StoredRow::finish`] when it is over, and [`StoredRow::revert_intent`] when a submission made none.
//! `MemoryTable` keeps the rows; it, `RowLease` and `MemoryStore` call the methods. [`RowHold`] says which
//! run a `RowLease` writes for, and for which row.

use rust_decimal::Decimal;

use crate::journal::budget::Holding;
use crate::journal::identity::Identity;
use crate::journal::record::{Attempt, PictureRecord, RowState};
use crate::journal::row::Row;
use effects_core::{ServiceCode, TaskId, Time};

/// A run's hold on a row.
#[derive(Clone, Debug)]
pub(super) struct RowHold {
    pub(super) number: u64,
    pub(super) row: Row,
    /// The place of the failed task that a new one is to replace.
    pub(super) renews: Option<(usize, RowStage)>,
}

pub(super) struct StoredRow {
    pub(super) row: Row,
    pub(super) state: RowStage,
    /// Attempts of unknown outcome.
    pub(super) attempts: Vec<Attempt>,
    pub(super) reason: String,
    pub(super) tasks: Vec<StoredTask>,
    /// The index of the current task, and of the one that a renewal or a new order would replace, with what
    /// its row was.
    pub(super) task: Option<usize>,
    pub(super) former: Option<(usize, RowStage)>,
    pub(super) renewals: u32,
    pub(super) begun: Time,
    pub(super) changed: Time,
    /// The run that holds the row.
    pub(super) hold: Option<u64>,
    /// What each task that is reserved for is taken to cost.
    pub(super) reserved: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RowStage {
    Intent,
    Doubtful,
    Created,
    Completed,
    Failed,
    Released,
}

pub(super) struct StoredTask {
    pub(super) id: TaskId,
    pub(super) submitted: Time,
    pub(super) finished: Option<Time>,
    pub(super) cost: Option<Decimal>,
    /// Whether it is over and has no picture.
    pub(super) is_failed: bool,
    pub(super) code: Option<ServiceCode>,
    pub(super) message: String,
    pub(super) pictures: Vec<PictureRecord>,
}

impl StoredRow {
    /// Whether this task of the row stands for several of an imported one, whose ids are not known.
    pub(super) fn is_sum_of_tasks(&self, task: &StoredTask) -> bool {
        // `import_earlier` names such a sum after its row.
        Identity::from_digits(task.id.as_str()) == Some(self.row.identity)
    }

    /// What all its tasks cost, as far as is known, in USD.
    pub(super) fn paid(&self) -> Decimal {
        self.tasks.iter().filter_map(|task| task.cost).sum()
    }

    pub(super) fn may_intend(&self, hold: &RowHold) -> bool {
        let mine = self.hold == Some(hold.number);
        match self.state {
            RowStage::Intent => mine,
            // Its own run may try again, and so may any once the row is let go of.
            RowStage::Released => mine || self.hold.is_none(),
            // A verdict that was told otherwise since is another one.
            RowStage::Failed | RowStage::Completed => {
                hold.renews.is_some() && hold.renews == self.task.map(|task| (task, self.state))
            }
            RowStage::Doubtful | RowStage::Created => false,
        }
    }

    pub(super) fn give_task(&mut self, task: &TaskId, at: Time) {
        self.tasks.push(StoredTask::new(task.clone(), at));
        (self.task, self.state) = (Some(self.tasks.len() - 1), RowStage::Created);
        // A completed task is the row's again where the new one fails.
        self.former.take_if(|(_, state)| *state != RowStage::Completed);
    }

    /// The attempt that made a task is in doubt no more.
    pub(super) fn forget_attempt(&mut self, request_id: Option<&str>) {
        // Without a name, or with one that is not known, the oldest attempt is taken to be the one.
        let named = |attempt: &Attempt| Some(attempt.request_id.as_str()) == request_id;
        let position = self.attempts.iter().position(named);
        if let Some(position) = position.or((!self.attempts.is_empty()).then_some(0)) {
            self.attempts.remove(position);
        }
    }

    /// A submission elsewhere may have made a task.
    pub(super) fn doubt(&mut self, attempts: &[Attempt], reason: &str) {
        attempts.clone_into(&mut self.attempts);
        (self.state, self.reason) = (RowStage::Doubtful, reason.to_owned());
    }

    /// Nothing was made of what was open.
    pub(super) fn revert_intent(&mut self, reason: &str) {
        self.attempts.clear();
        reason.clone_into(&mut self.reason);
        match self.former.take() {
            None => self.state = RowStage::Released,
            Some((former, state)) => {
                (self.state, self.task, self.hold) = (state, Some(former), None);
                // A renewal that made no task cost nothing and uses up no try.
                self.renewals -= u32::from(state == RowStage::Failed);
            }
        }
    }

    pub(super) fn finish(&mut self, task_index: usize, state: RowStage) {
        if self.task == Some(task_index) {
            // The completed task is the row's again where its new order failed; where it did not,
            // the new one stays.
            let former = self.former.take().filter(|_| state == RowStage::Failed);
            let (task, state) = former.unwrap_or((task_index, state));
            (self.task, self.state, self.hold) = (Some(task), state, None);
        }
    }

    /// The last task of a new order that failed and left the row its completed one.
    pub(super) fn failed_order(&self) -> Option<Box<RowState>> {
        let current = self.task.filter(|_| self.state == RowStage::Completed)?;
        let mut orders = self.tasks[current + 1..].iter();
        let last = orders.rfind(|task| !self.is_sum_of_tasks(task))?;
        Some(Box::new(last.failed()))
    }

    /// The completed task that the row keeps where a new order under way comes to no picture.
    pub(super) fn paid_picture(&self) -> Option<Box<RowState>> {
        let (task_index, _) = self.former.filter(|(_, state)| *state == RowStage::Completed)?;
        Some(Box::new(self.tasks[task_index].completed()))
    }

    pub(super) fn abandon(&mut self) {
        match self.state {
            RowStage::Intent => {
                let reason = "its run ended, and said nothing of an answer";
                (self.state, self.reason) = (RowStage::Doubtful, reason.to_owned());
            }
            RowStage::Created | RowStage::Released => self.hold = None,
            RowStage::Doubtful | RowStage::Completed | RowStage::Failed => {}
        }
    }

    /// Whether its task is completed and what that cost is not known.
    pub(super) fn is_unreadable(&self) -> bool {
        let current = self.task.map(|task_index| &self.tasks[task_index]);
        self.state == RowStage::Completed && current.is_some_and(|task| task.cost.is_none())
    }

    /// How the row holds a reservation, and for how many tasks.
    pub(super) fn reservation(&self) -> (Holding, u64) {
        let unfinished = self.tasks.iter().filter(|task| task.finished.is_none()).count();
        let open = (self.attempts.len() + unfinished) as u64;
        let held = self.hold.is_some();
        let holding = |held| if held { Holding::Live } else { Holding::Abandoned };
        match self.state {
            RowStage::Intent | RowStage::Created => (holding(held), open),
            // Its run may try again.
            RowStage::Released => (holding(held), open.max(u64::from(held))),
            // Whatever is still open of these, no run follows it.
            RowStage::Doubtful | RowStage::Completed | RowStage::Failed => {
                (Holding::Abandoned, open)
            }
        }
    }

    pub(super) fn state(&self) -> RowState {
        let current = self.task.map(|task_index| &self.tasks[task_index]);
        match (self.state, current) {
            (RowStage::Intent, _) => RowState::Intent { attempts: self.attempts.clone() },
            (RowStage::Created, Some(task)) => {
                RowState::Created { task: task.id.clone(), submitted: task.submitted }
            }
            (RowStage::Completed, Some(task)) => task.completed(),
            (RowStage::Failed, Some(task)) => task.failed(),
            (RowStage::Released, _) => RowState::Released { reason: self.reason.clone() },
            // No row has a stage with a task and no task; a doubtful one would at least not be paid
            // for again.
            (RowStage::Doubtful, _) | (_, None) => {
                RowState::Doubtful { attempts: self.attempts.clone(), reason: self.reason.clone() }
            }
        }
    }
}

impl StoredTask {
    /// One without an end.
    pub(super) const fn new(id: TaskId, submitted: Time) -> Self {
        Self {
            id,
            submitted,
            finished: None,
            cost: None,
            is_failed: false,
            code: None,
            message: String::new(),
            pictures: Vec::new(),
        }
    }

    fn completed(&self) -> RowState {
        RowState::Completed {
            task: self.id.clone(),
            submitted: self.submitted,
            finished: self.finished.unwrap_or(self.submitted),
            cost: self.cost,
            pictures: self.pictures.clone(),
        }
    }

    pub(super) fn failed(&self) -> RowState {
        RowState::Failed {
            task: self.id.clone(),
            submitted: self.submitted,
            finished: self.finished.unwrap_or(self.submitted),
            code: self.code.clone(),
            message: self.message.clone(),
            cost: self.cost,
        }
    }
}
