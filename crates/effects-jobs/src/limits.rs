//! [`JobLimits`]: how much a [`JobMachine`](crate::JobMachine) does at once (tasks, submissions, polls,
//! uploads, downloads), how often it pays anew for a failed task, and whether it goes on after an error
//! that every job would meet. Rust programs set them by `Jobs::limits` of the clients, or just
//! `Jobs::in_flight`, as the command does; the Python package and the simulation in `effects-testkit`
//! set them field by field.

use effects_core::batch::BatchLimits;

/// How much is done at once.
///
/// ```
/// use effects_jobs::JobLimits;
///
/// assert_eq!(JobLimits::of_tasks(16).batch.submissions, 4);
/// assert_eq!(JobLimits::of_tasks(1_000).batch.submissions, 12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JobLimits {
    /// Submissions and tasks in flight, and polls a second.
    pub batch: BatchLimits,
    /// Jobs that are made ready (opened, their photos uploaded) before there is room to submit them.
    pub ahead: u32,
    /// Jobs that are opened or whose photos are uploaded at once.
    pub uploads: u32,
    /// Pictures that are fetched at once.
    pub downloads: u32,
    /// Finished jobs whose pictures wait to be fetched before no more jobs are asked for.
    pub unfetched: u32,
    /// How many new paid tasks a job may have whose task failed with 3009095 to 3009099.
    pub retry_failed: u32,
    /// Whether jobs are still begun after an error that would be every other job's too: each then has its
    /// own.
    pub keeps_going: bool,
}

impl JobLimits {
    /// Limits for so many tasks in flight: a quarter as many submissions (at most 12), a poll a second
    /// for each task (at least 20), and enough made ready that no place stays empty.
    pub fn of_tasks(in_flight: u32) -> Self {
        let batch = BatchLimits {
            submissions: (in_flight / 4).clamp(1, MAX_SUBMISSIONS),
            tasks: in_flight,
            polls_per_second: f64::from(in_flight).max(20.0),
        };
        Self { ahead: in_flight.clamp(4, 64), ..Self::from(batch) }
    }

    /// The name of a limit that lets nothing through, if one is so.
    ///
    /// ```
    /// use effects_jobs::JobLimits;
    ///
    /// assert_eq!(JobLimits::of_tasks(16).zero(), None);
    /// assert_eq!(JobLimits::of_tasks(0).zero(), Some("batch.tasks"));
    /// ```
    pub fn zero(&self) -> Option<&'static str> {
        let BatchLimits { submissions, tasks, polls_per_second } = self.batch;
        [
            ("batch.tasks", tasks > 0),
            ("batch.submissions", submissions > 0),
            ("batch.polls_per_second", polls_per_second > 0.0),
            ("uploads", self.uploads > 0),
            ("downloads", self.downloads > 0),
        ]
        .into_iter()
        .find_map(|(name, is_some)| (!is_some).then_some(name))
    }
}

impl From<BatchLimits> for JobLimits {
    /// These limits of a batch, with no job made ready before there is room for it.
    fn from(batch: BatchLimits) -> Self {
        Self {
            batch,
            ahead: 0,
            uploads: 4,
            downloads: 8,
            unfetched: 256,
            retry_failed: 0,
            keeps_going: false,
        }
    }
}

/// Enough for any gateway that answers within a second.
const MAX_SUBMISSIONS: u32 = 12;
