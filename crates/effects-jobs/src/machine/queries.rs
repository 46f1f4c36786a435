//! Tells how a [`JobMachine`] and its jobs stand: what the driver attached to a job
//! ([`JobMachine::known`]), the job's row, work, task and method, why the machine begins or submits nothing
//! more, and how many jobs, runs and submissions are under way. The drivers of both clients ask between
//! the steps, the simulation asks for rows and attached values, and `JobsHandle` of `effects-client`
//! publishes the halt, the outage and the counts.

use effects_core::batch::{Outage, RunId};
use effects_core::{Error, TaskId};

use super::JobMachine;
use crate::end::Method;
use crate::row::OpenRow;
use crate::step::JobId;
use crate::work::Work;

impl<K> JobMachine<K> {
    /// What the driver knows of the job of a run.
    pub fn known(&self, run: RunId) -> Option<&K> {
        // A place is used again by later runs, so the run itself is compared, too.
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.known_of(id).filter(|_| known == run)
    }

    /// The same, to be changed.
    pub fn known_mut(&mut self, run: RunId) -> Option<&mut K> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.known_of_mut(id).filter(|_| known == run)
    }

    /// What the driver knows of a job, unless a step that is not replied to has it.
    pub fn known_of(&self, id: JobId) -> Option<&K> {
        self.slots.get(id.0 as usize)?.as_ref()?.known.as_ref()
    }

    /// The same, to be changed.
    pub fn known_of_mut(&mut self, id: JobId) -> Option<&mut K> {
        self.slot(id)?.known.as_mut()
    }

    /// The job of a run.
    pub fn job(&self, run: RunId) -> Option<JobId> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        Some(id).filter(|_| known == run)
    }

    /// The row of a run's job, where there is a journal.
    pub fn row(&self, run: RunId) -> Option<&OpenRow> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.row_of(id).filter(|_| known == run)
    }

    /// A job's row, where there is a journal.
    pub fn row_of(&self, id: JobId) -> Option<&OpenRow> {
        self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.row.as_ref()
    }

    /// What a job asks for.
    pub fn work(&self, id: JobId) -> Option<&Work> {
        Some(&self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.work)
    }

    /// The task that a job follows, if it has one already.
    pub fn task_of(&self, id: JobId) -> Option<&TaskId> {
        let row = self.row_of(id).and_then(OpenRow::task);
        let follows = self.method(id) == Some(Method::Resumed);
        row.filter(|_| follows).or_else(|| self.work(id)?.task_id())
    }

    /// How a job is gone on with, once that is known.
    pub fn method(&self, id: JobId) -> Option<Method> {
        self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.method
    }

    /// Whether nothing more is begun.
    pub fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// Why nothing more is begun, where an error is the reason.
    pub fn halted_by(&self) -> Option<&Error> {
        self.halted_by.as_ref()
    }

    /// Why submissions are held back; `None` as long as they reach the gateway and it answers them.
    pub fn outage(&self) -> Option<&Outage> {
        self.batch.outage()
    }

    /// How many jobs it has that are not over.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// How many of its jobs have a run.
    pub fn running(&self) -> u32 {
        self.batch.live()
    }

    /// How many submissions are in flight: the moment not to leave.
    pub fn submitting(&self) -> u32 {
        self.batch.submitting()
    }
}
