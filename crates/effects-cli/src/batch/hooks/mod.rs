//! [`BatchHooks`]: what is done for each row of a batch that ends, on threads of their own: a program is
//! started (`--on-done`, `program.rs`), and the row is posted to a URL (`--post-to`, `posts.rs` and
//! `webhook.rs`). One that fails is told and counted, and ends nothing. `Reporter` hands it the rows;
//! [`HookOptions`] are the options.

mod posts;
mod program;
mod webhook;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;

use self::posts::PostQueue;
use self::webhook::Webhook;
use super::report::{How, RowReport, RowStatus};
use crate::failure::Failure;
use crate::secret_variables::SECRET_VARIABLES;

/// What is done besides for each row.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HookOptions {
    /// Start a program for each row that ends, with the row's JSON on its stdin
    ///
    /// Its arguments are parted by spaces, and no shell reads it. Up to four run at once. One that fails is told
    /// and counted, and ends nothing; one that is not there is refused before anything is sent.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) on_done: Option<String>,

    /// Let the program of --on-done have a variable that holds a secret; may be given several times
    ///
    /// It has the environment of this command without the keys and the webhook's secret: a hook that calls
    /// `effects` itself, say, needs EFFECTS_API_KEY.
    #[arg(long, value_name = "NAME", requires = "on_done", value_parser = SECRET_VARIABLES)]
    pub(crate) pass_env: Vec<String>,

    /// Post each row that ends to a URL, signed as Standard Webhooks with EFFECTS_WEBHOOK_SECRET
    ///
    /// A post that no 2xx acknowledges is repeated with growing pauses, as long as the batch goes on and 8 s after
    /// it, and then by the same line run again, with the same webhook-id: it arrives at least once. What was
    /// acknowledged is in deliveries.jsonl in the folder of --out.
    #[arg(long, value_name = "URL")]
    pub(crate) post_to: Option<String>,
}

/// A row that ended, for the hooks.
#[derive(Clone, Debug)]
struct EndedRow {
    /// By which the row and its end are known again.
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
}

/// What the hooks came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HookCounts {
    /// Programs of --on-done that failed.
    pub(super) failed: u64,
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
        Ok(Self { programs, posts: webhook.map(PostQueue::start) })
    }

    /// Hands on what became of a row, if it ended. A row whose picture was there before ended in an earlier
    /// run: only a post that was not acknowledged then is made for it.
    pub(super) fn row_ended(&self, report: &RowReport, json: &str) {
        let ended = matches!(
            report.status,
            RowStatus::Completed
                | RowStatus::NotDownloaded
                | RowStatus::Doubtful
                | RowStatus::Failed
                | RowStatus::Refused
        );
        let (true, Some(row)) = (ended, EndedRow::of(report, json)) else { return };
        if let Some(programs) = self.programs.as_ref().filter(|_| report.how != Some(How::Kept)) {
            programs.take(row.clone());
        }
        if let Some(posts) = &self.posts {
            posts.take(row);
        }
    }

    /// Tells of the programs that failed since it was asked last.
    pub(super) fn tell_failed(&mut self, say: impl Fn(&str)) {
        if let Some(programs) = &mut self.programs {
            programs.tell_failed(&say);
        }
    }

    /// Waits for what is under way, for a while; `say` is told of each that failed.
    pub(super) fn finish(self, patience: Duration, say: impl Fn(&str)) -> HookCounts {
        let until = Instant::now() + patience;
        let failed = self.programs.map_or(0, |programs| programs.finish(until, &say));
        let undelivered =
            self.posts.map_or(0, |posts| posts.finish(until, MOST_SAID as usize, &say));
        HookCounts { failed, undelivered }
    }
}

impl EndedRow {
    fn of(report: &RowReport, json: &str) -> Option<Self> {
        let row = serde_json::from_str::<serde_json::Value>(json).ok()?;
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let status = super::report::STATUS_NAMES.iter().find(|name| **name == text("status"))?;
        let known =
            [text("identity"), text("task_id"), text("status"), text("image"), text("template")];
        let shown = report.told.place(report.row);
        Some(Self { id: webhook::id_of(&known), shown, status, json: json.to_owned() })
    }
}

/// Threads that do one thing for each row.
struct HookWorkers {
    rows: Sender<EndedRow>,
    troubles: Receiver<String>,
    threads: Vec<JoinHandle<()>>,
    /// Rows that are not done.
    left: Arc<AtomicU64>,
    /// Rows whose failure was taken note of.
    failed: u64,
}

impl HookWorkers {
    fn start(
        threads: usize,
        act: impl Fn(&EndedRow) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let (rows, taken) = channel::<EndedRow>();
        let (tell, troubles) = channel();
        let (act, taken) = (Arc::new(act), Arc::new(Mutex::new(taken)));
        let left = Arc::<AtomicU64>::default();
        let work = || {
            let (act, taken, tell, left) =
                (Arc::clone(&act), Arc::clone(&taken), tell.clone(), Arc::clone(&left));
            thread::spawn(move || {
                loop {
                    let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(row) = next else { break };
                    if let Err(why) = act(&row) {
                        // The receiver is gone only once the batch no longer waits.
                        let _ = tell.send(format!("{}: {why}", row.shown));
                    }
                    left.fetch_sub(1, Ordering::SeqCst);
                }
            })
        };
        let threads = (0..threads).map(|_| work()).collect();
        Self { rows, troubles, threads, left, failed: 0 }
    }

    fn take(&self, row: EndedRow) {
        self.left.fetch_add(1, Ordering::SeqCst);
        // The threads end only after the sender.
        let _ = self.rows.send(row);
    }

    fn tell_failed(&mut self, say: &impl Fn(&str)) {
        while let Ok(why) = self.troubles.try_recv() {
            self.note(&why, say);
        }
    }

    fn note(&mut self, why: &str, say: &impl Fn(&str)) {
        self.failed += 1;
        match self.failed {
            ..=MOST_SAID => say(&format!("warning: {why}")),
            NEXT_SAID => say("more programs of --on-done fail; the end of the command counts them"),
            _ => {}
        }
    }

    /// Waits until all is done, or until then. How many rows failed, or were not come to.
    fn finish(mut self, until: Instant, say: &impl Fn(&str)) -> u64 {
        // The threads end once they have taken what is left.
        drop(std::mem::replace(&mut self.rows, channel().0));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.troubles.recv_timeout(left.min(TICK)) {
                Ok(why) => self.note(&why, say),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    return self.failed + self.left.load(Ordering::SeqCst);
                }
                Err(RecvTimeoutError::Timeout)
                    if self.threads.iter().all(JoinHandle::is_finished) =>
                {
                    self.tell_failed(say);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.failed
    }
}

const PROGRAMS_AT_ONCE: usize = 4;
/// Lines about single hooks.
const MOST_SAID: u64 = 20;
const NEXT_SAID: u64 = MOST_SAID + 1;
const TICK: Duration = Duration::from_millis(50);
