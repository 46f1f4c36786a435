//! Rows, entries and journals for tests.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use effects_core::journal::{Entry, RowOutcome};
use effects_core::{BaseUrl, ServiceCode, Size, Template, Time};
use effects_jobs::{
    JournalStore, Opened, Record, Row, RowDraft, RowJournal, RowName, RowPhoto, RowState,
};
use effects_journal::{JournalBuilder, Process, SqliteJournal};
use serde_json::json;

pub(crate) fn draft(name: &str) -> RowDraft {
    RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap().origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(format!("https://example.com/{name}.jpg").parse().unwrap()),
        key: None,
        tag: None,
        target: None,
    }
}

pub(crate) fn row(name: &str) -> Row {
    draft(name).row(0).unwrap()
}

/// The intent of the attempt with this number.
pub(crate) fn intent(attempt: u32) -> Entry {
    entry(
        2 * attempt + 1,
        &json!({"intent": {
            "request": {"image": {"url": "https://example.com/cat.jpg"}, "template_id": "glass_ball"},
            "attempt": attempt,
            "request_id": format!("request {attempt}"),
            "idempotency_key": "submission",
        }}),
    )
}

pub(crate) fn created(task: &str) -> Entry {
    entry(90, &json!({"created": {"task_id": task}}))
}

pub(crate) fn released(reason: &str) -> Entry {
    entry(91, &json!({"released": {"reason": reason}}))
}

fn entry(id: u32, fact: &serde_json::Value) -> Entry {
    serde_json::from_value(json!({"id": id, "at": START, "fact": fact})).unwrap()
}

pub(crate) fn completed(task: &str, cost: &str) -> RowOutcome {
    RowOutcome::Completed {
        task: task.parse().unwrap(),
        cost: Some(cost.parse().unwrap()),
        pictures: vec![format!("https://example.com/{task}.png")],
    }
}

pub(crate) fn failed(task: &str, code: &str) -> RowOutcome {
    RowOutcome::Failed {
        task: task.parse().unwrap(),
        code: Some(ServiceCode::from(code)),
        message: "it went wrong".to_owned(),
        cost: None,
    }
}

pub(crate) fn unknown() -> RowOutcome {
    RowOutcome::Unknown { reason: "no answer: reset".to_owned() }
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn builder(&self) -> JournalBuilder {
        let clock = self.clone();
        SqliteJournal::builder().clock(move || Time::from_millis(clock.0.load(Ordering::SeqCst)))
    }

    /// A journal of a process of another machine, as far as the file tells.
    pub(crate) fn elsewhere(&self, path: &Path, host: &str) -> SqliteJournal {
        let process = Process {
            host: host.to_owned(),
            place: format!("a boot of {host}"),
            id: 7,
            started: "1".to_owned(),
        };
        self.builder().process(process).lease(LEASE).open(path).unwrap()
    }
}

pub(crate) fn submit(journal: &impl JournalStore, row: &Row) -> Arc<dyn RowJournal> {
    match journal.open(row).unwrap() {
        Opened::Submit(open) => open,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn look(journal: &impl JournalStore, row: &Row) -> Record {
    journal.find(&RowName::Identity(row.identity)).unwrap().unwrap()
}

pub(crate) fn row_state(journal: &impl JournalStore, row: &Row) -> RowState {
    look(journal, row).state
}

/// What [`Opened`] is called here.
pub(crate) fn name_of(opened: &Opened) -> &'static str {
    match opened {
        Opened::Submit(_) => "submit",
        Opened::Watch(..) => "watch",
        Opened::Finished(..) => "finished",
        Opened::Doubtful(_) => "doubtful",
        Opened::Elsewhere(_) => "elsewhere",
    }
}

pub(crate) fn opened(journal: &impl JournalStore, row: &Row) -> &'static str {
    name_of(&journal.open(row).unwrap())
}

/// 2025-11-24T16:00:00Z.
pub(crate) const START: u64 = 1_764_000_000_000;
/// Longer than any test takes: no thread renews it in the background.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);

/// A task that this attempt made.
pub(crate) fn created_by(task: &str, request_id: &str) -> Entry {
    entry(92, &json!({"created": {"task_id": task, "request_id": request_id}}))
}
