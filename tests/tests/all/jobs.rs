//! Many jobs at once, through both clients: an iterator and a stream with one behaviour.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use effects_client::{Job, JobJournals, JobOptions, JobResult, RunJobs, Save, SaveFiles};
use effects_core::batch::BatchLimits;
use effects_core::journal::AsyncJournal;
use effects_core::{EffectRequest, Error, ErrorKind, TaskId, Template};
use effects_emulator::{Emulator, Endpoint, Fault, FaultPlan, FaultRule, Latency, Pictures};
use effects_jobs::{JobLimits, JournalStore, MemoryStore};
use effects_testkit::http::{Behaviour, Response};
use effects_tests::{Capture, ClientSetup, RecordingJournal, ScenarioWorld, TASK, setup, setup_at};
use futures_util::StreamExt;

#[derive(Clone, Copy, Debug)]
enum ClientKind {
    Blocking,
    Async,
}

const KINDS: [ClientKind; 2] = [ClientKind::Blocking, ClientKind::Async];

/// A client of either kind.
enum Client {
    Blocking(effects_ureq::Client),
    Async(effects_reqwest::Client, tokio::runtime::Runtime),
}

/// The results of either client.
enum ClientResults<'a> {
    Blocking(effects_ureq::JobResults),
    Async(effects_reqwest::JobResults, &'a tokio::runtime::Runtime),
}

impl Client {
    fn new(kind: ClientKind, setup: &ClientSetup, journal: &RecordingJournal) -> Self {
        match kind {
            ClientKind::Blocking => {
                let client: effects_ureq::Client = setup.builder().unwrap().build().unwrap();
                Self::Blocking(client.with_journal(Arc::new(journal.clone())))
            }
            ClientKind::Async => {
                let client: effects_reqwest::Client = setup.builder().unwrap().build().unwrap();
                let client = client.with_journal(Arc::new(journal.clone()));
                let runtime = tokio::runtime::Builder::new_multi_thread();
                Self::Async(client, { runtime }.worker_threads(2).enable_all().build().unwrap())
            }
        }
    }

    fn run<I>(&self, jobs: I, batch_limits: BatchLimits) -> ClientResults<'_>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let limits = Some(batch_limits.into());
        self.run_with(JobOptions { limits, ..JobOptions::default() }, jobs)
    }

    fn run_with<I>(&self, options: JobOptions, jobs: I) -> ClientResults<'_>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        match self {
            Self::Blocking(client) => {
                ClientResults::Blocking(client.run_jobs(options, jobs).unwrap())
            }
            Self::Async(client, runtime) => {
                let _inside = runtime.enter();
                ClientResults::Async(client.run_jobs(options, jobs).unwrap(), runtime)
            }
        }
    }

    fn pacer(&self) -> &effects_core::pace::Pacer {
        match self {
            Self::Blocking(client) => client.pacer(),
            Self::Async(client, _) => client.pacer(),
        }
    }

    /// Runs so many requests one after the other: time in which others could do much.
    fn run_some(&self, count: u32) {
        for nth in 0..count {
            let request = request(1_000_000 + nth);
            let effect = match self {
                Self::Blocking(client) => client.run(request),
                Self::Async(client, runtime) => runtime.block_on(client.run(request)),
            };
            effect.unwrap();
        }
    }
}

impl ClientResults<'_> {
    fn stop(&self) {
        match self {
            Self::Blocking(results) => results.handle().stop(),
            Self::Async(results, _) => results.handle().stop(),
        }
    }
}

impl Iterator for ClientResults<'_> {
    type Item = JobResult;

    fn next(&mut self) -> Option<JobResult> {
        match self {
            Self::Blocking(results) => results.next(),
            Self::Async(results, runtime) => runtime.block_on(results.next()),
        }
    }
}

fn request(row: u32) -> EffectRequest {
    let photo = format!("https://photos.example.com/{row}.jpg");
    EffectRequest::new(Template::GlassBall, photo.as_str()).unwrap()
}

fn job(row: u32) -> Job {
    request(row).into()
}

fn watch(task: &str) -> Job {
    let task: TaskId = task.parse().unwrap();
    Job::watch(task, Some(Template::GlassBall), None)
}

fn emulator(latency: u64) -> (Emulator, ClientSetup) {
    let latency = Latency::fixed(Duration::from_millis(latency));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(latency).start().unwrap();
    let setup = setup_at(emulator.base_url(), emulator.api_key());
    (emulator, setup)
}

fn batch_limits(tasks: u32) -> BatchLimits {
    BatchLimits { submissions: 8, tasks, polls_per_second: 10_000.0 }
}

fn error_of(result: &JobResult) -> &Error {
    result.error().unwrap_or_else(|| panic!("{result:?}"))
}

/// Waits for something that comes of itself.
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} never came");
        std::thread::yield_now();
    }
}

#[test]
fn every_job_ends_once_under_its_own_number() {
    for kind in KINDS {
        let (emulator, setup) = emulator(20);
        let journal = RecordingJournal::default();
        let client = Client::new(kind, &setup, &journal);
        let ends: Vec<JobResult> = client.run((0..60).map(job), batch_limits(16)).collect();
        let numbers: BTreeSet<usize> = ends.iter().map(|ended| ended.index).collect();
        assert_eq!((ends.len(), numbers), (60, (0..60).collect()), "{kind:?}");
        let tasks: BTreeSet<String> = ends
            .into_iter()
            .map(|ended| ended.into_result().unwrap().task_id.to_string())
            .collect();
        let counts = emulator.counts();
        assert_eq!((tasks.len(), counts.accepted), (60, 60));
        assert!(counts.by_body.values().all(|paid| *paid == 1));
        // An intent and an id for each, and something learnt for the next.
        assert_eq!(journal.facts().len(), 120);
        assert!(!client.pacer().histories()[&Some(Template::GlassBall.into())].is_empty());
    }
}

#[test]
fn a_stream_is_a_stream() {
    let (_emulator, setup) = emulator(0);
    let Client::Async(client, runtime) =
        Client::new(ClientKind::Async, &setup, &RecordingJournal::default())
    else {
        unreachable!("asked for")
    };
    let ended: Vec<JobResult> = runtime.block_on(async {
        let requests: Vec<EffectRequest> = (0..200).map(request).collect();
        client.jobs().limits(batch_limits(16)).run(requests).unwrap().collect().await
    });
    assert_eq!(ended.len(), 200);
}

/// Of an endless list, no more is drawn than is read, in flight, or waits to be read: 64 ends and
/// those in flight.
#[test]
fn a_slow_reader_of_an_endless_list_holds_it_up_and_no_id_is_held_up() {
    // How many results the clients hold for a reader before they draw no more.
    const FULL: usize = 64;
    const TASKS: usize = 8;
    for kind in KINDS {
        let (emulator, setup) = emulator(0);
        let journal = RecordingJournal::default();
        let client = Client::new(kind, &setup, &journal);
        let drawn = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&drawn);
        let endless = (0..).map(move |row| {
            counter.fetch_add(1, Ordering::SeqCst);
            job(row)
        });
        let mut results = client.run(endless, batch_limits(TASKS as u32));
        for read in 0..100 {
            if read == 10 {
                // No result is read, and everything that was begun still comes to its end: each task's id
                // reaches the journal.
                wait_until("as much as may wait unread", || {
                    let facts = journal.facts();
                    facts.iter().filter(|fact| fact.starts_with("created")).count() >= read + FULL
                });
                client.run_some(40);
            }
            let drawn = drawn.load(Ordering::SeqCst);
            assert!(drawn <= read + FULL + TASKS, "{kind:?}: {drawn} drawn, {read} read");
            assert!(results.next().unwrap().is_completed());
        }
        assert!(emulator.counts().accepted >= 140);
    }
}

#[test]
fn dropping_it_submits_nothing_more_and_loses_no_id() {
    for kind in KINDS {
        let (emulator, setup) = emulator(0);
        let journal = RecordingJournal::default();
        let client = Client::new(kind, &setup, &journal);
        let mut results = client.run((0..).map(job), batch_limits(8));
        (0..20).for_each(|_| assert!(results.next().unwrap().is_completed()));
        drop(results);
        let count =
            |what: &str| journal.facts().iter().filter(|fact| fact.starts_with(what)).count();
        // What was on its way has arrived, or never left.
        wait_until("an end to every intent", || {
            count("intent") == count("created") + count("released")
        });
        // In the blocking client that is so at once; in the async one the driver may be between two
        // steps, so others' work is done first.
        client.run_some(20);
        let (accepted, created) = (emulator.counts().accepted, count("created"));
        assert_eq!(accepted, created as u64, "{kind:?}");
        client.run_some(20);
        assert_eq!(emulator.counts().accepted, accepted + 20, "{kind:?}");
    }
}

#[test]
fn a_stop_ends_an_endless_list_and_tells_each_what_is_known_of_it() {
    for kind in KINDS {
        // Tasks of an hour: none ends before the stop.
        let (emulator, setup) = emulator(3_600_000);
        let journal = RecordingJournal::default();
        let client = Client::new(kind, &setup, &journal);
        let results = client.run((0..).map(job), batch_limits(8));
        wait_until("eight tasks", || emulator.counts().accepted == 8);
        // An intent and an id for each.
        wait_until("eight ids", || journal.facts().len() == 16);
        results.stop();
        let ends: Vec<JobResult> = results.collect();
        let known = ends.iter().filter(|ended| {
            let error = error_of(ended);
            assert_eq!(error.kind(), ErrorKind::Detached, "{error}");
            error.task_id().is_some()
        });
        assert_eq!(known.count(), 8, "{kind:?}");
        assert_eq!(emulator.counts().accepted, 8);
    }
}

#[test]
fn what_the_journal_does_not_take_is_not_sent_and_the_job_says_so() {
    for kind in KINDS {
        let (emulator, setup) = emulator(0);
        let client = Client::new(kind, &setup, &RecordingJournal::failing_after(11));
        let ends: Vec<JobResult> = client.run((0..30).map(job), batch_limits(4)).collect();
        // A journal that takes nothing more would refuse every other job too: they are not begun.
        assert!(ends.len() < 30, "{kind:?}");
        let failed = ends.iter().filter_map(JobResult::error);
        let failed: Vec<_> = failed.inspect(|e| assert_eq!(e.kind(), ErrorKind::Journal)).collect();
        // Eleven entries: at least one of them an id, and no submission without its intent.
        let accepted = emulator.counts().accepted as usize;
        assert!((1..11).contains(&accepted), "{accepted}");
        // A task whose id could not be kept is named all the same.
        let named = failed.iter().filter(|error| error.task_id().is_some()).count();
        let completed = ends.iter().filter(|ended| ended.is_completed()).count();
        assert_eq!(completed + named, accepted, "{kind:?}");
    }
}

#[test]
fn two_jobs_that_watch_one_task_share_its_looks() {
    for kind in KINDS {
        let world = ScenarioWorld::new().unwrap();
        world.looks([world.running(), world.running(), world.completed()]);
        let client = Client::new(kind, &setup(&world), &RecordingJournal::default());
        let plans = [watch(TASK), watch(TASK)];
        let ends: Vec<JobResult> = client.run(plans.into_iter(), batch_limits(4)).collect();
        assert_eq!(ends.len(), 2);
        for ended in ends {
            assert_eq!(ended.into_result().unwrap().task_id.as_str(), TASK, "{kind:?}");
        }
        assert_eq!(world.gateway.requests().len(), 3, "{kind:?}");
    }
}

#[test]
fn what_exceeds_the_budget_is_refused_unsent() {
    for kind in KINDS {
        let (emulator, setup) = emulator(5);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        // At 0.03 USD a picture. Without a given price the first task tells it.
        for (limit, price, paid) in [("0.10", Some("0.03"), 3), ("0.07", None, 2)] {
            let before = emulator.counts().accepted;
            let price = price.map(|price| price.parse().unwrap());
            let budget = Some(limit.parse().unwrap());
            let limits = Some(batch_limits(8).into());
            let options = JobOptions { budget, price, limits, ..JobOptions::default() };
            let ends: Vec<_> = client.run_with(options, (0..10).map(job)).collect();
            let refused = ends.iter().filter_map(JobResult::error);
            let refused = refused.inspect(|e| assert_eq!(e.kind(), ErrorKind::BudgetExceeded));
            assert_eq!(refused.count(), 10 - paid, "{kind:?}");
            assert_eq!(emulator.counts().accepted - before, paid as u64);
        }
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_before_anything_is_drawn() {
    let (emulator, setup) = emulator(0);
    for kind in KINDS {
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let of = |budget: &str, price: &str, scope: Option<&str>| JobOptions {
            budget: Some(budget.parse().unwrap()),
            price: Some(price.parse().unwrap()),
            scope: scope.map(str::to_owned),
            ..JobOptions::default()
        };
        let limited = |limits| JobOptions { limits: Some(limits), ..JobOptions::default() };
        for (options, message) in [
            (of("1.00", "0", None), "a price of 0 USD limits nothing"),
            (of("-1", "0.03", None), "a budget of -1 USD is below 0"),
            (of("1.00", "0.03", Some("spring")), "scope \"spring\" is shared through a journal"),
            (JobOptions { in_flight: Some(0), ..JobOptions::default() }, "in_flight is 0"),
            (limited(batch_limits(0).into()), "limits.batch.tasks is 0"),
            (
                JobOptions { in_flight: Some(2), ..limited(batch_limits(4).into()) },
                "give limits.batch.tasks alone",
            ),
            (limited(JobLimits { uploads: 0, ..JobLimits::of_tasks(4) }), "limits.uploads is 0"),
            (
                limited(JobLimits { downloads: 0, ..JobLimits::of_tasks(4) }),
                "limits.downloads is 0",
            ),
        ] {
            // Jobs may come from a source that cannot be read twice.
            let untouched = std::iter::from_fn(|| panic!("it was drawn"));
            let refused = match &client {
                Client::Blocking(client) => client.run_jobs(options, untouched).err(),
                Client::Async(client, runtime) => {
                    let _inside = runtime.enter();
                    client.run_jobs(options, untouched).err()
                }
            };
            let error = refused.unwrap();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(message), "{kind:?}: {error}");
        }
    }
    assert_eq!(emulator.counts().creates_seen, 0);
}

#[test]
fn a_result_that_is_dropped_unread_is_told_of_where_no_journal_has_its_task() {
    let (capture, _listening) = Capture::on_this_thread();
    let told = || capture.lines().iter().filter(|line| line.contains("reached no caller")).count();
    let (emulator, setup) = emulator(0);
    let begun = Instant::now();
    let has_ended = |accepted, running| {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never ended");
        emulator.counts().accepted == accepted && running == 0
    };
    let request = || EffectRequest::new(Template::GlassBall, "https://example.com/a.png").unwrap();
    let client: effects_ureq::Client = setup.builder().unwrap().build().unwrap();
    let results = client.jobs().run([request()]).unwrap();
    while !has_ended(1, results.handle().running()) {
        std::thread::yield_now();
    }
    drop(results);
    assert_eq!(told(), 1, "{:#?}", capture.lines());
    let client: effects_reqwest::Client = setup.builder().unwrap().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let results = client.jobs().run([request()]).unwrap();
        while !has_ended(2, results.handle().running()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(told(), 2, "{:#?}", capture.lines());
}

/// A task of an earlier run that fails once this one follows it may be paid for anew, too.
#[test]
fn a_resumed_task_that_fails_is_paid_for_anew_where_that_is_asked_for() {
    for kind in KINDS {
        let (emulator, setup) = emulator(700);
        let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).nth(1);
        emulator.follow(FaultPlan::none().with(fails)).unwrap();
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let store: Arc<dyn JournalStore> = Arc::new(MemoryStore::new());
        let options = |retry_failed| JobOptions {
            store: Some(Arc::clone(&store)),
            retry_failed,
            ..JobOptions::default()
        };
        let left = client.run_with(options(1), std::iter::once(job(1)));
        wait_until("a task", || emulator.counts().accepted == 1);
        left.stop();
        assert_eq!(left.count(), 1, "{kind:?}");
        let results: Vec<_> = client.run_with(options(1), std::iter::once(job(1))).collect();
        assert!(results[0].is_completed(), "{kind:?}: {results:?}");
        assert_eq!(emulator.counts().accepted, 2, "{kind:?}");
    }
}

#[test]
fn equal_jobs_are_two_pictures_with_a_journal_and_without() {
    for kind in KINDS {
        let (_emulator, setup) = emulator(0);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let folder = tempfile::tempdir().unwrap();
        for store in [None, Some(Arc::new(MemoryStore::new()) as Arc<dyn JournalStore>)] {
            let files = SaveFiles { folder: Some(folder.path().into()), ..SaveFiles::default() };
            let journaled = store.is_some();
            let options = JobOptions { store, save: Save::Files(files), ..JobOptions::default() };
            let jobs = [job(u32::from(journaled)), job(u32::from(journaled))];
            let results: Vec<_> = client.run_with(options, jobs.into_iter()).collect();
            assert!(results.iter().all(JobResult::is_completed), "{kind:?}: {results:?}");
            assert_ne!(results[0].files, results[1].files);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}

#[test]
fn keys_count_within_a_scope_and_a_url_is_one_job_however_it_is_written() {
    for kind in KINDS {
        let (emulator, setup) = emulator(0);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let store: Arc<dyn JournalStore> = Arc::new(MemoryStore::new());
        let paid = |scope: Option<&str>, job: Job| {
            let options = JobOptions {
                store: Some(Arc::clone(&store)),
                scope: scope.map(str::to_owned),
                ..JobOptions::default()
            };
            let results: Vec<_> = client.run_with(options, std::iter::once(job)).collect();
            assert!(results[0].is_completed(), "{kind:?}: {results:?}");
            emulator.counts().accepted
        };
        let job = |url: &str| Job::url(Template::GlassBall, url).unwrap();
        assert_eq!(paid(None, job("https://example.com/a.jpg").with_key("1")), 1);
        // The same picture, before its order had a name; another one, in an order of its own.
        assert_eq!(paid(Some("march"), job("https://example.com/a.jpg").with_key("1")), 1);
        assert_eq!(paid(Some("march"), job("https://example.com/b.jpg").with_key("1")), 2);
        assert_eq!(paid(Some("april"), job("https://example.com/c.jpg").with_key("1")), 3);
        assert_eq!(paid(Some("march"), job("https://EXAMPLE.com:443/b.jpg#x").with_key("1")), 3);
        assert_eq!(paid(None, job("https://example.com/d.jpg")), 4);
        assert_eq!(paid(None, job("HTTPS://Example.com/d.jpg")), 4);
    }
}

#[test]
fn a_photo_that_is_found_damaged_is_not_paid_for() {
    let photo = include_bytes!("../../../examples/chelsea.png");
    for kind in KINDS {
        let (emulator, setup) = emulator(0);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let folder = tempfile::tempdir().unwrap();
        let job = |name: &str| {
            // The name behind the picture makes each file another photo.
            std::fs::write(folder.path().join(name), [&photo[..], name.as_bytes()].concat())
                .unwrap();
            Job::photo(Template::GlassBall, folder.path().join(name))
        };
        let calls = Arc::new(AtomicUsize::new(0));
        let called = Arc::clone(&calls);
        let options = JobOptions {
            check_photo: Some(Arc::new(move |photo| {
                called.fetch_add(1, Ordering::SeqCst);
                match photo.bytes().ends_with(b"half.png") {
                    true => Err("it ends in the middle".to_owned()),
                    false => Ok(()),
                }
            })),
            ..JobOptions::default()
        };
        let jobs = [job("whole.png"), job("half.png"), job("whole.png")];
        let results = client.run_with(options, jobs.into_iter());
        let refused: Vec<_> = results.filter(|result| !result.is_completed()).collect();
        assert_eq!((refused.len(), refused[0].index), (1, 1), "{kind:?}: {refused:?}");
        let outcome = format!("{:?}", refused[0].outcome);
        assert!(outcome.contains("half.png: it ends in the middle; nothing was sent"), "{outcome}");
        assert_eq!(emulator.counts().accepted, 2);
        assert!(calls.load(Ordering::SeqCst) <= 3, "{calls:?}");
    }
}

/// Gives every third job another journal.
struct EveryThird {
    thirds: RecordingJournal,
    others: RecordingJournal,
}

impl JobJournals for EveryThird {
    fn journal(&self, index: usize, _row: Option<Arc<dyn AsyncJournal>>) -> Arc<dyn AsyncJournal> {
        Arc::new(if index.is_multiple_of(3) { self.thirds.clone() } else { self.others.clone() })
    }
}

#[test]
fn a_jobs_own_journal_has_its_entries_and_no_other_has() {
    let (_emulator, setup) = emulator(0);
    let (thirds, others) = (RecordingJournal::default(), RecordingJournal::default());
    let client = Client::new(ClientKind::Async, &setup, &RecordingJournal::default());
    let journals = EveryThird { thirds: thirds.clone(), others: others.clone() };
    let limits = Some(batch_limits(2).into());
    let options =
        JobOptions { limits, journals: Some(Arc::new(journals)), ..JobOptions::default() };
    assert_eq!(client.run_with(options, (0..6).map(job)).count(), 6);
    assert_eq!((thirds.facts().len(), others.facts().len()), (4, 8));
}

/// More exchanges at once than the blocking client has workers: none waits with its time running
/// out, so that what never left is never taken for lost.
#[test]
fn a_call_waits_for_no_worker_while_its_time_runs() {
    for kind in KINDS {
        let world = ScenarioWorld::new().unwrap();
        let created = |row: u32| {
            let answer = Response::json(format!(r#"{{"id":"t-{row}","status":"in_progress"}}"#));
            Behaviour::with(move |_| {
                // A hundred of these in a row would take twenty times the limit of one request.
                std::thread::sleep(Duration::from_millis(200));
                answer.clone().into()
            })
        };
        world.creates((0..100).map(created));
        let done = world.completed();
        world.gateway.on("GET", "/model/v1/generation/task/*", vec![done; 100]);
        let mut setup = setup(&world);
        setup.policy.request_timeout = Duration::from_secs(1);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let wide = BatchLimits { submissions: 100, tasks: 100, polls_per_second: 1_000.0 };
        let ends = client.run((0..100).map(job), wide);
        for ended in ends {
            assert!(ended.is_completed(), "{kind:?}: {ended:?}");
        }
    }
}

/// The HTTP client tells of the answer's end at the very moment at which the batch's patience ends.
#[test]
fn an_id_that_came_before_its_answer_timed_out_is_kept() {
    for kind in KINDS {
        let world = ScenarioWorld::new().unwrap();
        let half = |row: u32| {
            let answer = Response::json(format!(r#"{{"id":"t-{row}","status":"in_progress"}}"#));
            Behaviour::HangAfter { response: answer, body_bytes: 14 }
        };
        world.creates((0..20).map(half));
        let done = world.completed();
        world.gateway.on("GET", "/model/v1/generation/task/*", vec![done; 20]);
        let mut setup = setup(&world);
        setup.policy.request_timeout = Duration::from_secs(1);
        let client = Client::new(kind, &setup, &RecordingJournal::default());
        let ends = client.run((0..20).map(job), batch_limits(20));
        for ended in ends {
            assert!(ended.is_completed(), "{kind:?}: {ended:?}");
        }
    }
}
