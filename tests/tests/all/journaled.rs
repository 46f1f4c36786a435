//! Batches over a journal and the emulator, with both clients: broken off and begun again, raced
//! for, and never paid twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use effects_client::{Job, JobResult, JournalSession, Save, SaveFiles};
use effects_core::batch::BatchLimits;
use effects_core::{BaseUrl, EffectRequest, Pace, Size, Template};
use effects_emulator::{
    Counts, Emulator, Endpoint, Fault, FaultPlan, FaultRule, Latency, Moment, Pictures,
};
use effects_jobs::{
    Filter, Found, JobOutcome, JournalStore, Method, Row, RowDraft, RowPhoto, RowState, SpendBy,
    Which,
};
use effects_journal::SqliteJournal;
use rust_decimal::Decimal;

/// A batch, and everything it needs to be run again and again.
struct BatchWorld {
    emulator: Emulator,
    folder: tempfile::TempDir,
    rows: Vec<(Row, EffectRequest)>,
}

impl BatchWorld {
    fn new(count: usize, faults: FaultPlan) -> Self {
        let emulator = Emulator::builder()
            .pictures(Pictures::Stub)
            .latency(Latency::fixed(Duration::from_millis(50)))
            .faults(faults)
            .start()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let origin = BaseUrl::parse(emulator.base_url(), false).unwrap().origin().clone();
        let row = |number| {
            let url = format!("https://photos.example.com/{number}.jpg");
            let request = EffectRequest::new(Template::GlassBall, &url).unwrap();
            let draft = RowDraft {
                origin: origin.clone(),
                template: Template::GlassBall,
                size: Size::DEFAULT,
                params: Default::default(),
                photo: RowPhoto::Url(request.reference().clone()),
                key: None,
                tag: Some("test".to_owned()),
                target: Some(folder.path().join(format!("{number}.png"))),
            };
            (draft.row(0).unwrap(), request)
        };
        Self { rows: (0..count).map(row).collect(), folder, emulator }
    }

    fn journal(&self) -> Arc<SqliteJournal> {
        Arc::new(SqliteJournal::open(self.folder.path().join("journal.db")).unwrap())
    }

    fn blocking(&self) -> effects_ureq::Client {
        effects_ureq::Client::builder()
            .base_url(self.emulator.base_url())
            .api_key(self.emulator.api_key())
            .pace(Pace::fixed(Duration::from_millis(100)))
            .build()
            .unwrap()
    }

    fn asynchronous(&self) -> effects_reqwest::Client {
        effects_reqwest::Client::builder()
            .base_url(self.emulator.base_url())
            .api_key(self.emulator.api_key())
            .pace(Pace::fixed(Duration::from_millis(100)))
            .build()
            .unwrap()
    }

    fn jobs(&self) -> Vec<Job> {
        let job = |(row, request): &(Row, EffectRequest)| {
            let target = row.target.clone().unwrap();
            Job::from(request.clone()).known_as(row.clone()).saved_to(target)
        };
        self.rows.iter().map(job).collect()
    }

    /// Runs the batch with the blocking client, up to so many results; how the rows came out.
    fn run(
        &self,
        session: &JournalSession,
        retry: u32,
        max_results: usize,
        stop: Stop,
    ) -> OutcomeCounts {
        let jobs = self.blocking().jobs().limits(BatchLimits::default()).retry_failed(retry);
        let jobs = jobs.journal_session(session.clone()).save(Save::Files(SaveFiles::default()));
        let mut running = jobs.run(self.jobs()).unwrap();
        let mut outcomes = OutcomeCounts::new();
        running.by_ref().take(max_results).for_each(|result| count(&mut outcomes, &result));
        if stop == Stop::InOrder {
            running.handle().stop();
            running.by_ref().for_each(|result| count(&mut outcomes, &result));
        }
        drop(running);
        session.store().flush().unwrap();
        outcomes
    }

    /// The same with the async client, stopped in order.
    async fn run_async(&self, session: &JournalSession, max_results: usize) -> OutcomeCounts {
        let client = self.asynchronous();
        let jobs = client.jobs().limits(BatchLimits::default()).journal_session(session.clone());
        let mut running = jobs.save(Save::Files(SaveFiles::default())).run(self.jobs()).unwrap();
        let mut outcomes = OutcomeCounts::new();
        let mut ends = 0;
        while let Some(result) = running.next().await {
            count(&mut outcomes, &result);
            ends += 1;
            if ends == max_results {
                running.stop();
            }
        }
        outcomes
    }

    fn counts(&self) -> Counts {
        self.emulator.counts()
    }

    /// How often each row was accepted, in their order.
    fn accepted(&self) -> Vec<u64> {
        let counts = self.counts();
        let of = |request: &EffectRequest| Counts::name_of(&request.body());
        let accepted = |(_, request): &(Row, EffectRequest)| counts.by_body.get(&of(request));
        self.rows.iter().map(|row| accepted(row).copied().unwrap_or(0)).collect()
    }

    /// Nothing was accepted twice, and what the emulator knows is what the journal knows.
    fn check(&self, store: &dyn JournalStore) {
        for (number, accepted) in self.accepted().into_iter().enumerate() {
            assert!(accepted <= 1, "row {number} was accepted {accepted} times");
        }
        // A create whose answer did not tell what became of it.
        let unanswered = |request: &&effects_emulator::SeenRequest| {
            request.endpoint == Endpoint::Create && request.fault.is_some_and(|kind| kind != "fail")
        };
        let unanswered = self.emulator.requests().iter().filter(unanswered).count();
        let doubtful = self.list(store, Which::Doubtful);
        assert!(doubtful.len() <= unanswered, "{} {unanswered}", doubtful.len());
        let known = store.spend(SpendBy::Tag, None).unwrap();
        let known = known.iter().map(|spend| spend.tasks).sum::<u64>();
        let accepted = self.counts().accepted;
        assert!(known <= accepted && accepted <= known + doubtful.len() as u64);
    }

    fn list(&self, store: &dyn JournalStore, which: Which) -> Vec<effects_jobs::Record> {
        store.list(&Filter { which, limit: usize::MAX, ..Filter::default() }).unwrap()
    }

    /// Every row has its picture, has failed, or is a person's to find out about.
    fn check_the_end(&self, store: &dyn JournalStore) {
        self.check(store);
        let rows = self.list(store, Which::All);
        assert_eq!(rows.len(), self.rows.len());
        let mut cost = Decimal::ZERO;
        for record in rows {
            match &record.state {
                RowState::Completed { pictures, .. } => {
                    assert!(pictures[0].path.as_ref().is_some_and(|path| path.is_file()));
                }
                RowState::Failed { .. } | RowState::Doubtful { .. } => {}
                other => panic!("{other:?}"),
            }
            cost += record.state.cost().unwrap_or_default();
        }
        let spend = store.spend(SpendBy::Template, None).unwrap();
        assert_eq!(spend.iter().map(|spend| spend.cost).sum::<Decimal>(), cost);
    }
}

/// How many rows came out how.
type OutcomeCounts = BTreeMap<&'static str, usize>;

fn count(outcomes: &mut OutcomeCounts, result: &JobResult) {
    let outcome = match (&result.outcome, result.method) {
        (JobOutcome::Kept, _) => "kept",
        (JobOutcome::Recorded(record), _) => record.state.name(),
        (_, Some(Method::Submitted)) => "submitted",
        (_, Some(Method::Resumed)) => "resumed",
        _ => "not begun",
    };
    *outcomes.entry(outcome).or_default() += 1;
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stop {
    InOrder,
    /// The iterator is dropped: the ends still to come are not read.
    Dropped,
}

/// Everything that can become of a create, and looks that go wrong in passing.
fn faults() -> FaultPlan {
    let create = |fault| FaultRule::on(Endpoint::Create, fault);
    let look = |fault| FaultRule::on(Endpoint::Task, fault);
    // The intervals are primes, so that two faults seldom meet at one row.
    FaultPlan::seeded(7)
        .with(create(Fault::lost()).every(13))
        .with(create(Fault::Reset { when: Moment::Before }).every(17))
        .with(create(Fault::Garbage).every(19))
        .with(create(Fault::status(502)).every(23))
        .with(create(Fault::fail("3009095")).every(7))
        .with(look(Fault::status(503)).chance(0.05))
        .with(look(Fault::Garbage).chance(0.05))
}

#[test]
fn a_batch_that_is_broken_off_and_begun_again_pays_for_nothing_twice() {
    let world = BatchWorld::new(120, faults());
    for (max_results, stop) in
        [(25, Stop::InOrder), (25, Stop::Dropped), (usize::MAX, Stop::InOrder)]
    {
        let session = JournalSession::new(world.journal());
        world.run(&session, 0, max_results, stop);
        world.check(&**session.store());
    }
    let session = JournalSession::new(world.journal());
    world.check_the_end(&**session.store());
    let seen = world.counts().creates_seen;

    // Nothing is left to do, and nothing is done.
    let stood = world.run(&session, 0, usize::MAX, Stop::InOrder);
    assert_eq!(stood.keys().copied().collect::<Vec<_>>(), ["doubtful", "failed", "kept"]);
    assert_eq!(world.counts().creates_seen, seen);

    // A picture that is lost is fetched again, and not paid again.
    let missing = world.list(&**session.store(), Which::All).into_iter().find_map(|record| {
        match record.state {
            RowState::Completed { pictures, .. } => pictures[0].path.clone(),
            _ => None,
        }
    });
    let missing: PathBuf = missing.unwrap();
    std::fs::remove_file(&missing).unwrap();
    let stood = world.run(&session, 0, usize::MAX, Stop::InOrder);
    assert_eq!(stood["resumed"], 1);
    assert!(missing.is_file());
    world.check_the_end(&**session.store());
    assert_eq!(world.counts().creates_seen, seen);

    // Failed rows are paid anew on purpose alone, once each.
    let failed = |store: &dyn JournalStore| -> Vec<Row> {
        let rows = world.list(store, Which::All).into_iter();
        rows.filter(|row| row.state.name() == "failed").map(|row| row.row).collect()
    };
    let before = failed(&**session.store());
    assert!(!before.is_empty());
    // The service has recovered: what fails now would be the client's doing.
    world.emulator.follow(FaultPlan::none()).unwrap();
    let stood = world.run(&session, 1, usize::MAX, Stop::InOrder);
    assert_eq!(stood["submitted"], before.len());
    assert!(failed(&**session.store()).is_empty());
    for ((row, _), accepted) in world.rows.iter().zip(world.accepted()) {
        let max_results = if before.contains(row) { 2 } else { 1 };
        assert!(accepted <= max_results, "{} {accepted}", row.image);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_async_client_does_the_same_and_takes_up_what_the_blocking_one_left() {
    let world = BatchWorld::new(120, faults());
    for max_results in [25, usize::MAX] {
        let session = JournalSession::new(world.journal());
        world.run_async(&session, max_results).await;
        world.check(&**session.store());
    }
    let session = JournalSession::new(world.journal());
    world.check_the_end(&**session.store());
    let world = Arc::new(world);
    let (moved, blocking) = (Arc::clone(&world), session.clone());
    let run = move || moved.run(&blocking, 0, usize::MAX, Stop::InOrder);
    let stood = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!stood.contains_key("submitted") && !stood.contains_key("resumed"), "{stood:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_that_race_for_a_batch_one_submits_each_row_and_the_other_finds_it() {
    let world = Arc::new(BatchWorld::new(60, FaultPlan::none()));
    // Two openings of one file are two owners, as two processes are.
    let (first, second) =
        (JournalSession::new(world.journal()), JournalSession::new(world.journal()));
    let (moved, session) = (Arc::clone(&world), first.clone());
    let other =
        tokio::task::spawn_blocking(move || moved.run(&session, 0, usize::MAX, Stop::InOrder));
    let mut outcomes = world.run_async(&second, usize::MAX).await;
    for (outcome, rows) in other.await.unwrap() {
        *outcomes.entry(outcome).or_default() += rows;
    }
    // Each row is submitted by one of them; the other one waits for it and finds its picture.
    assert_eq!(outcomes.values().sum::<usize>(), 120, "{outcomes:?}");
    assert_eq!(outcomes["submitted"], 60, "{outcomes:?}");
    assert_eq!(world.counts().creates_seen, 60);
    first.store().flush().unwrap();
    second.store().flush().unwrap();
    world.check_the_end(&**first.store());
    assert!(world.accepted().iter().all(|accepted| *accepted == 1));
}

#[test]
fn a_single_run_is_journaled_and_counted_and_the_same_again_is_paid_again() {
    let world = BatchWorld::new(1, FaultPlan::none());
    let session = JournalSession::new(world.journal());
    let (row, request) = world.rows[0].clone();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let draft = RowDraft {
            origin: row.origin.clone(),
            template: row.template.clone(),
            size: row.size,
            params: Default::default(),
            photo: RowPhoto::Url(request.reference().clone()),
            key: None,
            tag: None,
            target: None,
        };
        let open = session.begin(draft).unwrap();
        let result = world.blocking().with_journal(open.journal()).run(request.clone());
        open.settle(&result).unwrap();
        tasks.push(result.unwrap().task_id);
    }
    assert_eq!(world.accepted(), [2]);
    let records = world.list(&**session.store(), Which::All);
    let known: Vec<_> = records.iter().filter_map(|row| row.state.task().cloned()).collect();
    assert_eq!(known, tasks);
    // With the task's id its row is found.
    let Some(Found::Settled(open)) = session.follow(&row.origin, &tasks[1]).unwrap() else {
        panic!()
    };
    assert_eq!(open.record().unwrap().number, records[1].number);
    let spend = session.store().spend(SpendBy::Template, None).unwrap();
    assert_eq!((spend[0].tasks, spend[0].cost.to_string().as_str()), (2, "0.06"));

    // The key that paid is nowhere in the journal's files.
    drop((open, session));
    let key = world.emulator.api_key().as_bytes();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.is_empty() && !bytes.windows(key.len()).any(|window| window == key));
    }
}
