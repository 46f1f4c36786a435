//! Batches over a journal and the emulator, with both clients: broken off and begun again, raced
//! for, and never paid twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use effects_client::{Ended, Ending, Found, Job, JobJournal, Ledger, OpenRow};
use effects_core::{
    BaseUrl, EffectRequest, Filter, JournalStore, Pace, Row, RowDraft, RowPhoto, Size, SpendBy,
    Standing, Template, Which, Widths,
};
use effects_emulator::{
    Counts, Emulator, Endpoint, Fault, FaultPlan, FaultRule, Latency, Moment, Pictures,
};
use effects_journal::SqliteJournal;
use rust_decimal::Decimal;

/// A batch, and everything it needs to be run again and again.
struct World {
    emulator: Emulator,
    folder: tempfile::TempDir,
    rows: Vec<(Row, EffectRequest)>,
}

/// The rows that were opened to be run, with their jobs, and how the others stood.
struct Opened<J> {
    jobs: Vec<Job<J>>,
    open: Vec<(usize, OpenRow)>,
    stood: BTreeMap<&'static str, usize>,
}

impl World {
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

    fn open<J: JobJournal>(&self, ledger: &Ledger) -> Opened<J> {
        let mut opened = Opened { jobs: Vec::new(), open: Vec::new(), stood: BTreeMap::new() };
        for (number, (row, request)) in self.rows.iter().enumerate() {
            let found = ledger.open(row).unwrap();
            let stood = match found {
                Found::Submit(open) => {
                    opened.jobs.push(open.submit(request.clone()));
                    opened.open.push((number, open));
                    "submitted"
                }
                Found::Watch(open) => {
                    opened.jobs.push(open.watch().unwrap());
                    opened.open.push((number, open));
                    "watched"
                }
                Found::Settled(_) => "settled",
                Found::Doubtful(_) => "doubtful",
                Found::Elsewhere(_) => "elsewhere",
            };
            *opened.stood.entry(stood).or_default() += 1;
        }
        opened
    }

    /// What whoever drives a batch does with each end.
    fn take(&self, open: &[(usize, OpenRow)], ended: &Ended) -> Ending {
        let (number, open) = &open[ended.index];
        let ending = open.settle(&ended.result).unwrap();
        if ended.result.is_ok() {
            let path = self.rows[*number].0.target.clone().unwrap();
            std::fs::write(&path, "picture").unwrap();
            open.landed(0, &path).unwrap();
        }
        ending
    }

    /// Runs the batch with the blocking client, up to so many ends; how the rows stood before.
    fn run(&self, ledger: &Ledger, most: usize, stop: Stop) -> BTreeMap<&'static str, usize> {
        let Opened { jobs, open, stood } = self.open(ledger);
        let mut running = self.blocking().run_many(jobs, Widths::default());
        for _ in 0..most {
            let Some(ended) = running.next() else { break };
            self.take(&open, &ended);
        }
        if stop == Stop::InOrder {
            running.stopper().stop();
            for ended in running.by_ref() {
                self.take(&open, &ended);
            }
        }
        drop(running);
        drop(open);
        ledger.store().flush().unwrap();
        stood
    }

    /// The same with the async client, stopped in order.
    async fn run_async(&self, ledger: &Ledger, most: usize) -> BTreeMap<&'static str, usize> {
        let Opened { jobs, open, stood } = self.open(ledger);
        let client = self.asynchronous();
        let mut running = client.run_many(jobs, Widths::default());
        let mut ends = 0;
        while let Some(ended) = running.next().await {
            self.take(&open, &ended);
            ends += 1;
            if ends == most {
                running.stop();
            }
        }
        ledger.store().flush().unwrap();
        stood
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

    fn list(&self, store: &dyn JournalStore, which: Which) -> Vec<effects_core::Record> {
        store.list(&Filter { which, limit: usize::MAX, ..Filter::default() }).unwrap()
    }

    /// Every row has its picture, has failed, or is a person's to find out about.
    fn check_the_end(&self, store: &dyn JournalStore) {
        self.check(store);
        let rows = self.list(store, Which::All);
        assert_eq!(rows.len(), self.rows.len());
        let mut cost = Decimal::ZERO;
        for record in rows {
            match &record.standing {
                Standing::Completed { pictures, .. } => {
                    assert!(pictures[0].path.as_ref().is_some_and(|path| path.is_file()));
                }
                Standing::Failed { .. } | Standing::Doubtful { .. } => {}
                other => panic!("{other:?}"),
            }
            cost += record.standing.cost().unwrap_or_default();
        }
        let spend = store.spend(SpendBy::Template, None).unwrap();
        assert_eq!(spend.iter().map(|spend| spend.cost).sum::<Decimal>(), cost);
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stop {
    InOrder,
    /// The iterator is dropped: nobody hears the ends still to come.
    Dropped,
}

/// Everything that can become of a create, and looks that go wrong in passing.
fn faults() -> FaultPlan {
    let create = |fault| FaultRule::on(Endpoint::Create, fault);
    let look = |fault| FaultRule::on(Endpoint::Task, fault);
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
    let world = World::new(120, faults());
    for (most, stop) in [(25, Stop::InOrder), (25, Stop::Dropped), (usize::MAX, Stop::InOrder)] {
        let ledger = Ledger::new(world.journal());
        world.run(&ledger, most, stop);
        world.check(&**ledger.store());
    }
    let ledger = Ledger::new(world.journal());
    world.check_the_end(&**ledger.store());
    let seen = world.counts().creates_seen;

    // Nothing is left to do, and nothing is done.
    let stood = world.run(&ledger, usize::MAX, Stop::InOrder);
    assert_eq!(stood.keys().copied().collect::<Vec<_>>(), ["doubtful", "settled"]);
    assert_eq!(world.counts().creates_seen, seen);

    // A picture that is lost is fetched again, and not paid again.
    let missing = world.list(&**ledger.store(), Which::All).into_iter().find_map(|record| {
        match record.standing {
            Standing::Completed { pictures, .. } => pictures[0].path.clone(),
            _ => None,
        }
    });
    let missing: PathBuf = missing.unwrap();
    std::fs::remove_file(&missing).unwrap();
    let stood = world.run(&ledger, usize::MAX, Stop::InOrder);
    assert_eq!(stood["watched"], 1);
    assert!(missing.is_file());
    world.check_the_end(&**ledger.store());
    assert_eq!(world.counts().creates_seen, seen);

    // Failed rows are paid anew on purpose alone, once each.
    let failed = |store: &dyn JournalStore| -> Vec<Row> {
        let rows = world.list(store, Which::All).into_iter();
        rows.filter(|row| row.standing.name() == "failed").map(|row| row.row).collect()
    };
    let before = failed(&**ledger.store());
    assert!(!before.is_empty());
    world.emulator.follow(FaultPlan::none()).unwrap();
    let retrying = ledger.clone().retrying_failed(1);
    let stood = world.run(&retrying, usize::MAX, Stop::InOrder);
    assert_eq!(stood["submitted"], before.len());
    assert!(failed(&**ledger.store()).is_empty());
    for ((row, _), accepted) in world.rows.iter().zip(world.accepted()) {
        let most = if before.contains(row) { 2 } else { 1 };
        assert!(accepted <= most, "{} {accepted}", row.image);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_async_client_does_the_same_and_takes_up_what_the_blocking_one_left() {
    let world = World::new(120, faults());
    for most in [25, usize::MAX] {
        let ledger = Ledger::new(world.journal());
        world.run_async(&ledger, most).await;
        world.check(&**ledger.store());
    }
    let ledger = Ledger::new(world.journal());
    world.check_the_end(&**ledger.store());
    let world = Arc::new(world);
    let (moved, blocking) = (Arc::clone(&world), ledger.clone());
    let run = move || moved.run(&blocking, usize::MAX, Stop::InOrder);
    let stood = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!stood.contains_key("submitted") && !stood.contains_key("watched"), "{stood:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_that_race_for_a_batch_one_submits_each_row_and_the_other_is_told() {
    let world = Arc::new(World::new(60, FaultPlan::none()));
    // Two openings of one file are two owners, as two processes are.
    let (first, second) = (Ledger::new(world.journal()), Ledger::new(world.journal()));
    let blocking = world.open::<Arc<dyn effects_core::Journal>>(&first);
    let asynchronous = world.open::<Arc<dyn effects_core::AsyncJournal>>(&second);
    // Both were told to submit all of it.
    assert_eq!((blocking.stood["submitted"], asynchronous.stood["submitted"]), (60, 60));

    let moved = Arc::clone(&world);
    let other = tokio::task::spawn_blocking(move || {
        let client = moved.blocking();
        let running = client.run_many(blocking.jobs, Widths::default());
        let endings = running.map(|ended| (moved.take(&blocking.open, &ended), ended.result));
        endings.collect::<Vec<_>>()
    });
    let client = world.asynchronous();
    let mut running = client.run_many(asynchronous.jobs, Widths::default());
    let mut endings = Vec::new();
    while let Some(ended) = running.next().await {
        endings.push((world.take(&asynchronous.open, &ended), ended.result));
    }
    endings.extend(other.await.unwrap());

    let taken = endings.iter().filter(|(ending, _)| *ending == Ending::Taken).count();
    let effects = endings.iter().filter(|(_, result)| result.is_ok()).count();
    assert_eq!((endings.len(), taken, effects), (120, 60, 60));
    assert_eq!(world.counts().creates_seen, 60);
    first.store().flush().unwrap();
    second.store().flush().unwrap();
    world.check_the_end(&**first.store());
    assert!(world.accepted().iter().all(|accepted| *accepted == 1));
}

#[test]
fn a_single_run_is_journaled_and_counted_and_the_same_again_is_paid_again() {
    let world = World::new(1, FaultPlan::none());
    let ledger = Ledger::new(world.journal());
    let (row, request) = world.rows[0].clone();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let draft = RowDraft {
            origin: row.origin.clone(),
            template: row.template.clone(),
            size: row.size,
            photo: RowPhoto::Url(request.reference().clone()),
            key: None,
            tag: None,
            target: None,
        };
        let open = ledger.begin(draft).unwrap();
        let result = world.blocking().with_journal(open.journal()).run(request.clone());
        open.settle(&result).unwrap();
        tasks.push(result.unwrap().task_id);
    }
    assert_eq!(world.accepted(), [2]);
    let records = world.list(&**ledger.store(), Which::All);
    let known: Vec<_> = records.iter().filter_map(|row| row.standing.task().cloned()).collect();
    assert_eq!(known, tasks);
    // Whoever has the task's id finds its row.
    let Some(Found::Settled(open)) = ledger.follow(&row.origin, &tasks[1]).unwrap() else {
        panic!()
    };
    assert_eq!(open.record().unwrap().number, records[1].number);
    let spend = ledger.store().spend(SpendBy::Template, None).unwrap();
    assert_eq!((spend[0].tasks, spend[0].cost.to_string().as_str()), (2, "0.06"));

    // The key that paid is nowhere in the journal's files.
    drop((open, ledger));
    let key = world.emulator.api_key().as_bytes();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.is_empty() && !bytes.windows(key.len()).any(|window| window == key));
    }
}
