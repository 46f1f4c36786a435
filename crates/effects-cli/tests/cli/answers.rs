//! Odd answers to a submission: the id of a paid task is kept, and what is not certain is unknown.

use effects_core::ErrorKind;
use effects_testkit::http::{Behaviour, Response};
use serde_json::Value;

use crate::world::{CREATE, IMAGE, World, running};

/// The tasks in the journal.
fn journaled(world: &World) -> Vec<Value> {
    let listed = world.run(&["tasks", "--json"]).exits(0).stdout;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_id_in_almost_json_is_printed_journaled_and_warned_of() {
    let bodies: [&[u8]; 5] = [
        br#"{"id":"task-1","progress":NaN}"#,
        b"{\"message\":\"two\nlines\",\"id\":\"task-1\"}",
        br#"{"id":"task-1",}"#,
        b"{\"id\":\"task-1\",\"message\":\"caf\xe9\"}",
        br#"{"id":"task-1","status":"in_pro"#,
    ];
    for body in bodies {
        let world = World::new();
        world.server.on("POST", CREATE, [Response::json(body)]);
        let ran = world.run(&["submit", "glass_ball", IMAGE]).exits(0);
        assert_eq!(ran.stdout, "task-1\n");
        let warned = ran.stderr.contains("cannot be read") && ran.stderr.contains("task task-1");
        assert!(warned, "{ran:?}");
        assert_eq!(journaled(&world)[0]["task_id"], "task-1");
    }
}

#[test]
fn an_id_in_an_answer_that_breaks_off_is_kept() {
    let world = World::new();
    let response = Response::json(r#"{"id":"task-1","status":"in_progress"}"#);
    world.server.on("POST", CREATE, [Behaviour::Truncate { response, body_bytes: 16 }]);
    let ran = world.run(&["submit", "glass_ball", IMAGE]).exits(0);
    assert_eq!(ran.stdout, "task-1\n");
    assert!(ran.stderr.contains("it names task task-1"), "{ran:?}");
}

#[test]
fn a_time_out_that_names_the_task_is_followed_to_its_picture() {
    let world = World::new();
    let timed_out = r#"{"id":"task-1","status":"in_progress","error":{"code":"SYNC_TIMEOUT"}}"#;
    world.server.on("POST", CREATE, [Response::json(timed_out).status(504)]);
    world.looks([running(), world.completed()]);
    world.serves_picture();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05"]).exits(0);
    assert_eq!(ran.stdout, "glass_ball-task-1.png\n");
    assert!(ran.stderr.contains("HTTP 504"), "{ran:?}");
    assert_eq!(world.submissions(), 1);
}

#[test]
fn an_id_of_four_kibibytes_goes_through_journal_looks_and_files() {
    let id = "long.id-".repeat(512);
    assert_eq!(id.len(), 4_096);
    let world = World::new();
    let created = format!(r#"{{"id":"{id}","status":"in_progress"}}"#);
    world.server.on("POST", CREATE, [Response::json(created)]);
    world.server.on("GET", &format!("{CREATE}/task/{id}"), [running(), world.completed()]);
    world.serves_picture();
    let ran = world.run(&["submit", "glass_ball", IMAGE]).exits(0);
    assert_eq!(ran.stdout.trim_end(), id);
    assert_eq!(journaled(&world)[0]["task_id"], id.as_str());
    let resumed = world.run(&["resume", "--poll", "0.05", "--json"]).exits(0);
    let object: Value = serde_json::from_str(resumed.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(object["task_id"], id.as_str(), "{resumed:?}");
    let names = world.names();
    assert!(names.len() == 1 && names[0].len() < 255 && names[0].ends_with(".png"), "{names:?}");
    assert_eq!(world.submissions(), 1);
}

#[test]
fn what_may_have_been_processed_exits_8_and_shows_where_it_points() {
    let there = "https://me:hunter2@elsewhere.test/model/v1/generation/task/t-1?session=secret";
    let busy = Response::json(r#"{"message":"busy"}"#).status(503).header("Retry-After", "0");
    let inside = |body: &'static str| Response::json(body);
    for (answer, shown) in [
        (Response::redirect(303, there), "https://elsewhere.test/model/v1/generation/task/t-1"),
        (Response::redirect(201, there), "https://elsewhere.test/model/v1/generation/task/t-1"),
        (Response::redirect(202, there), "https://elsewhere.test/model/v1/generation/task/t-1"),
        (busy, "HTTP 503: busy"),
        (Response::html("<title>503 Backend fetch failed</title>").status(503), "HTTP 503"),
        (inside(r#"{"status":{"code":504,"message":"slow"},"data":null}"#), "HTTP 504: slow"),
        (inside(r#"{"error":{"code":"500"}}"#), "(500)"),
        (inside(r#"{"code":502,"message":"Bad Gateway"}"#), "Bad Gateway"),
        (inside(r#"{"error":"no such model"}"#), "no such model"),
    ] {
        let world = World::new();
        world.server.on("POST", CREATE, [answer]);
        let ran = world.run(&["run", "glass_ball", IMAGE, "--json"]).exits(8);
        assert_eq!(ran.object()["kind"], ErrorKind::OutcomeUnknown.name());
        assert!(ran.stderr.contains(shown), "{ran:?}");
        assert!(!format!("{ran:?}").contains("secret"), "{ran:?}");
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        assert_eq!(world.submissions(), 1);
    }
}
