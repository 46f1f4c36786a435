//! Tests of the one driver that runs all tasks of an async client: callers that wait for a run through a
//! `Waiter` and may leave, shared looks, and events that are read slowly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use effects_core::journal::{AsyncJournal, Fact};
use effects_core::{
    Cause, Effect, EffectRequest, Error, ErrorKind, Event, Pace, Policy, TaskId, Template,
};
use effects_emulator::{Emulator, Latency, Pictures};
use effects_reqwest::{Client, Waiter};
use effects_tests::{RecordingJournal, setup_at};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

type RunResult = Result<Effect, Error>;

/// A caller that waits for a run, and may leave.
#[derive(Default)]
struct TestWaiter {
    sender: Mutex<Option<oneshot::Sender<RunResult>>>,
    left: AtomicBool,
}

impl Waiter for TestWaiter {
    fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    fn on_end(self: Arc<Self>, result: RunResult) {
        let sender = self.sender.lock().unwrap().take().expect("a run ends once");
        sender.send(result).unwrap();
    }
}

fn test_waiter() -> (Arc<TestWaiter>, oneshot::Receiver<RunResult>) {
    let (sender, end) = oneshot::channel();
    (Arc::new(TestWaiter { sender: Mutex::new(Some(sender)), ..TestWaiter::default() }), end)
}

fn request(row: usize) -> EffectRequest {
    EffectRequest::new(Template::GlassBall, &format!("https://example.com/{row}.jpg")).unwrap()
}

fn client(emulator: &Emulator) -> Client {
    setup_at(emulator.base_url(), emulator.api_key()).builder().unwrap().build().unwrap()
}

/// One whose tasks take long enough to leave them.
fn slow_emulator() -> Emulator {
    let slow = Latency::fixed(Duration::from_millis(400));
    Emulator::builder().pictures(Pictures::Stub).latency(slow).start().unwrap()
}

/// A journal, and the tasks whose ids reach it.
fn watched_journal() -> (RecordingJournal, UnboundedReceiver<TaskId>) {
    let journal = RecordingJournal::default();
    let (created, creations) = unbounded_channel();
    journal.watch(move |entry| {
        if let Fact::Created { task_id, .. } = &entry.fact {
            created.send(task_id.clone()).unwrap();
        }
    });
    (journal, creations)
}

#[tokio::test]
async fn each_run_ends_once_for_each_caller_that_waits_for_it() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let client = client(&emulator);
    let mut ends = Vec::new();
    for row in 0..300 {
        let (test_waiter, end) = test_waiter();
        client.begin(request(row), None, test_waiter);
        ends.push(end);
    }
    assert_eq!(client.runs_under_way(), 300);
    // The runs in it go on to their ends without it.
    drop(client);
    let mut ids = Vec::new();
    for end in ends {
        ids.push(end.await.unwrap().unwrap().task_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 300);
}

#[tokio::test]
async fn a_caller_that_leaves_is_told_what_was_known_and_the_others_go_on() {
    let emulator = slow_emulator();
    let client = client(&emulator);
    let (journal, mut creations) = watched_journal();
    let (leaver, left) = test_waiter();
    let journal: Arc<dyn AsyncJournal> = Arc::new(journal);
    client.begin(request(0), Some(journal), Arc::clone(&leaver) as Arc<dyn Waiter>);
    let (stayer, stays) = test_waiter();
    client.begin(request(1), None, stayer);
    let task = creations.recv().await.unwrap();
    leaver.left.store(true, Ordering::SeqCst);
    client.stop_abandoned();
    let error = left.await.unwrap().unwrap_err();
    assert!(matches!(error.cause(), Cause::Detached(_)), "{error}");
    assert_eq!(error.task_id(), Some(&task));
    assert!(stays.await.unwrap().is_ok());
    assert_eq!(client.runs_under_way(), 0);
}

/// A future that is dropped is a caller that left.
#[tokio::test]
async fn a_dropped_future_stops_its_run_and_no_other() {
    let emulator = slow_emulator();
    let (journal, mut creations) = watched_journal();
    let client = client(&emulator).with_journal(Arc::new(journal));
    tokio::select! {
        _ = client.run(request(0)) => panic!("its task takes longer than that"),
        created = creations.recv() => drop(created.unwrap()),
    }
    let effect = client.run(request(1)).await.unwrap();
    let tasks = emulator.tasks();
    assert_eq!(tasks.len(), 2);
    let looks = |id: &str| {
        emulator.requests().iter().filter(|it| it.method == "GET" && it.path.contains(id)).count()
    };
    let other = tasks.iter().find(|task| task.id != effect.task_id.as_str()).unwrap();
    // Each is looked at every five milliseconds or so, for as long as a caller waits for it.
    assert!(looks(&other.id) < looks(effect.task_id.as_str()) / 2);
}

/// Callers that leave one after the other, before the driver has its turn: their runs are not sent.
#[tokio::test]
async fn what_callers_left_before_it_began_is_not_sent() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let client = client(&emulator);
    // The driver is there, and waits.
    client.run(request(0)).await.unwrap();
    for row in 1..4 {
        let mut run = Box::pin(client.run(request(row)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut context).is_pending());
    }
    let (last, left) = test_waiter();
    last.left.store(true, Ordering::SeqCst);
    client.begin(request(4), None, last);
    let error = left.await.unwrap().unwrap_err();
    assert!(matches!(error.cause(), Cause::Detached(_)), "{error}");
    client.run(request(5)).await.unwrap();
    assert_eq!(emulator.tasks().len(), 2, "no caller waits for the others");
}

#[tokio::test]
async fn what_the_journal_does_not_take_is_not_sent() {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let client = client(&emulator);
    let (test_waiter, end) = test_waiter();
    let journal: Arc<dyn AsyncJournal> = Arc::new(RecordingJournal::failing_after(0));
    client.begin(request(0), Some(journal), test_waiter);
    let error = end.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert!(emulator.tasks().is_empty());
    assert!(client.run(request(1)).await.is_ok());
}

/// How often a task was looked at.
fn looks(emulator: &Emulator) -> usize {
    emulator.requests().iter().filter(|seen| seen.method == "GET").count()
}

/// Runs of one task share its looks, but for one whose events are read: each of its looks is told.
#[tokio::test]
async fn events_are_told_though_another_run_waits_for_the_same_task() {
    let emulator = slow_emulator();
    let client = client(&emulator);
    let task = client.submit(request(0)).await.unwrap();
    let waiting = tokio::spawn({
        let task = task.clone();
        async move { task.wait().await }
    });
    // Until the first run looks: the second one then finds a poller under way.
    while looks(&emulator) == 0 {
        tokio::task::yield_now().await;
    }
    let mut events = task.events();
    let mut running = 0;
    while let Some(event) = events.next().await {
        running += usize::from(matches!(event, Event::Running { .. }));
    }
    // The task takes 400 ms, and looks at it are a few milliseconds apart.
    assert!(running > 3, "{running}");
    assert!(events.finish().await.is_ok());
    assert!(waiting.await.unwrap().is_ok());
}

/// A reader who does not read costs no looks, and misses nothing.
#[tokio::test]
async fn a_run_looks_one_event_ahead_of_its_reader() {
    let hour = Latency::fixed(Duration::from_secs(3600));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(hour).start().unwrap();
    let client = client(&emulator);
    let mut events = client.task(client.submit(request(0)).await.unwrap().id().clone()).events();
    for read in 1..=3 {
        assert!(matches!(events.next().await, Some(Event::Running { .. })));
        while looks(&emulator) < read + 1 {
            tokio::task::yield_now().await;
        }
        // As much time passes as another run takes for two looks.
        let others = client.with_policy(client.policy().clone());
        let mut watch = others.task("other".parse().unwrap()).events();
        let before = looks(&emulator);
        for _ in 0..2 {
            watch.next().await;
        }
        drop(watch);
        let mine =
            |id: &str| emulator.requests().iter().filter(|seen| seen.path.ends_with(id)).count();
        assert_eq!(mine(emulator.tasks()[0].id.as_str()), read + 1);
        assert!(looks(&emulator) > before);
    }
}

/// What `submit` returns is the task's id: whether the task has ended is for a later call to find out. A look
/// of its own would go unread, and might be the one that shows the end.
#[tokio::test]
async fn a_submission_by_itself_never_looks_at_its_task() {
    let hour = Latency::fixed(Duration::from_secs(3600));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(hour).start().unwrap();
    let client = client(&emulator);
    // Without a pause, so that a look which should not be made would be made at once.
    let hasty = Policy { pace: Pace::fixed(Duration::ZERO), ..client.policy().clone() };
    let client = client.with_policy(hasty);
    for number in 1..=20 {
        let task = client.submit(request(number)).await.unwrap();
        assert_eq!(client.runs_under_way(), 0);
        // A look that left before this one was there before it.
        task.status().await.unwrap();
        assert_eq!(looks(&emulator), number);
    }
}
