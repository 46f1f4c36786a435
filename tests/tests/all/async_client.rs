//! Tests of the async client, `effects_reqwest::Client`, beyond the scenarios: futures that are dropped at
//! any moment, many runs at once, a journal that fails, uploads and jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use effects_core::batch::BatchLimits;
use effects_core::{EffectRequest, Error, ErrorKind, Event, Pace, Policy, Template};
use effects_jobs::Photo;
use effects_reqwest::Client;
use effects_testkit::http::{Behaviour, Response, ScriptedServer};
use effects_tests::{
    Capture, Gate, PHOTO_URL, RecordingJournal, ScenarioWorld, TASK, setup, task_path,
};

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap()
}

fn client(
    world: &ScenarioWorld,
    journal: &RecordingJournal,
    adjust: impl FnOnce(&mut Policy),
) -> Client {
    let mut setup = setup(world);
    adjust(&mut setup.policy);
    let client: Client = setup.builder().unwrap().build().unwrap();
    client.with_journal(Arc::new(journal.clone()))
}

/// Waits off the runtime.
async fn off_runtime<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

fn count(world: &ScenarioWorld, method: &str) -> usize {
    world.gateway.requests().iter().filter(|seen| seen.method == method).count()
}

/// One of the client's ways to submit.
type SubmitWay = fn(Client) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

const WAYS: [SubmitWay; 3] = [
    |client| Box::pin(async move { drop(client.run(request()).await) }),
    |client| Box::pin(async move { drop(client.submit(request()).await) }),
    |client| {
        Box::pin(async move {
            let mut watch = client.watch(request());
            while watch.next().await.is_some() {}
        })
    },
];

#[tokio::test]
async fn dropping_the_future_during_the_post_loses_no_id() {
    for way in WAYS {
        let (world, journal) =
            (Arc::new(ScenarioWorld::new().unwrap()), RecordingJournal::default());
        let (gate, accepted) = Gate::before(world.accepted());
        world.creates([accepted]);
        let running = tokio::spawn(way(client(&world, &journal, |_| {})));
        let observed = Arc::clone(&world);
        off_runtime(move || observed.gateway.wait_for_requests(1, Duration::from_secs(30))).await;

        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(journal.facts(), ["intent"]);
        gate.open();

        let watched = journal.clone();
        let facts = off_runtime(move || watched.wait_for(2)).await;
        assert_eq!(facts, ["intent".to_owned(), format!("created {TASK}")]);
        off_runtime(move || journal.wait_until_alone()).await;
        assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
    }
}

#[tokio::test]
async fn dropping_the_future_between_two_attempts_submits_nothing_more() {
    for way in WAYS {
        let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
        // A minute: what sleeps through it does not end in time for the test.
        world.creates([Response::new(429).header("Retry-After", "60"), world.accepted()]);
        let client = client(&world, &journal, |policy| {
            policy.wait_timeout = Duration::from_secs(3600);
        });
        let running = tokio::spawn(way(client));
        let watched = journal.clone();
        off_runtime(move || watched.wait_for(2)).await;
        running.abort();
        drop(running.await);

        // With the journal, whatever was left running has ended.
        let journal = off_runtime(move || journal.wait_until_alone()).await;
        assert_eq!(count(&world, "POST"), 1, "a submission left after its caller had");
        assert_eq!(journal.facts(), ["intent", "released"]);
    }
}

/// With no journal the log is all that has the id.
#[tokio::test]
async fn a_warning_has_the_id_that_no_caller_waits_for_and_no_journal_keeps() {
    for way in WAYS {
        let (capture, _listening) = Capture::on_this_thread();
        let world = Arc::new(ScenarioWorld::new().unwrap());
        let (gate, accepted) = Gate::before(world.accepted());
        world.creates([accepted]);
        let client: Client = setup(&world).builder().unwrap().build().unwrap();
        let running = tokio::spawn(way(client));
        let observed = Arc::clone(&world);
        off_runtime(move || observed.gateway.wait_for_requests(1, Duration::from_secs(30))).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        gate.open();
        let begun = Instant::now();
        let is_told =
            || capture.lines().iter().any(|line| line.starts_with("WARN") && line.contains(TASK));
        while !is_told() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:#?}", capture.lines());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Its `main` returns early, say.
#[test]
fn a_runtime_that_ends_while_a_submission_is_on_the_way_warns_of_it() {
    let (capture, _listening) = Capture::on_this_thread();
    let world = ScenarioWorld::new().unwrap();
    let (gate, accepted) = Gate::before(world.accepted());
    world.creates([accepted]);
    let client: Client = setup(&world).builder().unwrap().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let results = client.jobs().run([request()]).unwrap();
        while world.gateway.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(results);
    });
    drop(runtime);
    gate.open();
    let is_told = |line: &String| line.starts_with("WARN") && line.contains("may be billed");
    assert!(capture.lines().iter().any(is_told), "{:#?}", capture.lines());
}

/// A process that stands still for longer than a request may take, again and again: here its only thread.
#[tokio::test]
async fn what_is_ready_to_be_submitted_only_after_its_time_is_not_sent() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    let mut setup = setup(&world);
    // A name to be looked up, which takes another thread.
    setup.base_url = setup.base_url.replace("127.0.0.1", "localhost");
    setup.policy.request_timeout = Duration::from_millis(100);
    setup.policy.wait_timeout = Duration::from_secs(1);
    let client: Client = setup.builder().unwrap().build().unwrap();
    let client = client.with_journal(Arc::new(journal.clone()));
    let running = tokio::spawn(async move { client.run(request()).await });
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(300));
        tokio::task::yield_now().await;
    }
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert_eq!(count(&world, "POST"), 0);
    assert_eq!(journal.facts().last().unwrap(), "released");
}

#[tokio::test]
async fn dropping_the_future_during_a_look_stops_looking_and_the_task_can_be_resumed() {
    for way in [WAYS[0], WAYS[2]] {
        let (world, journal) =
            (Arc::new(ScenarioWorld::new().unwrap()), RecordingJournal::default());
        world.creates([world.accepted()]);
        world.looks([Behaviour::Hang, world.completed().into()]);
        let client = client(&world, &journal, |_| {});
        let running = tokio::spawn(way(client.clone()));
        let observed = Arc::clone(&world);
        off_runtime(move || observed.gateway.wait_for_requests(2, Duration::from_secs(30))).await;
        running.abort();
        drop(running.await);
        assert_eq!(count(&world, "GET"), 1);

        let effect = client.task(TASK.parse().unwrap()).wait().await.unwrap();
        assert_eq!(effect.task_id.as_str(), TASK);
        assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 2));
    }
}

#[tokio::test]
async fn a_dropped_next_is_taken_up_by_the_next_one() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    let (gate, accepted) = Gate::before(world.accepted());
    world.creates([accepted]);
    let (look_gate, running) = Gate::before(world.running());
    world.looks([running, world.completed().into()]);
    let mut watch = client(&world, &journal, |_| {}).watch(request());

    let mut gates = [Some(gate), Some(look_gate)];
    let mut events = Vec::new();
    let mut dropped = 0;
    loop {
        // Whatever comes first: the event, or the end of our patience, which drops `next`.
        match tokio::time::timeout(Duration::from_millis(3), watch.next()).await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break,
            Err(_) => {
                dropped += 1;
                // Each answer is held back until `next` was dropped several times while
                // it was awaited.
                if dropped % 5 == 0
                    && let Some(gate) = gates.iter_mut().find_map(Option::take)
                {
                    gate.open();
                }
            }
        }
    }
    assert!(dropped >= 10, "nothing was dropped");
    assert!(matches!(events[0], Event::Submitted { .. }), "{events:?}");
    assert!(matches!(events[1], Event::Running { .. }), "{events:?}");
    assert_eq!(events.len(), 2);
    assert_eq!(watch.finish().await.unwrap().task_id.as_str(), TASK);
    assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_do_not_mix() {
    const RUNS: usize = 200;
    let server = ScriptedServer::start().unwrap();
    let made = AtomicUsize::new(0);
    server.otherwise(Behaviour::with(move |seen| {
        let task = match seen.path().strip_prefix(&task_path("")) {
            Some(task) => task.to_owned(),
            None => {
                let number = made.fetch_add(1, Ordering::SeqCst);
                return Response::json(format!(r#"{{"id":"task-{number}"}}"#)).into();
            }
        };
        Response::json(format!(
            r#"{{"id":"{task}","status":"completed","output":[{{"content":[{{"url":"https://x/{task}.png"}}]}}]}}"#
        ))
        .into()
    }));
    let client = Client::builder()
        .api_key("key")
        .base_url(server.base_url())
        .pace(Pace::fixed(Duration::from_millis(5)))
        .build()
        .unwrap();
    let runs: Vec<_> = (0..RUNS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.run(request()).await })
        })
        .collect();
    let mut tasks = std::collections::HashSet::new();
    for run in runs {
        let effect = run.await.unwrap().unwrap();
        // A picture of another task would be the answer of another run.
        assert!(effect.pictures[0].url.ends_with(&format!("/{}.png", effect.task_id)));
        tasks.insert(effect.task_id);
    }
    assert_eq!(tasks.len(), RUNS);
    let seen = server.requests();
    let posts: Vec<_> = seen.iter().filter(|seen| seen.method == "POST").collect();
    let keys: std::collections::HashSet<_> =
        posts.iter().map(|seen| seen.header("idempotency-key")).collect();
    assert_eq!((posts.len(), keys.len()), (RUNS, RUNS));
}

#[tokio::test]
async fn a_submission_waits_for_its_intent_and_a_look_for_the_id() {
    let (world, journal) = (Arc::new(ScenarioWorld::new().unwrap()), RecordingJournal::default());
    world.creates([world.accepted()]);
    world.looks([world.completed()]);
    let (observed, requests_before) =
        (Arc::clone(&world), Arc::new(std::sync::Mutex::new(Vec::new())));
    let noted = Arc::clone(&requests_before);
    journal.watch(move |_| noted.lock().unwrap().push(observed.gateway.requests().len()));
    client(&world, &journal, |_| {}).run(request()).await.unwrap();
    assert_eq!(journal.facts(), ["intent".to_owned(), format!("created {TASK}")]);
    assert_eq!(*requests_before.lock().unwrap(), [0, 1]);
}

#[tokio::test]
async fn a_journal_that_fails_sends_nothing_more() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.accepted()]);
    let failing = |entries| client(&world, &RecordingJournal::failing_after(entries), |_| {});
    let error: Error = failing(0).run(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.task_id()), (ErrorKind::Journal, None));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(world.gateway.requests().is_empty());

    let error = failing(1).run(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
    assert!(error.to_string().contains("effects wait"), "{error}");
    assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
}

#[tokio::test]
async fn a_submission_whose_id_the_journal_does_not_take_is_an_error_with_the_id() {
    for answer in [ScenarioWorld::accepted, ScenarioWorld::completed] {
        let world = ScenarioWorld::new().unwrap();
        world.creates([answer(&world)]);
        let client = client(&world, &RecordingJournal::failing_after(1), |_| {});
        let error = client.submit(request()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Journal);
        assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert!(error.resume_line().unwrap().contains("effects wait"), "{error}");
        assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
    }
}

#[tokio::test]
async fn a_policy_for_one_call_holds_for_its_download_too() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.completed()]);
    world.downloads([Behaviour::Hang]);
    let client = client(&world, &RecordingJournal::default(), |policy| {
        policy.request_timeout = Duration::from_secs(3600);
        policy.wait_timeout = Duration::from_secs(7200);
    });
    let effect = client.run(request()).await.unwrap();
    let quick = Policy { request_timeout: Duration::from_millis(300), ..client.policy().clone() };
    let client = client.with_policy(quick);
    let fetched = tokio::time::timeout(Duration::from_secs(20), client.fetch(&effect.pictures[0]));
    assert_eq!(fetched.await.expect("the limit is kept").unwrap(), effects_tests::picture());
}

#[tokio::test]
async fn an_end_that_was_seen_is_not_looked_for_again() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.completed()]);
    let task =
        client(&world, &RecordingJournal::default(), |_| {}).submit(request()).await.unwrap();
    let mut events = task.events();
    assert_eq!(events.next().await, None);
    assert_eq!(events.finish().await.unwrap().task_id, *task.id());
    assert_eq!(task.wait().await.unwrap().task_id, *task.id());
    assert_eq!(count(&world, "GET"), 0);
}

#[tokio::test]
async fn a_photo_that_many_want_at_once_is_uploaded_once() {
    let world = ScenarioWorld::new().unwrap();
    let stored = |name: &str| {
        let (gate, stored) =
            Gate::before(Response::json(format!(r#"{{"url":"https://f/{name}"}}"#)));
        world.gateway.on("POST", "/api/v1/storage/files", [stored]);
        gate
    };
    let (first, second) = (stored("1"), stored("2"));
    let client = client(&world, &RecordingJournal::default(), |_| {});
    let photo = |last: u8| {
        let bytes = [effects_tests::picture().as_ref(), &[last]].concat();
        Photo::new(bytes.into(), "cat.png").unwrap()
    };
    let (cat, dog) = (photo(1), photo(2));
    let uploads = futures_util::future::join_all([&cat, &cat, &dog, &cat].map(|photo| {
        let (client, photo) = (client.clone(), photo.clone());
        async move { client.upload(&photo).await.unwrap() }
    }));
    let uploads = tokio::spawn(uploads);
    // Another photo does not wait.
    let world = off_runtime(move || {
        world.gateway.wait_for_requests(2, Duration::from_secs(30));
        world
    })
    .await;
    first.open();
    second.open();
    let urls = uploads.await.unwrap();
    assert_eq!(count(&world, "POST"), 2);
    assert!(urls[0] == urls[1] && urls[1] == urls[3] && urls[0] != urls[2], "{urls:?}");
}

#[tokio::test]
async fn a_job_that_is_long_in_coming_holds_up_no_other() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    world.creates([world.accepted()]);
    world.looks([world.running(), world.completed()]);
    let (over, word) = std::sync::mpsc::channel();
    let first = std::iter::once(request());
    // The second job comes only once the first is over, or the test is.
    let second = std::iter::from_fn(move || {
        word.recv_timeout(Duration::from_secs(30)).expect("the first job stands still");
        None
    });
    let client = client(&world, &journal, |_| {});
    let mut ends = client.jobs().limits(BatchLimits::default()).run(first.chain(second)).unwrap();
    assert!(ends.next().await.unwrap().is_completed());
    over.send(()).unwrap();
    assert!(ends.next().await.is_none());
}

#[tokio::test]
async fn a_job_that_comes_after_the_stop_is_not_begun_and_says_so() {
    let (world, journal) = (Arc::new(ScenarioWorld::new().unwrap()), RecordingJournal::default());
    let (stopped, word) = std::sync::mpsc::channel::<()>();
    world.creates([Behaviour::Hang]);
    let late = std::iter::from_fn(move || {
        word.recv_timeout(Duration::from_secs(30)).expect("it was not stopped");
        Some(request())
    });
    let hanging = |policy: &mut Policy| policy.request_timeout = Duration::from_secs(3);
    let client = client(&world, &journal, hanging);
    let jobs = std::iter::once(request()).chain(late.take(1));
    let mut ends = client.jobs().limits(BatchLimits::default()).run(jobs).unwrap();
    let observed = Arc::clone(&world);
    off_runtime(move || observed.gateway.wait_for_requests(1, Duration::from_secs(30))).await;
    ends.stop();
    stopped.send(()).unwrap();
    let late = ends.next().await.unwrap();
    assert_eq!((late.index, late.into_result().unwrap_err().kind()), (1, ErrorKind::Detached));
    let lost = ends.next().await.unwrap();
    assert_eq!(lost.into_result().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(ends.next().await.is_none());
    assert_eq!(count(&world, "POST"), 1);
}

#[test]
fn every_future_can_move_between_threads() {
    fn crosses<T: Send>(_: &T) {}
    let world = ScenarioWorld::new().unwrap();
    let client = client(&world, &RecordingJournal::default(), |_| {});
    crosses(&client.run(request()));
    crosses(&client.submit(request()));
    crosses(&client.task(TASK.parse().unwrap()).wait());
    let mut watch = client.watch(request());
    crosses(&watch.next());
}
