//! Tests of the blocking client, `effects_ureq::Client`, beyond the scenarios: a stop from another thread,
//! forks, a journal that fails, downloads into a file, and jobs.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use effects_core::batch::BatchLimits;
use effects_core::{EffectRequest, ErrorKind, Pace, Policy, Template};
use effects_testkit::http::{Behaviour, Response};
use effects_tests::{Gate, PHOTO_URL, RecordingJournal, ScenarioWorld, TASK, setup};
use effects_ureq::Client;

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

/// A process of its own, which has no other thread, forks in the middle of what a client does.
#[cfg(unix)]
#[test]
fn forks_of_one_process_submit_under_names_of_their_own() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([(); 4].map(|()| world.accepted()));
    world.looks([(); 4].map(|()| world.completed()));
    let parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "blocking_client::forks", "--nocapture", "--test-threads=1"])
        .env(GATEWAY, world.gateway.base_url())
        .output()
        .unwrap();
    assert!(parent.status.success(), "{parent:?}");
    let seen = world.gateway.requests();
    let creates: Vec<_> = seen.iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(creates.len(), 4, "two forks, a run begun before and one begun after");
    for name in ["Idempotency-Key", "X-Request-Id"] {
        let drawn: std::collections::BTreeSet<_> =
            creates.iter().map(|seen| seen.header(name).unwrap()).collect();
        assert_eq!(drawn.len(), 4, "{name}: {drawn:?}");
    }
}

#[cfg(unix)]
#[test]
#[ignore = "it is what another test starts as a process of its own"]
fn forks() {
    let client = Client::builder()
        .base_url(std::env::var(GATEWAY).unwrap())
        .api_key("key-for-tests")
        .pace(Pace::fixed(Duration::from_millis(10)))
        .build()
        .unwrap();
    let mut begun = Some(client.watch(request()));
    // Everything that a fork copies is there by now: the client, and a run that has begun.
    let forks = [(); 2].map(|()| match fork::fork().unwrap() {
        fork::Fork::Parent(child) => child,
        fork::Fork::Child => {
            let ends = [begun.take().unwrap().finish(), client.run(request())];
            std::process::exit(i32::from(ends.iter().any(Result::is_err)));
        }
    });
    for child in forks {
        assert_eq!(fork::waitpid(child).unwrap(), 0);
    }
}

#[cfg(unix)]
const GATEWAY: &str = "EFFECTS_TEST_GATEWAY";

fn count(world: &ScenarioWorld, method: &str) -> usize {
    world.gateway.requests().iter().filter(|seen| seen.method == method).count()
}

#[test]
fn a_stop_during_the_post_waits_for_it_and_keeps_the_id() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    let (gate, accepted) = Gate::before(world.accepted());
    world.creates([accepted]);
    let watch = client(&world, &journal, |_| {}).watch(request());
    let stopper = watch.stopper();
    assert!(!stopper.is_submitting());
    let running = thread::spawn(move || watch.finish());

    world.gateway.wait_for_requests(1, Duration::from_secs(30));
    assert!(stopper.is_submitting(), "the moment not to leave");
    stopper.stop();
    // Stopped while the answer is awaited: the submission may have made a task, so its
    // answer is waited for.
    assert_eq!(journal.facts(), ["intent"]);
    gate.open();

    let error = running.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Detached, 130));
    assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
    assert!(error.to_string().contains("effects wait"), "{error}");
    assert_eq!(journal.facts(), ["intent".to_owned(), format!("created {TASK}")]);
    assert!(!stopper.is_submitting());
    assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
}

#[test]
fn a_stop_ends_a_sleep_at_once() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    world.creates([world.accepted()]);
    // An hour: the test ends, or it does not.
    let hour = |policy: &mut Policy| {
        policy.pace = Pace::fixed(Duration::from_secs(3600));
        policy.wait_timeout = Duration::from_secs(7200);
    };
    let mut watch = client(&world, &journal, hour).watch(request());
    let stopper = watch.stopper();
    assert!(watch.next().is_some());
    let running = thread::spawn(move || watch.finish());
    stopper.stop();
    let error = running.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Detached);
    assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
    assert_eq!(count(&world, "GET"), 0);
}

#[test]
fn a_stop_between_two_attempts_submits_nothing_more() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    world.creates([Response::new(429).header("Retry-After", "3600"), world.accepted()]);
    // The wait that was asked for is believed whole, so that the stop comes within it.
    let patient = |policy: &mut Policy| policy.retry_after_most = Duration::from_secs(3600);
    let watch = client(&world, &journal, |policy| {
        patient(policy);
        policy.wait_timeout = Duration::from_secs(7200);
    })
    .watch(request());
    let stopper = watch.stopper();
    let running = thread::spawn(move || watch.finish());
    // The second entry is the release: the first attempt is over, and the next is an hour away.
    journal.wait_for(2);
    stopper.stop();
    let error = running.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.task_id()), (ErrorKind::Detached, None));
    assert!(error.to_string().contains("nothing is billed"), "{error}");
    assert_eq!(count(&world, "POST"), 1);
    assert_eq!(journal.facts(), ["intent", "released"]);
}

#[test]
fn a_dropped_watch_sends_nothing_more() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
    world.creates([world.accepted()]);
    let mut watch = client(&world, &journal, |_| {}).watch(request());
    assert!(watch.next().is_some());
    drop(watch);
    let journal = journal.wait_until_alone();
    assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));

    drop(client(&world, &journal, |_| {}).watch(request()));
    assert_eq!(count(&world, "POST"), 1, "nothing happens before it is asked for");
}

#[test]
fn a_submission_waits_for_its_intent_and_a_look_for_the_id() {
    let (world, journal) = (Arc::new(ScenarioWorld::new().unwrap()), RecordingJournal::default());
    world.creates([world.accepted()]);
    world.looks([world.completed()]);
    let (observed, requests_before) = (Arc::clone(&world), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&requests_before);
    journal.watch(move |_| noted.lock().unwrap().push(observed.gateway.requests().len()));
    client(&world, &journal, |_| {}).run(request()).unwrap();
    assert_eq!(journal.facts(), ["intent".to_owned(), format!("created {TASK}")]);
    // No request before the intent, and only the submission before the id.
    assert_eq!(*requests_before.lock().unwrap(), [0, 1]);
}

#[test]
fn a_journal_that_fails_sends_nothing_more() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.accepted()]);
    let failing = |entries| client(&world, &RecordingJournal::failing_after(entries), |_| {});
    let error = failing(0).run(request()).unwrap_err();
    assert_eq!((error.kind(), error.task_id()), (ErrorKind::Journal, None));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(world.gateway.requests().is_empty());

    let error = failing(1).run(request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
    assert!(error.to_string().contains("effects wait"), "{error}");
    assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
}

#[test]
fn a_submission_whose_id_the_journal_does_not_take_is_an_error_with_the_id() {
    for answer in [ScenarioWorld::accepted, ScenarioWorld::completed] {
        let world = ScenarioWorld::new().unwrap();
        world.creates([answer(&world)]);
        let client = client(&world, &RecordingJournal::failing_after(1), |_| {});
        let error = client.submit(request()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Journal);
        assert_eq!(error.task_id().map(ToString::to_string).as_deref(), Some(TASK));
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert!(error.resume_line().unwrap().contains("effects wait"), "{error}");
        assert_eq!((count(&world, "POST"), count(&world, "GET")), (1, 0));
    }
}

#[test]
fn a_download_replaces_a_file_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ball.png");
    std::fs::write(&path, "before").unwrap();
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.completed()]);
    world.downloads([Behaviour::Truncate { response: world.served(), body_bytes: 4_000 }]);
    // After half a picture the link is refused, which ends the download for good.
    world.downloads([Response::new(403)]);
    let client = client(&world, &RecordingJournal::default(), |_| {});
    let effect = client.run(request()).unwrap();

    let error = client.download(&effect.pictures[0], &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Download);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something is left behind");

    assert_eq!(client.download(&effect.pictures[0], &path).unwrap(), path);
    assert_eq!(std::fs::read(&path).unwrap(), effects_tests::picture());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = client.download(&effect.pictures[0], "/nowhere/ball.png").unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Download);
    assert_eq!(nowhere.task_id().map(ToString::to_string).as_deref(), Some(TASK));
}

#[test]
fn a_policy_for_one_call_holds_for_its_download_too() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.completed()]);
    world.downloads([Behaviour::Hang]);
    // An hour: the test ends, or it does not.
    let client = client(&world, &RecordingJournal::default(), |policy| {
        policy.request_timeout = Duration::from_secs(3600);
        policy.wait_timeout = Duration::from_secs(7200);
    });
    let effect = client.run(request()).unwrap();
    let quick = Policy { request_timeout: Duration::from_millis(300), ..client.policy().clone() };
    let (done, fetched) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(client.with_policy(quick).fetch(&effect.pictures[0])));
    let fetched = fetched.recv_timeout(Duration::from_secs(20)).expect("the limit is kept");
    assert_eq!(fetched.unwrap(), effects_tests::picture());
}

#[test]
fn an_end_that_was_seen_is_not_looked_for_again() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.completed()]);
    let task = client(&world, &RecordingJournal::default(), |_| {}).submit(request()).unwrap();
    let mut events = task.events();
    assert_eq!(events.next(), None);
    assert_eq!(events.finish().unwrap().task_id, *task.id());
    assert_eq!(task.wait().unwrap().task_id, *task.id());
    assert_eq!(count(&world, "GET"), 0);
}

#[test]
fn a_job_that_is_long_in_coming_holds_up_no_other() {
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
    assert!(ends.next().unwrap().is_completed());
    over.send(()).unwrap();
    assert!(ends.next().is_none());
}

#[test]
fn a_job_that_comes_after_the_stop_is_not_begun_and_says_so() {
    let (world, journal) = (ScenarioWorld::new().unwrap(), RecordingJournal::default());
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
    world.gateway.wait_for_requests(1, Duration::from_secs(30));
    ends.handle().stop();
    // The submission in flight keeps the batch until its time is over.
    stopped.send(()).unwrap();
    let late = ends.next().unwrap();
    let index = late.index;
    let error = late.into_result().unwrap_err();
    assert_eq!((index, error.kind()), (1, ErrorKind::Detached));
    assert!(error.to_string().contains("nothing is billed"), "{error}");
    assert_eq!(ends.next().unwrap().into_result().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(ends.next().is_none());
    assert_eq!(count(&world, "POST"), 1);
}
