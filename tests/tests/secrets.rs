//! The key is in no log, at any level, of any library on the way; and in nothing that is saved.
//!
//! One test, since it listens to the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use effects_client::{BuildClient, Settings, Transport};
use effects_core::gateway::{Call, CallResult, DynExchange, Gateway};
use effects_core::journal::Journal;
use effects_core::{EffectRequest, Error, Run, Seed, Step, Template, Time};
use effects_reqwest::ReqwestExchange;
use effects_testkit::http::Response;
use effects_tests::scenarios::{create, echoes, looks, uploads};
use effects_tests::{
    Blocking, Capture, KEY, PHOTO_URL, RecordingJournal, ScenarioWorld, Style, check_all, faces,
    setup,
};
use effects_ureq::UreqExchange;

#[test]
fn the_key_is_nowhere() {
    let capture = Capture::start().unwrap();
    // Every scenario looks for the key in what its client prints; this looks in what is logged.
    for face in faces() {
        check_all(&*face, &echoes::scenarios());
    }
    for face in faces().iter().filter(|face| face.style() == Style::Events) {
        let mut all = create::scenarios();
        all.extend(looks::scenarios());
        all.extend(uploads::scenarios());
        // Megabytes, logged byte for byte, tell nothing new.
        all.retain(|scenario| !scenario.name().contains("endless"));
        check_all(&**face, &all);
    }
    saved_runs_hold_no_key();
    let lines = capture.lines();
    for library in ["hyper", "reqwest", "ureq", "rustls", "effects"] {
        assert!(lines.iter().any(|line| line.contains(library)), "nothing is heard of {library}");
    }
    for text in lines.into_iter().chain(capture.spans().into_iter().map(|span| span.fields)) {
        for key in [KEY, echoes::ODD_KEY] {
            assert!(!text.contains(key), "the key is logged: {text}");
        }
    }

    let exchanged = dumped(&capture);
    assert!(exchanged.contains("POST./model/v1/generation"), "{exchanged}");
    assert!(exchanged.contains("the-key-comes-later"), "{exchanged}");
    // Where the answer repeats it, marks of as many bytes are read.
    let marks = format!("no.key.{}.here", ".".repeat(KEY.len()));
    assert!(exchanged.contains(&marks), "{exchanged}");
    assert!(!exchanged.contains(KEY), "the key is logged, in pieces: {exchanged}");
}

/// What ureq wrote and read, put together from its dumps, 16 bytes a line.
fn dumped(capture: &Capture) -> String {
    capture.clear();
    let blocking = Blocking(Style::Run);
    echoes::scenarios()[0].play(&blocking);
    let row = |line: &String| {
        let row = line.split_once("ureq_proto::util: ")?.1;
        // Eight groups of four digits, a space after each, and one more.
        Some(row.get(41..)?.to_owned())
    };
    capture.lines().iter().filter_map(row).collect()
}

/// Drives a run by hand over both HTTP clients, saving it at every step.
fn saved_runs_hold_no_key() {
    let world = ScenarioWorld::new().unwrap();
    let echo = || Response::json(format!(r#"{{"id":"t","status":"{KEY}","x":"{KEY}"}}"#));
    let done = || Response::json(format!(r#"{{"id":"t","status":"failed","error":"{KEY}"}}"#));
    for _ in 0..2 {
        world.creates([echo()]);
        world.gateway.on("GET", "/model/v1/generation/task/t", [echo(), done()]);
    }
    let settings = setup(&world).builder::<KeptSettings>().unwrap().build().unwrap().0;
    let blocking = UreqExchange::new(&settings).unwrap();
    let blocking = Gateway::new(settings.endpoint.clone(), blocking);
    drive(|call| blocking.call(call));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asynchronous = ReqwestExchange::new(&settings).unwrap();
    let asynchronous = Gateway::new(settings.endpoint, asynchronous);
    drive(|call| runtime.block_on(asynchronous.call_async(call)));
}

fn drive(send: impl Fn(&Call) -> CallResult) {
    let request = EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
    let mut now = Time::from_millis(1);
    let mut run = Run::submit(request, Arc::default(), Seed::from(1), now);
    let (journal, mut steps) = (RecordingJournal::default(), 0);
    loop {
        let step = run.step(now);
        let saved = serde_json::to_string(&run.save()).unwrap();
        for text in [saved, format!("{run:?}"), format!("{step:?}")] {
            assert!(!text.contains(KEY), "the key is kept: {text}");
        }
        steps += 1;
        match step {
            Step::Record(entry) => {
                Journal::write(&journal, &entry).unwrap();
                run.recorded(entry.id);
            }
            Step::Send(call) => {
                let result = send(&call);
                assert!(!format!("{result:?}").contains(KEY), "the key is kept: {result:?}");
                run.reply(now, call.id, &result);
            }
            Step::Sleep { until, .. } => now = until,
            Step::Notify(_) => {}
            Step::Done(_) => break,
        }
    }
    // Fewer would mean that the run ended before it met every answer.
    assert!(steps > 8, "{steps} steps");
    assert!(!journal.json().contains(KEY));
}

/// The settings a builder makes, for the HTTP clients alone.
struct KeptSettings(Settings);

impl BuildClient for KeptSettings {
    type Exchange = DynExchange;

    fn from_settings(settings: Settings, _: Transport<DynExchange>) -> Result<Self, Error> {
        Ok(Self(settings))
    }
}
