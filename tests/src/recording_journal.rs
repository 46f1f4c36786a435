//! [`RecordingJournal`]: a journal in memory that records each entry, and can fail after a given number.
//! Tests of both Rust clients (single runs, shared runs and jobs) give it to them and read what was
//! written; `tests/secrets.rs` looks for the key in it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use effects_core::journal::{Admission, AsyncJournal, Entry, Fact, Journal, JournalError};

/// A journal for both clients that remembers what it was given, and can fail on purpose.
#[derive(Clone, Debug, Default)]
pub struct RecordingJournal(Arc<JournalRecords>);

#[derive(Debug, Default)]
struct JournalRecords {
    written: Mutex<Vec<Entry>>,
    changed: Condvar,
    /// How many entries it takes before it fails; without a limit when `None`.
    capacity: Option<usize>,
    watch: Mutex<Option<EntryWatcher>>,
}

struct EntryWatcher(Box<dyn Fn(&Entry) + Send>);

impl std::fmt::Debug for EntryWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher(…)")
    }
}

impl RecordingJournal {
    /// A journal that fails after so many entries.
    pub fn failing_after(entries: usize) -> Self {
        Self(Arc::new(JournalRecords { capacity: Some(entries), ..JournalRecords::default() }))
    }

    /// Does this with each entry before it counts as written.
    pub fn watch(&self, act: impl Fn(&Entry) + Send + 'static) {
        *self.0.watch.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(EntryWatcher(Box::new(act)));
    }

    /// What was written, in words: `intent`, `created TASK`, `released`.
    pub fn facts(&self) -> Vec<String> {
        let written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.iter().map(|entry| fact(&entry.fact)).collect()
    }

    /// What was written, as JSON.
    pub fn json(&self) -> String {
        let written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*written).unwrap_or_default()
    }

    /// The facts, once there are so many of them.
    ///
    /// # Panics
    ///
    /// When there are not within a time no machine needs.
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        let begun = Instant::now();
        let mut written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        while written.len() < count {
            assert!(begun.elapsed() < LIMIT, "only {:?} is written", *written);
            let waited = self.0.changed.wait_timeout(written, LIMIT);
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // `facts` takes the same lock.
        drop(written);
        self.facts()
    }

    /// Returns once no run holds this journal: every run with it is over.
    ///
    /// # Panics
    ///
    /// When a run does beyond a time no machine needs.
    pub fn wait_until_alone(self) -> Self {
        let begun = Instant::now();
        while Arc::strong_count(&self.0) > 1 {
            assert!(begun.elapsed() < LIMIT, "a run goes on");
            std::thread::sleep(Duration::from_millis(2));
        }
        self
    }

    fn record(&self, entry: &Entry) -> Result<(), JournalError> {
        if let Some(watcher) = &*self.0.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            (watcher.0)(entry);
        }
        let mut written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.capacity.is_some_and(|capacity| written.len() >= capacity) {
            return Err(JournalError::Unwritable("the disk is full".to_owned()));
        }
        written.push(entry.clone());
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Journal for RecordingJournal {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.record(entry).map(|()| Admission::Admitted)
    }
}

#[async_trait]
impl AsyncJournal for RecordingJournal {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.record(entry).map(|()| Admission::Admitted)
    }
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Intent { .. } => "intent".to_owned(),
        Fact::Created { task_id, .. } => format!("created {task_id}"),
        Fact::Released { .. } => "released".to_owned(),
    }
}

const LIMIT: Duration = Duration::from_secs(30);
