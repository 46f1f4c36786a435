//! Ctrl-C and SIGTERM: no paid task is lost.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use effects_testkit::http::{Behaviour, Response, unused_address};
use serde_json::{Value, json};

use crate::world::{CREATE, IMAGE, RunningCommand, TASK, TIMEOUT, World, held_response, running};

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

/// A replay that answers requests of one path never: the body of the recorded answer is a pipe beside the
/// cassette.
struct HeldReplay {
    world: World,
    pipe: PathBuf,
}

impl HeldReplay {
    /// A recording of [`RUN`], whose answer to requests of this path is held back.
    fn of(path: &str) -> Self {
        let world = World::with_service();
        let recorded = ["--no-journal", "-o", "recorded.png", "--cassette", "run.json"];
        world.run(&[&RUN[..], &recorded].concat()).exits(0);
        let (cassette, pipe) = (world.path("run.json"), world.path("answer"));
        let mut tape: Value = serde_json::from_slice(&fs::read(&cassette).unwrap()).unwrap();
        for exchange in tape["exchanges"].as_array_mut().unwrap() {
            if exchange["request"]["target"] == path {
                exchange["answer"]["body"] =
                    json!({ "sha256": "0".repeat(64), "bytes": 1, "file": "answer" });
            }
        }
        fs::write(&cassette, tape.to_string()).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        Self { world, pipe }
    }

    /// A command whose request is on its way, and stays so as long as the end of the pipe is open.
    fn start(&self, arguments: &[&str]) -> (RunningCommand, fs::File) {
        let run = start(&self.world, &[arguments, &["--cassette", "run.json"]].concat());
        let (pipe, (sender, opened)) = (self.pipe.clone(), mpsc::channel());
        // Opening it for writing waits until the command reads it: on a thread, for a command that never does.
        std::thread::spawn(move || {
            let _ = sender.send(fs::OpenOptions::new().write(true).open(pipe));
        });
        (run, opened.recv_timeout(TIMEOUT).unwrap().unwrap())
    }
}

/// Of a replay nothing is said that costs or goes on, and nothing that was sent.
fn speaks_of_no_paid_task(said: &str) {
    for wrong in [
        "paid task",
        "may be billed",
        "is billed if",
        "the task goes on",
        "whether it is billed",
        "support",
        "resolve",
        "resume",
        "effects wait",
        "paid for",
    ] {
        assert!(!said.contains(wrong), "{wrong:?}: {said}");
    }
}

#[test]
fn an_interrupted_replay_says_that_no_task_goes_on_and_nothing_is_paid() {
    let replay = HeldReplay::of(TASK);
    for line in [&RUN[..], &["wait", "task-1"], &["status", "task-1"]] {
        let (run, _held) = replay.start(&[line, &["--json"]].concat());
        run.signal("INT");
        let ran = run.end().exits(130);
        let words =
            "stopped watching task task-1; it is a replay: no task goes on, and nothing is paid";
        assert!(ran.stderr.ends_with(words), "{ran:?}");
        speaks_of_no_paid_task(&ran.stderr);
        let object = ran.object();
        assert_eq!((&object["message"], &object["kind"]), (&json!(words), &json!("detached")));
        assert_eq!((&object["task_id"], &object["resume"]), (&json!("task-1"), &Value::Null));
    }
}

#[test]
fn a_replay_left_while_its_submission_is_on_its_way_says_that_nothing_is_billed() {
    let replay = HeldReplay::of(CREATE);
    let submit = ["submit", "glass_ball", IMAGE];
    for line in [&RUN[..], &submit, &[&submit[..], &["--journal", "own.db"]].concat()] {
        let (mut run, _held) = replay.start(&[line, &["--json"]].concat());
        run.signal("INT");
        run.wait_for_text("interrupt again to leave");
        run.signal("INT");
        let ran = run.end().exits(130);
        let words = "left while the submission was on its way; this is a replay, in which nothing leaves \
                     this machine and nothing is billed";
        assert!(ran.stderr.ends_with(words), "{ran:?}");
        speaks_of_no_paid_task(&ran.stderr);
        let object = ran.object();
        assert_eq!(object["message"], words);
        assert!(object["request_id"].is_string() && object["idempotency_key"].is_string());
    }
}

#[test]
fn an_interrupted_batch_that_is_replayed_says_of_no_row_that_its_task_goes_on() {
    let replay = HeldReplay::of(TASK);
    fs::write(replay.world.path("rows.csv"), format!("template,image\nglass_ball,{IMAGE}\n"))
        .unwrap();
    let batch = ["batch", "rows.csv", "--out", "out", "--poll", "0.1", "--journal", "own.db"];
    let (mut run, _held) = replay.start(&batch);
    run.signal("INT");
    run.wait_for_text("interrupt again to leave");
    run.signal("INT");
    let ran = run.end().exits(130);
    // By the row's run, which names the task, or by the journal where that has not ended yet.
    let words = "; it is a replay: no task goes on, and nothing is paid";
    let manifest = fs::read_to_string(replay.world.path("out/manifest.jsonl")).unwrap();
    for said in [&ran.stderr, &manifest] {
        speaks_of_no_paid_task(said);
    }
    assert!(manifest.contains("stopped watching") && manifest.contains(words), "{manifest}");
}
