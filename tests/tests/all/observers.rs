//! What a program asks of each exchange: both clients tell its observers of it and of each event, and none of the
//! key; they send its headers; and the example that makes spans of OpenTelemetry of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use effects_client::{BuildClient, ClientBuilder};
use effects_core::gateway::RequestHeaders;
use effects_core::{EffectRequest, Event, Pace, Policy, Template};
use effects_testkit::http::Response;
use effects_tests::{PHOTO_URL, ScenarioWorld, TASK, setup};
use effects_ureq::{ExchangeObserver, ObserveEnd, RequestExcerpt};

/// Keeps each exchange and each event as a line.
#[derive(Clone, Default)]
struct RecordedLines(Arc<Mutex<Vec<String>>>);

impl RecordedLines {
    fn line(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl ExchangeObserver for RecordedLines {
    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let recorded = self.clone();
        let what = match () {
            () if request.is_download => "download",
            () if request.is_submission() => "submission",
            () => "look",
        };
        Some(Box::new(move |result| {
            let status = result.response().map(|response| response.status);
            recorded.line(format!("{what} {} {status:?}", request.method));
        }))
    }
}

fn world() -> ScenarioWorld {
    let world = ScenarioWorld::new().unwrap();
    let throttled = Response::json(r#"{"message":"slow down"}"#).status(429);
    world.creates([throttled, world.accepted()]);
    world.looks([world.running(), world.completed()]);
    // One of each kind of exchange goes wrong once, so that the lines of a repetition show.
    world.downloads([Response::new(404)]);
    world
}

fn client<C: BuildClient>(world: &ScenarioWorld, recorded: &RecordedLines) -> C {
    let mut setup = setup(world);
    setup.policy.pace = Pace::fixed(Duration::from_millis(10));
    let builder: ClientBuilder<C> = setup.builder().unwrap();
    let events = recorded.clone();
    let on_event = move |event: &Event| events.line(event.to_string());
    builder.on_exchange(recorded.clone()).on_event(on_event).build().unwrap()
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap()
}

/// The lines of one run whose first submission is throttled, and whose picture is there at the second try.
fn check(recorded: &RecordedLines) {
    let lines = recorded.lines();
    assert_eq!(lines[0], "submission POST Some(429)", "{lines:?}");
    assert!(lines[1].starts_with("submitting again in"), "{lines:?}");
    assert_eq!(lines[2], "submission POST Some(200)", "{lines:?}");
    assert_eq!(lines[3], format!("task {TASK} submitted"), "{lines:?}");
    let last = &lines[lines.len() - 3..];
    let downloads = ["download GET Some(404)", "downloading", "download GET Some(200)"];
    assert_eq!(lines[lines.len() - 4], "look GET Some(200)", "{lines:?}");
    assert!(last.iter().zip(downloads).all(|(line, like)| line.contains(like)), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with(&format!("task {TASK} in_progress"))),
        "{lines:?}"
    );
}

#[test]
fn the_blocking_client_tells_observers_of_exchanges_and_events() {
    let (world, recorded) = (world(), RecordedLines::default());
    let client = client::<effects_ureq::Client>(&world, &recorded);
    let effect = client.run(request()).unwrap();
    client.fetch(&effect.pictures[0]).unwrap();
    check(&recorded);
}

#[tokio::test]
async fn the_async_client_tells_observers_of_exchanges_and_events() {
    let (world, recorded) = (world(), RecordedLines::default());
    let client = client::<effects_reqwest::Client>(&world, &recorded);
    let effect = client.run(request()).await.unwrap();
    client.fetch(&effect.pictures[0]).await.unwrap();
    check(&recorded);
}

#[tokio::test]
async fn both_clients_tell_a_submitter_what_happens_on_the_way() {
    let (blocking, mut events) = (world(), Vec::new());
    let submitter: effects_ureq::Client = setup(&blocking).builder().unwrap().build().unwrap();
    let running = std::thread::spawn(move || {
        let mut events = Vec::new();
        submitter.submit_with(request(), |event| events.push(event)).unwrap();
        events
    });
    let asynchronous = world();
    let submitter: effects_reqwest::Client =
        setup(&asynchronous).builder().unwrap().build().unwrap();
    submitter.submit_with(request(), |event| events.push(event)).await.unwrap();
    let there = tokio::task::spawn_blocking(|| running.join().unwrap()).await.unwrap();
    for events in [events, there] {
        assert!(matches!(events[0], Event::Retrying { task_id: None, .. }), "{events:?}");
        assert!(matches!(events[1], Event::Submitted { .. }), "{events:?}");
    }
}

#[test]
#[ignore = "it builds a workspace of its own, which takes minutes; ask for it by its name"]
fn the_example_of_opentelemetry_prints_spans_of_task_and_exchanges() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/opentelemetry");
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let ran =
        std::process::Command::new(cargo).args(["run", "--quiet"]).current_dir(folder).output();
    let ran = ran.unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    for expected in [
        " : POST /model/v1/generation\n",
        " : GET /model/v1/generation/task/{task_id}\n",
        " : task\n",
        " : wait\n",
        "http.response.status_code",
        "cost Some(0.03) USD",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

/// They are promised for each request to the gateway.
#[test]
fn the_headers_of_a_builder_are_sent_under_another_policy_too() {
    let world = ScenarioWorld::new().unwrap();
    world.creates([world.accepted(), world.accepted()]);
    world.looks([world.completed(), world.completed()]);
    let request = || EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
    let policy = || Policy { pace: Pace::fixed(Duration::from_millis(10)), ..Policy::default() };
    fn with_headers<C: BuildClient>(world: &ScenarioWorld) -> C {
        let builder: ClientBuilder<C> = setup(world).builder().unwrap();
        builder.header("X-Team", "studio").user_agent("studio/1").build().unwrap()
    }
    let client: effects_ureq::Client = with_headers(&world);
    client.with_policy(policy()).run(request()).unwrap();
    let client: effects_reqwest::Client = with_headers(&world);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let own =
        Policy { headers: RequestHeaders::default().with("X-Team", "booth").unwrap(), ..policy() };
    runtime.block_on(client.with_policy(own).run(request())).unwrap();
    let seen = world.gateway.requests();
    let of = |name: &str| {
        seen.iter().map(|seen| seen.header(name).unwrap_or("none")).collect::<Vec<_>>()
    };
    assert_eq!(of("user-agent"), ["studio/1"; 4]);
    assert_eq!(of("x-team"), ["studio", "studio", "booth", "booth"]);
}
