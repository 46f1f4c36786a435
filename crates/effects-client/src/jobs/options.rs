//! [`JobOptions`]: the settings of many jobs: journal, budget, price, limits and callbacks, and by [`Save`]
//! whether their pictures stay at the service, are fetched into memory or are saved to files
//! ([`SaveFiles`]). The builder `Jobs` and the Python package fill them in; the command passes its [`Save`]
//! to `Jobs`. `JobContext` checks and follows them, and the clients' `jobs.rs` take their limits from them.

use std::path::{PathBuf, absolute};
use std::sync::{Arc, Mutex};

use effects_core::{Error, ErrorKind, Origin};
use effects_jobs::{JobLimits, JournalStore, Photo};
use rust_decimal::Decimal;

use super::claims::Claims;
use super::notice::{JobJournals, JobNotice};
use crate::journal_session::JournalSession;

/// How jobs are done.
#[derive(Clone, Default)]
pub struct JobOptions {
    /// Where their rows are, if they are journaled.
    pub store: Option<Arc<dyn JournalStore>>,
    /// Rows as a caller opened them, with budgets of its own, instead.
    pub session: Option<JournalSession>,
    /// The most that they may cost together, in USD.
    pub budget: Option<Decimal>,
    /// The name of the scope that the budget is for, which other runs and processes share over one
    /// journal. Keys count within it.
    pub scope: Option<String>,
    /// What one picture costs at most, in USD.
    pub price: Option<Decimal>,
    /// How many tasks are in flight at once; 16 where it is not said.
    pub in_flight: Option<u32>,
    /// How much is done at once in detail, instead.
    pub limits: Option<JobLimits>,
    /// How many new paid tasks a job may have whose task failed with 3009095 to 3009099.
    pub retry_failed: u32,
    /// What becomes of their pictures.
    pub save: Save,
    /// Looks through a photo before its job is paid for.
    pub check_photo: Option<PhotoCheck>,
    /// The callback for what happens on the way.
    pub on_notice: Option<Arc<dyn Fn(JobNotice) + Send + Sync>>,
    /// Journals of the caller's around those of their runs, in the async client.
    pub journals: Option<Arc<dyn JobJournals>>,
    /// Wraps the work of the thread that draws the jobs, in the async client.
    pub draw_within: Option<DrawWithin>,
}

/// Calls what it is given, on the thread that it is called on.
pub type DrawWithin = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// Looks through a photo, and says why it is not to be paid for: that it is damaged, say.
pub type PhotoCheck = Arc<dyn Fn(&Photo) -> Result<(), String> + Send + Sync>;

/// What becomes of the pictures of jobs.
#[derive(Clone, Debug, Default)]
pub enum Save {
    /// They stay where the service has them.
    #[default]
    Nothing,
    /// They are fetched into memory.
    Bytes,
    /// They are saved to files.
    Files(SaveFiles),
}

/// How pictures are saved to files.
#[derive(Clone, Debug, Default)]
pub struct SaveFiles {
    /// The folder for jobs that name none; without one, the current folder.
    pub folder: Option<PathBuf>,
    /// Whether files are replaced that stand in a picture's way and are no picture of its job.
    pub overwrite: bool,
    /// Files that jobs want or read.
    pub claims: Arc<Mutex<Claims>>,
    /// What a refusal calls things.
    pub words: SaveWords,
}

/// What a refusal calls things, and the ways out that it names: those of the face that a person uses.
#[derive(Clone, Copy, Debug)]
pub struct SaveWords {
    /// The thing whose picture it is.
    pub thing: &'static str,
    /// How it gets another file.
    pub another_file: &'static str,
    /// What replaces a file.
    pub overwrite: &'static str,
}

impl Default for SaveWords {
    fn default() -> Self {
        Self {
            thing: "job",
            another_file: "give the job another file with `saved_to`",
            overwrite: "`SaveFiles::overwrite`",
        }
    }
}

impl Save {
    /// The same with its folder from the root: the journal is read from other folders too.
    pub(super) fn rooted(mut self) -> Self {
        if let Self::Files(SaveFiles { folder: Some(folder), .. }) = &mut self
            // Fails for an empty path, which is the current folder, or where there is none.
            && let Ok(whole) = absolute(&*folder)
        {
            *folder = whole;
        }
        self
    }
}

impl JobOptions {
    /// Whether they make sense together.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |why: String| Err(Error::new(ErrorKind::Misconfigured, why));
        if let Some(price) = self.price.filter(|price| *price <= Decimal::ZERO) {
            return refused(format!(
                "a price of {price} USD limits nothing: give one above 0, or none"
            ));
        }
        // 0 is allowed: it lets nothing be paid for, while finished rows are still fetched.
        if let Some(budget) = self.budget.filter(|budget| *budget < Decimal::ZERO) {
            return refused(format!("a budget of {budget} USD is below 0"));
        }
        if self.in_flight == Some(0) {
            return refused(
                "in_flight is 0, so that nothing would be submitted: give 1 or more".to_owned(),
            );
        }
        if self.in_flight.is_some() && self.limits.is_some() {
            return refused(
                "in_flight and limits both say how many tasks are in flight: give limits.batch.tasks alone".to_owned(),
            );
        }
        if let Some(name) = self.limits.as_ref().and_then(JobLimits::zero) {
            return refused(format!(
                "limits.{name} is 0, so that no job would end: give 1 or more"
            ));
        }
        let is_kept = self.store.is_some() || self.session.is_some();
        match &self.scope {
            Some(scope) if scope.is_empty() => {
                refused("a scope without a name names no order: give a name, or none".to_owned())
            }
            Some(scope) if !is_kept => {
                refused(format!("scope {scope:?} is shared through a journal: give one"))
            }
            _ => Ok(()),
        }
    }

    /// The limits, for jobs of this gateway: one on this machine is asked as often as there is something
    /// to ask.
    pub fn limits(&self, origin: &Origin) -> JobLimits {
        let in_flight = self.in_flight.unwrap_or(DEFAULT_IN_FLIGHT);
        let mut limits = self.limits.unwrap_or_else(|| JobLimits::of_tasks(in_flight));
        if origin.is_loopback() && self.limits.is_none() {
            limits.batch.polls_per_second = LOOPBACK_POLLS;
        }
        limits.retry_failed = limits.retry_failed.max(self.retry_failed);
        limits
    }
}

impl std::fmt::Debug for JobOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobOptions")
            .field("store", &self.store)
            .field("budget", &self.budget)
            .field("limits", &self.limits)
            .field("save", &self.save)
            .finish_non_exhaustive()
    }
}

// As many as `BatchLimits::default` has.
const DEFAULT_IN_FLIGHT: u32 = 16;
const LOOPBACK_POLLS: f64 = 2_000.0;
