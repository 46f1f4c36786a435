//! [`PostQueue`]: the rows that wait to be posted to the URL of `--post-to`, and the threads that post them
//! with [`Webhook`]. A row that the URL does not acknowledge is posted again, after growing pauses, as long
//! as the batch goes on and for some seconds after its end. `BatchHooks` starts one, pushes rows to it, and
//! finishes it at the batch's end.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use effects_client::telemetry;

use super::webhook::{PostError, Webhook};
use super::{EndedRow, TICK, WaitLimit};

/// Posts rows, each until it is acknowledged.
pub(super) struct PostQueue(Arc<SharedQueue>);

struct SharedQueue {
    webhook: Webhook,
    state: Mutex<PendingPosts>,
    /// Something came, was posted, or is to end.
    changed: Condvar,
}

#[derive(Default)]
struct PendingPosts {
    waiting: VecDeque<WaitingRow>,
    /// Posts under way.
    posting: u64,
    /// Posts that failed since one was acknowledged: one at a time is tried then, with pauses.
    failures: u32,
    not_before: Option<Instant>,
    last_success: Option<Instant>,
    /// Rows that were acknowledged and are not on record as such.
    unrecorded: Vec<String>,
    is_closed: bool,
}

struct WaitingRow {
    row: EndedRow,
    failures: u32,
    due: Instant,
    last_error: String,
}

impl PostQueue {
    pub(super) fn start(webhook: Webhook) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(SharedQueue { webhook, state, changed });
        for _ in 0..AT_ONCE {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work());
        }
        Self(shared)
    }

    /// Takes a row, unless it was acknowledged before.
    pub(super) fn push(&self, row: EndedRow) {
        if self.0.webhook.was_acknowledged(&row.id) {
            return;
        }
        let (failures, due, last_error) = (0, Instant::now(), "it was not posted yet".to_owned());
        self.0.lock().waiting.push_back(WaitingRow { row, failures, due, last_error });
        self.0.changed.notify_all();
    }

    /// Posts what waits, until that is done, nothing was acknowledged for a while, or to the limit. How
    /// many rows are not acknowledged; `note_line` gets a line for each of the first of them.
    pub(super) fn finish(
        self,
        limit: &mut WaitLimit,
        max_notes: usize,
        note_line: &impl Fn(&str),
    ) -> u64 {
        let Self(shared) = self;
        let mut state = shared.lock();
        let ended = Instant::now();
        // Pauses that have grown long begin anew: what waits is tried at once, though one at a time as
        // long as a failure counts.
        (state.failures, state.not_before) = (state.failures.min(1), None);
        for waiting in &mut state.waiting {
            (waiting.failures, waiting.due) = (0, ended);
        }
        shared.changed.notify_all();
        while !state.waiting.is_empty() || state.posting > 0 {
            let since = state.last_success.map_or(ended, |last| last.max(ended));
            let left = limit.until().min(since + WITHOUT_SUCCESS);
            let left = left.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // The limit is asked for again soon, since Ctrl-C shortens it.
            let waited = shared.changed.wait_timeout(state, left.min(TICK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_closed = true;
        shared.changed.notify_all();
        // A post under way may still arrive. It counts as not acknowledged, and the same line run again
        // repeats it with the same `webhook-id`.
        let undelivered = state.waiting.len() as u64 + state.posting;
        let lines = state.waiting.iter().map(|waiting| {
            format!(
                "warning: {}: --post-to has not acknowledged it ({}); the same line run again posts it again",
                waiting.row.shown, waiting.last_error
            )
        });
        let lines: Vec<String> = lines.take(max_notes).chain(state.unrecorded.clone()).collect();
        let count = undelivered + state.unrecorded.len() as u64;
        drop(state);
        lines.iter().take(max_notes).for_each(|line| note_line(line));
        count
    }
}

impl PendingPosts {
    /// The receiver works again: rows are posted without pauses, several at once.
    fn note_acknowledged(&mut self, now: Instant) {
        (self.failures, self.not_before) = (0, None);
        self.last_success = Some(now);
    }
}

impl SharedQueue {
    fn work(&self) {
        while let Some(mut waiting) = self.next() {
            let posted = self.webhook.post(&waiting.row);
            let now = Instant::now();
            let mut state = self.lock();
            state.posting -= 1;
            match posted {
                Ok(()) => state.note_acknowledged(now),
                Err(PostError::Unrecorded(why)) => {
                    state.note_acknowledged(now);
                    let shown = &waiting.row.shown;
                    state.unrecorded.push(format!("warning: {shown}: {why}"));
                }
                Err(PostError::Unacknowledged(why)) => {
                    // Told once, until a row is acknowledged again.
                    if state.failures == 0 {
                        telemetry::warn(&format!(
                            "--post-to does not acknowledge a row ({why}): rows wait and are posted \
                             again with growing pauses, as long as the batch goes on and {} s after it",
                            WITHOUT_SUCCESS.as_secs()
                        ));
                    }
                    state.failures += 1;
                    waiting.failures += 1;
                    // Two pauses: all rows wait while the URL acknowledges none, and a row that it
                    // refuses each time waits longer than others, which pass it.
                    state.not_before = Some(now + pause(state.failures));
                    waiting.due = now + pause(waiting.failures);
                    waiting.last_error = why;
                    state.waiting.push_back(waiting);
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The next row to post, once it is due; `None` when none is posted any more.
    fn next(&self) -> Option<WaitingRow> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let now = Instant::now();
            // Since a post failed, one at a time shows whether the URL acknowledges again.
            let is_held = state.failures > 0 && state.posting > 0;
            let due = (0..state.waiting.len()).min_by_key(|index| state.waiting[*index].due);
            let due = due.filter(|_| !is_held);
            let when = due.map(|index| state.not_before.max(Some(state.waiting[index].due)));
            let wait = match (due, when.flatten()) {
                (Some(index), Some(when)) if when <= now => {
                    state.posting += 1;
                    return state.waiting.remove(index);
                }
                (_, Some(when)) => when - now,
                (_, None) => LONGEST_PAUSE,
            };
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingPosts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait after so many failures.
fn pause(failures: u32) -> Duration {
    // Ten doublings are more than the longest pause; a shift by as many bits as there were failures
    // overflows.
    let doubled = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE)
}

const AT_ONCE: usize = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long after the batch's end, or the last row that was acknowledged then, rows are still posted.
const WITHOUT_SUCCESS: Duration = Duration::from_secs(8);
