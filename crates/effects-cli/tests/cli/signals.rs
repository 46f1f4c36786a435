//! Ctrl-C and SIGTERM: no paid task is lost.

use std::fs;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use effects_testkit::http::{Behaviour, Response, unused_address};
use serde_json::Value;

use crate::world::{CREATE, IMAGE, RunningCommand, TIMEOUT, World, held_response, running};

const RUN: [&str; 5] = ["run", "glass_ball", IMAGE, "--poll", "0.1"];

fn start(world: &World, arguments: &[&str]) -> RunningCommand {
    RunningCommand::new(world.command(arguments))
}

/// A submission that is answered when the sender says so.
fn slow_submission(response: Response) -> (World, mpsc::Sender<()>) {
    let world = World::new();
    let (answer, word) = mpsc::channel();
    world.server.on("POST", CREATE, [held_response(word, response)]);
    (world, answer)
}

#[test]
fn while_polling_it_leaves_at_once_with_the_id() {
    for signal in ["INT", "TERM", "HUP"] {
        let world = World::new();
        world.accepts();
        world.server.otherwise(running());
        let run = start(&world, &[&RUN[..], &["--json"]].concat());
        assert_eq!(world.server.wait_for_requests(3, TIMEOUT).len(), 3);
        run.signal(signal);
        let ran = run.end().exits(130);
        let object = ran.object();
        assert_eq!(
            (object["kind"].as_str(), object["exit_code"].as_i64()),
            (Some("detached"), Some(130))
        );
        assert_eq!(object["task_id"], "task-1");
        let line = format!("effects wait task-1 --base-url {}", world.server.base_url());
        assert_eq!(object["resume"], line.as_str());
        assert!(ran.stderr.contains(&line), "{ran:?}");
        assert!(world.names().is_empty());
    }
}

#[test]
fn during_the_submission_it_waits_for_the_answer_and_keeps_the_id() {
    for command in [&RUN[..], &["submit", "glass_ball", IMAGE]] {
        let (world, answer) = slow_submission(Response::json(r#"{"id":"task-1"}"#));
        let mut run = start(&world, command);
        world.server.wait_for_requests(1, TIMEOUT);
        run.signal("INT");
        run.wait_for_text("interrupt again to leave");
        answer.send(()).unwrap();
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("effects wait task-1 --base-url"), "{ran:?}");
        assert_eq!(world.server.requests().len(), 1, "nothing more is asked");
    }
}

#[test]
fn the_second_one_leaves_and_says_that_the_task_may_exist() {
    let (world, _never) = slow_submission(Response::new(200));
    let mut run = start(&world, &[&RUN[..], &["--json"]].concat());
    let requests = world.server.wait_for_requests(1, TIMEOUT);
    run.signal("INT");
    run.wait_for_text("interrupt again to leave");
    run.signal("INT");
    let ran = run.end().exits(130);
    let object: Value = ran.object();
    assert_eq!(object["request_id"].as_str(), requests[0].header("x-request-id"));
    assert!(ran.stderr.contains("may exist and may be billed"), "{ran:?}");
    assert!(ran.stderr.contains(requests[0].header("x-request-id").unwrap()), "{ran:?}");
    // The row, and the line that settles it once a person knows.
    let line = "it is row 1 of the journal: find out what became of it, and then `effects resolve 1 --task ID` or";
    assert!(ran.stderr.contains(line), "{ran:?}");
    let message = object["message"].as_str().unwrap();
    assert!(message.contains("row 1 of the journal"), "{message}");
    world.run(&["resolve", "1", "--not-billed"]).exits(0);

    // Without a journal there is no row.
    let (world, _never) = slow_submission(Response::new(200));
    let mut run = start(&world, &[&RUN[..], &["--no-journal"]].concat());
    world.server.wait_for_requests(1, TIMEOUT);
    run.signal("INT");
    run.wait_for_text("interrupt again to leave");
    run.signal("INT");
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("Idempotency-Key") && !ran.stderr.contains("row"), "{ran:?}");
}

#[test]
fn a_submission_that_is_lost_or_refused_meanwhile_says_so() {
    let (world, answer) = slow_submission(Response::new(500));
    let mut run = start(&world, &RUN);
    world.server.wait_for_requests(1, TIMEOUT);
    run.signal("INT");
    run.wait_for_text("interrupt again to leave");
    answer.send(()).unwrap();
    run.end().exits(8);

    let (world, answer) = slow_submission(Response::json(r#"{"message":"slow down"}"#).status(429));
    let mut run = start(&world, &RUN);
    world.server.wait_for_requests(1, TIMEOUT);
    run.signal("INT");
    run.wait_for_text("interrupt again to leave");
    answer.send(()).unwrap();
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("nothing is billed") && ran.stderr.contains("429"), "{ran:?}");
    assert_eq!(world.submissions(), 1, "no other attempt is made");
}

#[test]
fn before_anything_is_submitted_nothing_is() {
    let world = World::new();
    world.server.on("POST", "/api/v1/storage/files", [Behaviour::Hang]);
    let photo = world.photo();
    let run = start(&world, &["run", "glass_ball", photo]);
    world.server.wait_for_requests(1, TIMEOUT);
    run.signal("INT");
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("nothing is billed"), "{ran:?}");
    assert_eq!(world.submissions(), 1, "the upload alone");
}

#[test]
fn a_download_under_way_leaves_nothing_behind() {
    let world = World::new();
    let half = Response::new(200).body(crate::world::PHOTO);
    world.accepts();
    world.looks([world.completed()]);
    world.server.on("GET", "/out.png", [Behaviour::HangAfter { response: half, body_bytes: 5000 }]);
    let run = start(&world, &RUN);
    world.server.wait_for_requests(3, TIMEOUT);
    run.signal("INT");
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("effects wait task-1"), "{ran:?}");
    assert!(world.names().is_empty());
}

#[test]
fn a_run_leaves_a_pipe_that_has_no_reader() {
    let world = World::with_service();
    assert!(Command::new("mkfifo").arg(world.path("pipe")).status().unwrap().success());
    let run = start(&world, &[&RUN[..], &["-o", "pipe"]].concat());
    world.server.wait_for_requests(3, TIMEOUT);
    run.signal("INT");
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("effects wait task-1"), "{ran:?}");
}

#[test]
fn waiting_and_looking_can_be_interrupted_too() {
    let world = World::new();
    world.server.otherwise(Behaviour::Hang);
    for command in ["wait", "status"] {
        let before = world.server.requests().len();
        let run = start(&world, &[command, "task-1"]);
        world.server.wait_for_requests(before + 1, TIMEOUT);
        run.signal("INT");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("effects wait task-1"), "{ran:?}");
    }
}

#[test]
fn of_a_task_that_the_service_does_not_show_it_is_not_known_whether_it_is_billed() {
    let world = World::new();
    world.accepts();
    let missing = || Response::json(r#"{"error":{"message":"no such task"}}"#).status(404);
    world.server.otherwise(missing());
    let bill = "whether it is billed is not known";
    for line in [&["wait", "task-1", "--poll", "0.1"][..], &RUN] {
        let before = world.server.requests().len();
        let run = start(&world, line);
        world.server.wait_for_requests(before + 3, TIMEOUT);
        run.signal("INT");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("stopped watching task task-1"), "{ran:?}");
        assert!(ran.stderr.contains(bill) && !ran.stderr.contains("goes on"), "{ran:?}");
    }
    world.accepts();
    let ran = world.run(&[&RUN[..], &["--wait-timeout", "1"]].concat()).exits(5);
    assert!(ran.stderr.contains("the service does not show it; the wait is over"), "{ran:?}");
    assert!(ran.stderr.contains(bill) && !ran.stderr.contains("still running"), "{ran:?}");

    // Seen running, it goes on.
    world.server.otherwise(running());
    let run = start(&world, &["wait", "task-1", "--poll", "0.1"]);
    world.server.wait_for_requests(world.server.requests().len() + 3, TIMEOUT);
    run.signal("INT");
    let ran = run.end().exits(130);
    assert!(ran.stderr.contains("goes on, and is billed if it completes"), "{ran:?}");
}

#[test]
fn who_waits_for_what_nothing_answers_knows_it_and_leaves_at_once() {
    let world = World::new();
    let nowhere = format!("http://{}", unused_address());
    fs::write(world.path("rows.csv"), format!("template,image\nglass_ball,{}\n", world.photo()))
        .unwrap();
    for command in [
        &["status", "task-1"][..],
        &["run", "glass_ball", "cat.png", "--uploads", "gateway"],
        &["batch", "rows.csv", "--out", "out", "--uploads", "gateway"],
    ] {
        let mut run = start(&world, &[command, &["--base-url", &nowhere]].concat());
        run.wait_for_text(&format!("{nowhere} cannot be reached: "));
        run.signal("INT");
        let left = Instant::now();
        let ran = run.end().exits(130);
        // An upload and a look cost nothing, so their answers are not waited for.
        assert!(left.elapsed() < Duration::from_secs(15), "{ran:?}");
        assert!(ran.stderr.contains("effects wait task-1") || ran.stderr.contains("nothing"));
    }
}
