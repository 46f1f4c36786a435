//! [`Jobs`]: the builder of many jobs, which both clients' `jobs()` return. It collects their journal,
//! budget, folder and limits, and its `run` starts them through [`RunJobs`], which each client implements
//! in its `jobs.rs`. Rust programs and the command's `batch`, `watch`, `resume` and `reorder` use it; the
//! Python package (`python/rust/many.rs`) calls [`RunJobs`] itself, with `JobOptions`.

use std::path::PathBuf;
use std::sync::Arc;

use effects_core::Error;
use effects_jobs::{JobLimits, JournalStore, Photo};
use rust_decimal::Decimal;

use super::job::Job;
use super::notice::JobNotice;
use super::options::{JobOptions, Save, SaveFiles};
use crate::journal_session::JournalSession;

/// Jobs to be done by a client: how, and then [`run`](Self::run).
#[derive(Clone, Debug)]
#[must_use = "jobs are done by `run`"]
pub struct Jobs<C> {
    client: C,
    options: JobOptions,
}

/// A client that does jobs.
pub trait RunJobs {
    /// The results, as they come.
    type Results;

    /// Does these jobs.
    ///
    /// # Errors
    ///
    /// When their budget cannot be opened.
    fn run_jobs<I>(&self, options: JobOptions, jobs: I) -> Result<Self::Results, Error>
    where
        I: Iterator<Item = Job> + Send + 'static;
}

impl<C: RunJobs> Jobs<C> {
    /// Jobs that are not journaled, cost what they cost, and leave their pictures where the service has
    /// them; 16 at once.
    pub fn of(client: C) -> Self {
        Self { client, options: JobOptions::default() }
    }

    /// Keeps their rows in this journal: no picture is paid for twice, also after a crash, and jobs that
    /// were done before are not done again.
    pub fn journal(self, store: impl JournalStore + 'static) -> Self {
        self.store(Arc::new(store))
    }

    /// [`journal`](Self::journal), for a store that is shared.
    pub fn store(mut self, store: Arc<dyn JournalStore>) -> Self {
        self.options.store = Some(store);
        self
    }

    /// Opens their rows with this session, for a caller that counts its budgets itself.
    pub fn journal_session(mut self, session: JournalSession) -> Self {
        self.options.session = Some(session);
        self
    }

    /// The most that they may cost together, in USD: what would exceed it is refused unsent. Until a
    /// picture's price is known, one task runs alone and tells it. What earlier runs paid for a job
    /// counts from when the job is opened; name a [`scope`](Self::scope) for a budget that runs share
    /// from their beginning.
    pub fn budget(mut self, limit: Decimal) -> Self {
        self.options.budget = Some(limit);
        self
    }

    /// The budget is one with that of all jobs in this scope of the journal: of earlier runs, and of
    /// processes that run at the same time. Keys count within the scope, so that two orders may both number
    /// their jobs from 1. Blanks around the name do not count.
    pub fn scope(mut self, name: impl AsRef<str>) -> Self {
        self.options.scope = Some(name.as_ref().trim().to_owned());
        self
    }

    /// What one picture costs at most, in USD.
    pub fn price(mut self, price: Decimal) -> Self {
        self.options.price = Some(price);
        self
    }

    /// How many tasks are in flight at once: 1 or more.
    pub fn in_flight(mut self, tasks: u32) -> Self {
        self.options.in_flight = Some(tasks);
        self
    }

    /// How much is done at once, in detail and instead of [`in_flight`](Self::in_flight): [`JobLimits`], or
    /// [`BatchLimits`](effects_core::batch::BatchLimits) alone.
    pub fn limits(mut self, limits: impl Into<JobLimits>) -> Self {
        self.options.limits = Some(limits.into());
        self
    }

    /// Pays for up to so many new tasks for a job whose task failed with one of the service's codes
    /// 3009095 to 3009099.
    pub fn retry_failed(mut self, times: u32) -> Self {
        self.options.retry_failed = times;
        self
    }

    /// Saves their pictures in this folder, under the names that jobs give or that are made of key or
    /// photo. A file that is no picture of its job is never replaced.
    pub fn save_to(self, folder: impl Into<PathBuf>) -> Self {
        let folder = Some(folder.into());
        self.save(Save::Files(SaveFiles { folder, ..SaveFiles::default() }))
    }

    /// What becomes of their pictures, in detail.
    pub fn save(mut self, save: Save) -> Self {
        self.options.save = save;
        self
    }

    /// Looks through each photo of this machine with `check` before its job is paid for; a job whose photo it
    /// refuses is refused, with its reason. A program that has a decoder finds photos so that were copied by
    /// half. It is called on threads of the client, once for each photo.
    ///
    /// ```no_run
    /// use effects_client::Jobs;
    ///
    /// # fn example<C: effects_client::RunJobs>(jobs: Jobs<C>) -> Jobs<C> {
    /// jobs.check_photos(|photo| match photo.bytes().len() {
    ///     0..1_000 => Err("it is too small to be a photo".to_owned()),
    ///     _ => Ok(()),
    /// })
    /// # }
    /// ```
    pub fn check_photos(
        mut self,
        check: impl Fn(&Photo) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.options.check_photo = Some(Arc::new(check));
        self
    }

    /// Tells this what happens on the way. It is called on threads of the client and must not block.
    pub fn on_notice(mut self, notify: impl Fn(JobNotice) + Send + Sync + 'static) -> Self {
        self.options.on_notice = Some(Arc::new(notify));
        self
    }

    /// Does these jobs, drawn as room comes; their results come as they do, in no order.
    ///
    /// # Errors
    ///
    /// When the journal cannot open their budget.
    pub fn run<I>(self, jobs: I) -> Result<C::Results, Error>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Into<Job> + 'static>,
    {
        self.client.run_jobs(self.options, jobs.into_iter().map(Into::into))
    }
}
