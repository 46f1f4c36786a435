//! [`Notes`]: a journal in memory that can fail on purpose; [`Gate`]: a scripted answer that waits until
//! the test lets it go. `tests/all/blocking_client.rs` and `async_client.rs` use both; other tests use
//! [`Notes`] as their journal.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use effects_core::journal::{Admission, AsyncJournal, Entry, Fact, Journal, JournalError};
use effects_testkit::http::Behaviour;

/// A journal for both clients that remembers what it was given, and can fail on purpose.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<NotesShared>);

#[derive(Debug, Default)]
struct NotesShared {
    written: Mutex<Vec<Entry>>,
    changed: Condvar,
    /// How many entries it takes before it fails; for ever when `None`.
    takes: Option<usize>,
    watch: Mutex<Option<NoteWatcher>>,
}

struct NoteWatcher(Box<dyn Fn(&Entry) + Send>);

impl std::fmt::Debug for NoteWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher(…)")
    }
}

impl Notes {
    /// A journal that fails after so many entries.
    pub fn failing_after(entries: usize) -> Self {
        Self(Arc::new(NotesShared { takes: Some(entries), ..NotesShared::default() }))
    }

    /// Does this with each entry before it counts as written.
    pub fn watch(&self, act: impl Fn(&Entry) + Send + 'static) {
        *self.0.watch.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(NoteWatcher(Box::new(act)));
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

    fn note(&self, entry: &Entry) -> Result<(), JournalError> {
        if let Some(watcher) = &*self.0.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            (watcher.0)(entry);
        }
        let mut written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.takes.is_some_and(|takes| written.len() >= takes) {
            return Err(JournalError::Unwritable("the disk is full".to_owned()));
        }
        written.push(entry.clone());
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Journal for Notes {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.note(entry).map(|()| Admission::Admitted)
    }
}

#[async_trait]
impl AsyncJournal for Notes {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.note(entry).map(|()| Admission::Admitted)
    }
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Intent { .. } => "intent".to_owned(),
        Fact::Created { task_id, .. } => format!("created {task_id}"),
        Fact::Released { .. } => "released".to_owned(),
    }
}

/// Holds an answer back until it is opened or dropped.
#[derive(Debug)]
pub struct Gate(Sender<()>);

impl Gate {
    /// A gate, and a behaviour that waits for it.
    pub fn before(then: impl Into<Behaviour>) -> (Self, Behaviour) {
        let (sender, receiver) = channel();
        let (receiver, then): (Mutex<Receiver<()>>, Behaviour) =
            // A behaviour is shared by threads, which a receiver alone cannot be.
            (Mutex::new(receiver), then.into());
        let behaviour = Behaviour::with(move |_| {
            // Opened or dropped, it is the same.
            let _ = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            then.clone()
        });
        (Self(sender), behaviour)
    }

    /// Lets the answer go.
    pub fn open(self) {
        drop(self.0);
    }
}

const LIMIT: Duration = Duration::from_secs(30);
