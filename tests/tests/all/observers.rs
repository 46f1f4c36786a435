//! What both clients tell the observers of a program: each exchange and each event, and none of the key;
//! and the example that makes spans of OpenTelemetry of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use effects_client::{BuildClient, ClientBuilder};
use effects_core::{EffectRequest, Event, Pace, Template};
use effects_testkit::http::Response;
use effects_tests::{PHOTO_URL, ScenarioWorld, TASK, setup};
use effects_ureq::{ExchangeObserver, ObserveEnd, RequestExcerpt};

/// Keeps what it is told, a line each.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn line(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl ExchangeObserver for Told {
    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let told = self.clone();
        let what = match () {
            () if request.is_download => "download",
            () if request.is_submission() => "submission",
            () => "look",
        };
        Some(Box::new(move |result| {
            let status = result.response().map(|response| response.status);
            told.line(format!("{what} {} {status:?}", request.method));
        }))
    }
}

fn world() -> ScenarioWorld {
    let world = ScenarioWorld::new().unwrap();
    let throttled = Response::json(r#"{"message":"slow down"}"#).status(429);
    world.creates([throttled, world.accepted()]);
    world.looks([world.running(), world.completed()]);
    // One of each kind of exchange goes wrong once, so that what is told of a repetition shows.
    world.downloads([Response::new(404)]);
    world
}

fn client<C: BuildClient>(world: &ScenarioWorld, told: &Told) -> C {
    let mut setup = setup(world);
    setup.policy.pace = Pace::fixed(Duration::from_millis(10));
    let builder: ClientBuilder<C> = setup.builder().unwrap();
    let events = told.clone();
    let on_event = move |event: &Event| events.line(event.to_string());
    builder.on_exchange(told.clone()).on_event(on_event).build().unwrap()
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap()
}

/// The lines of one run whose first submission is throttled, and whose picture is there at the second try.
fn check(told: &Told) {
    let lines = told.lines();
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
    let (world, told) = (world(), Told::default());
    let client = client::<effects_ureq::Client>(&world, &told);
    let effect = client.run(request()).unwrap();
    client.fetch(&effect.pictures[0]).unwrap();
    check(&told);
}

#[tokio::test]
async fn the_async_client_tells_observers_of_exchanges_and_events() {
    let (world, told) = (world(), Told::default());
    let client = client::<effects_reqwest::Client>(&world, &told);
    let effect = client.run(request()).await.unwrap();
    client.fetch(&effect.pictures[0]).await.unwrap();
    check(&told);
}

#[tokio::test]
async fn both_clients_tell_a_submitter_what_happens_on_the_way() {
    let (blocking, mut heard) = (world(), Vec::new());
    let submitter: effects_ureq::Client = setup(&blocking).builder().unwrap().build().unwrap();
    let heard_there = std::thread::spawn(move || {
        let mut heard = Vec::new();
        submitter.submit_with(request(), |event| heard.push(event)).unwrap();
        heard
    });
    let asynchronous = world();
    let submitter: effects_reqwest::Client =
        setup(&asynchronous).builder().unwrap().build().unwrap();
    submitter.submit_with(request(), |event| heard.push(event)).await.unwrap();
    let there = tokio::task::spawn_blocking(|| heard_there.join().unwrap()).await.unwrap();
    for heard in [heard, there] {
        assert!(matches!(heard[0], Event::Retrying { task_id: None, .. }), "{heard:?}");
        assert!(matches!(heard[1], Event::Submitted { .. }), "{heard:?}");
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
