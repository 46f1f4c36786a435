//! Tests of the spans that a client opens with `tracing`: one for each task, and inside it submit, wait,
//! poll and download.
//!
//! One test, since it listens to the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use effects_core::model::Draft;
use effects_testkit::http::Response;
use effects_tests::{Ask, Capture, Face, FaceJob, ScenarioWorld, SpanSeen, TASK, faces, setup};

#[test]
fn a_task_is_a_span_with_submit_wait_poll_and_download_inside() {
    let capture = Capture::start().unwrap();
    for face in faces() {
        capture.clear();
        let spans = spans_of(&*face, &capture);
        let inside = |name: &str| -> Vec<Vec<&str>> {
            spans.iter().filter(|span| span.name == name).map(|span| span.around.clone()).collect()
        };
        let face = face.name();
        assert_eq!(inside("submit"), vec![vec!["task"]; 2], "{face}: {spans:#?}");
        let waits = inside("wait");
        assert!(!waits.is_empty() && waits.iter().all(|around| *around == ["task"]), "{face}");
        assert_eq!(inside("poll"), vec![vec!["task", "wait"]; 2], "{face}: {spans:#?}");
        assert_eq!(inside("download"), vec![vec!["task"]], "{face}: {spans:#?}");

        let tasks: Vec<&SpanSeen> = spans.iter().filter(|span| span.name == "task").collect();
        assert!(tasks.iter().all(|span| span.fields.contains(TASK)), "{face}: {tasks:#?}");
        assert!(tasks[0].fields.contains("glass_ball"), "{face}: {tasks:#?}");

        let lines = capture.lines();
        let submitted =
            lines.iter().filter(|line| line.contains(&format!("task {TASK} submitted")));
        assert_eq!(submitted.count(), 1, "{face}: {lines:#?}");
        assert!(lines.iter().any(|line| line.contains("submitting again")), "{face}: {lines:#?}");
        // A picture's URL may be a permission: its host alone is told.
        assert!(!spans.iter().any(|span| span.fields.contains("ball.png")), "{face}");
    }
}

fn spans_of(face: &dyn Face, capture: &Capture) -> Vec<SpanSeen> {
    let world = ScenarioWorld::new().unwrap();
    world.creates([Response::new(429), world.accepted()]);
    world.looks([world.running(), world.completed()]);
    let draft = Draft {
        image: effects_core::model::DraftImage::Url(effects_tests::PHOTO_URL.to_owned()),
        template_id: Some("glass_ball".to_owned()),
        ..Draft::default()
    };
    let job = FaceJob { ask: Ask::Effect(draft), times: 1, save_to: None };
    let ended = face.run(&setup(&world), &job, &mut |_| {});
    assert!(ended.failure.is_none(), "{:?}", ended.failure);
    capture.spans()
}
