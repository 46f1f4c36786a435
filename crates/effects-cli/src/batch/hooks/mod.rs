//! [`BatchHooks`]: starts a program (`--on-done`, `program.rs`) and posts to a URL (`--post-to`, `posts.rs`
//! and `webhook.rs`) for each row of a batch that ends, on threads of their own. A hook that fails is
//! reported and counted, and does not stop the batch. `Reporter` begins them with the options
//! ([`HookOptions`]) of `effects batch` or `effects watch`, passes them the rows, and at the end of the
//! batch waits for them a while.

mod posts;
mod program;
mod webhook;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;

use self::posts::PostQueue;
use self::webhook::Webhook;
use super::report::{ReportedMethod, RowReport, RowStatus};
use crate::failure::Failure;
use crate::secret_variables::SECRET_VARIABLES;
use crate::signals;

/// What is done besides for each row.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HookOptions {
    /// Start a program for each row that ends, with the row's JSON on its stdin
    ///
    /// Its arguments are parted by spaces, and no shell reads it. Up to four run at once. One that fails is told
    /// and counted, and ends nothing; one that is not there is refused before anything is sent. After the last row
    /// they are waited for 120 s, after Ctrl-C 2 s, after --deadline 1 s; what has no end then is told.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) on_done: Option<String>,

    /// Let the program of --on-done have a variable that holds a secret; may be given several times
    ///
    /// It has the environment of this command without the keys, the webhook's secret and PGPASSWORD: a hook that
    /// calls `effects` itself, say, needs EFFECTS_API_KEY.
    #[arg(long, value_name = "NAME", requires = "on_done", value_parser = SECRET_VARIABLES)]
    pub(crate) pass_env: Vec<String>,

    /// Post each row that ends to a URL, signed as Standard Webhooks with EFFECTS_WEBHOOK_SECRET
    ///
    /// A post that no 2xx acknowledges is repeated with growing pauses, as long as the batch goes on and 8 s after
    /// it, and then by the same line run again, with the same webhook-id: it arrives at least once. What was
    /// acknowledged is in deliveries.jsonl in the folder of --out. Lines to run again show the URL without user name and
    /// password, and with `redacted` for the values of its query: put them back there.
    #[arg(long, value_name = "URL")]
    pub(crate) post_to: Option<String>,
}

/// A row that ended, for the hooks.
#[derive(Clone, Debug)]
struct EndedRow {
    /// Identifies the row and its end, in each run: the `webhook-id` of its post.
    id: String,
    /// What a person calls it.
    shown: String,
    status: &'static str,
    json: String,
}

/// The hooks of a batch under way.
#[derive(Default)]
pub(super) struct BatchHooks {
    programs: Option<HookWorkers>,
    posts: Option<PostQueue>,
    /// How many signals this process had received before the batch.
    signals_before: u32,
}

/// Until when the hooks are waited for at the end of a batch.
struct WaitLimit {
    until: Instant,
    signals_before: u32,
    is_interrupted: bool,
}

/// What the hooks came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HookCounts {
    /// Programs of --on-done that failed.
    pub(super) failed: u64,
    /// Programs of --on-done that were not waited for to their end, or were not started.
    pub(super) unfinished: u64,
    /// Rows that --post-to was not acknowledged for.
    pub(super) undelivered: u64,
}

impl BatchHooks {
    /// The hooks that the options name.
    pub(super) fn begin(options: &HookOptions, out: &Path) -> Result<Self, Failure> {
        options.on_done.as_deref().map_or(Ok(()), program::find)?;
        let programs = options.on_done.clone().map(|program| {
            let passed = options.pass_env.clone();
            HookWorkers::start(PROGRAMS_AT_ONCE, move |row| program::run(&program, &passed, row))
        });
        let webhook = options.post_to.as_deref().map(|url| Webhook::new(url, out)).transpose()?;
        let posts = webhook.map(PostQueue::start);
        Ok(Self { programs, posts, signals_before: signals::received() })
    }

    /// Hands on what became of a row, if it ended. Where this run did not see its end, only a post that was
    /// not acknowledged by then is made for it.
    pub(super) fn row_ended(&self, report: &RowReport, json: &str) {
        let ended = matches!(
            report.status,
            RowStatus::Completed
                | RowStatus::NotDownloaded
                | RowStatus::Doubtful
                | RowStatus::Failed
                | RowStatus::Refused
        );
        let has_receivers = self.programs.is_some() || self.posts.is_some();
        let row = (ended && has_receivers).then(|| EndedRow::of(report, json));
        let Some(row) = row.flatten() else { return };
        // A row that the journal has as failed or doubtful from an earlier run has no method; neither has one
        // that is refused, and each run refuses it anew.
        let ended_now = match report.method {
            Some(ReportedMethod::Submitted | ReportedMethod::Resumed) => true,
            Some(ReportedMethod::Kept) => false,
            None => report.status == RowStatus::Refused,
        };
        if let Some(programs) = self.programs.as_ref().filter(|_| ended_now) {
            programs.push(row.clone());
        }
        if let Some(posts) = &self.posts {
            posts.push(row);
        }
    }

    /// Prints a line for each program that failed since the last call.
    pub(super) fn note_failed(&mut self, note_line: impl Fn(&str)) {
        if let Some(programs) = &mut self.programs {
            programs.note_failed(&note_line);
        }
    }

    /// Waits for what is under way, for a while, and after Ctrl-C shortly; `note_line` gets a line for each
    /// that failed.
    pub(super) fn finish(self, max_wait: Duration, note_line: impl Fn(&str)) -> HookCounts {
        let Self { programs, posts, signals_before } = self;
        let until = Instant::now() + max_wait;
        let mut limit = WaitLimit { until, signals_before, is_interrupted: false };
        let (failed, unfinished) =
            programs.map_or((0, 0), |programs| programs.finish(&mut limit, &note_line));
        let undelivered =
            posts.map_or(0, |posts| posts.finish(&mut limit, MAX_NOTES as usize, &note_line));
        HookCounts { failed, unfinished, undelivered }
    }
}

impl WaitLimit {
    /// Until when they are waited for, as of now.
    fn until(&mut self) -> Instant {
        // Ctrl-C reaches no program of `--on-done`, so that the wait itself must end by it.
        if !self.is_interrupted && signals::received() != self.signals_before {
            self.is_interrupted = true;
            self.until = self.until.min(Instant::now() + AFTER_CTRL_C);
        }
        self.until
    }
}

impl EndedRow {
    fn of(report: &RowReport, json: &str) -> Option<Self> {
        let row = serde_json::from_str::<serde_json::Value>(json).ok()?;
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let status = super::report::STATUS_NAMES.iter().find(|name| **name == text("status"))?;
        // What is the same when a later run tells of this end again: its post has the same `webhook-id`
        // then.
        let known =
            [text("identity"), text("task_id"), text("status"), text("image"), text("template")];
        let shown = report.label.position(report.row);
        Some(Self { id: webhook::id_of(&known), shown, status, json: json.to_owned() })
    }
}

/// Threads that do one thing for each row.
struct HookWorkers {
    rows: Sender<(u64, EndedRow)>,
    failures: Receiver<String>,
    threads: Vec<JoinHandle<()>>,
    left: Arc<UnfinishedRows>,
    /// How many rows were taken.
    taken: AtomicU64,
    /// Rows whose failure was counted.
    failed: u64,
}

/// The rows that are not done, by their number, in the order in which they came.
#[derive(Default)]
struct UnfinishedRows(Mutex<BTreeMap<u64, UnfinishedRow>>);

struct UnfinishedRow {
    /// What a person calls it.
    shown: String,
    /// Whether its program was started.
    is_begun: bool,
}

impl UnfinishedRows {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, UnfinishedRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HookWorkers {
    fn start(
        threads: usize,
        act: impl Fn(&EndedRow) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        // Not bounded: the main thread, which takes the rows, waits for no program.
        let (rows, taken) = channel::<(u64, EndedRow)>();
        let (report_failure, failures) = channel();
        let (act, taken) = (Arc::new(act), Arc::new(Mutex::new(taken)));
        let left = Arc::<UnfinishedRows>::default();
        let work = || {
            let (act, taken, report_failure, left) =
                (Arc::clone(&act), Arc::clone(&taken), report_failure.clone(), Arc::clone(&left));
            thread::spawn(move || {
                loop {
                    // The lock is held during the wait, so that the other threads wait for the lock; each
                    // row is one thread's.
                    let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, row)) = next else { break };
                    if let Some(row) = left.lock().get_mut(&number) {
                        row.is_begun = true;
                    }
                    if let Err(why) = act(&row) {
                        // The receiver is gone only once the batch no longer waits.
                        let _ = report_failure.send(format!("{}: {why}", row.shown));
                    }
                    left.lock().remove(&number);
                }
            })
        };
        let threads = (0..threads).map(|_| work()).collect();
        Self { rows, failures, threads, left, taken: AtomicU64::new(0), failed: 0 }
    }

    fn push(&self, row: EndedRow) {
        let number = self.taken.fetch_add(1, Ordering::SeqCst);
        let unfinished = UnfinishedRow { shown: row.shown.clone(), is_begun: false };
        // Before the row is sent, since a thread may be done with it, and take it out, at once.
        self.left.lock().insert(number, unfinished);
        // The threads end only after the sender.
        let _ = self.rows.send((number, row));
    }

    fn note_failed(&mut self, note_line: &impl Fn(&str)) {
        while let Ok(why) = self.failures.try_recv() {
            self.note(&why, note_line);
        }
    }

    fn note(&mut self, why: &str, note_line: &impl Fn(&str)) {
        self.failed += 1;
        match self.failed {
            ..=MAX_NOTES => note_line(&format!("warning: {why}")),
            FIRST_OMITTED => {
                note_line("more programs of --on-done fail; the end of the command counts them");
            }
            _ => {}
        }
    }

    /// Waits until all is done, or to the limit. How many programs failed, and how many have no end.
    fn finish(mut self, limit: &mut WaitLimit, note_line: &impl Fn(&str)) -> (u64, u64) {
        // The threads end once they have taken what is left.
        drop(std::mem::replace(&mut self.rows, channel().0));
        loop {
            let until = limit.until();
            let left = until.saturating_duration_since(Instant::now());
            match self.failures.recv_timeout(left.min(TICK)) {
                Ok(why) => self.note(&why, note_line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    self.note_failed(note_line);
                    return (self.failed, self.note_unfinished(note_line));
                }
                Err(RecvTimeoutError::Timeout)
                    if self.threads.iter().all(JoinHandle::is_finished) =>
                {
                    self.note_failed(note_line);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        (self.failed, 0)
    }

    /// Prints a line for each row whose program has no end, and returns how many they are.
    fn note_unfinished(&self, note_line: &impl Fn(&str)) -> u64 {
        let left = self.left.lock();
        for row in left.values().take(MAX_NOTES as usize) {
            let what = match row.is_begun {
                true => "has not ended yet, and goes on without this command",
                false => "was not started, since earlier ones have not ended",
            };
            note_line(&format!("warning: {}: the program of --on-done {what}", row.shown));
        }
        let count = left.len() as u64;
        if count > MAX_NOTES {
            note_line("more programs of --on-done have no end; the end of the command counts them");
        }
        count
    }
}

const PROGRAMS_AT_ONCE: usize = 4;
/// Lines about single hooks.
const MAX_NOTES: u64 = 20;
const FIRST_OMITTED: u64 = MAX_NOTES + 1;
const TICK: Duration = Duration::from_millis(50);
/// How long hooks are waited for after Ctrl-C.
pub(super) const AFTER_CTRL_C: Duration = Duration::from_secs(2);
