//! Every exit code, and that it is the table's.

use effects_core::ErrorKind;
use effects_testkit::http::{Behaviour, Response, unused_address};

use crate::world::{CREATE, CommandOutput, IMAGE, TASK, World, failed, running};

const RUN: [&str; 5] = ["run", "glass_ball", IMAGE, "--poll", "0.05"];

/// Runs with `--json` and checks kind and code against the table.
fn ends(world: &World, arguments: &[&str], kind: ErrorKind) -> CommandOutput {
    let arguments = [arguments, &["--json"]].concat();
    let ran = world.run(&arguments).exits(kind.exit_code().into());
    let object = ran.object();
    assert_eq!(object["schema"], "effects.error.v1");
    assert_eq!(object["kind"], kind.name(), "{ran:?}");
    assert_eq!(object["exit_code"], kind.exit_code());
    assert!(ran.stderr.contains("error: "), "{ran:?}");
    ran
}

fn answered(response: impl Into<Behaviour>) -> World {
    let world = World::new();
    world.server.on("POST", CREATE, [response.into()]);
    world
}

#[test]
fn a_finished_run_exits_0() {
    let world = World::with_service();
    let ran = world.run(&RUN).exits(0);
    assert_eq!(ran.stdout, "glass_ball-task-1.png\n");
    assert!(ran.stderr.contains("task task-1 submitted"), "{ran:?}");
    assert_eq!(world.names(), ["glass_ball-task-1.png"]);
}

#[test]
fn refusals_exit_2_3_and_6_and_nothing_is_sent_twice() {
    let refusal = |status: u16, words: &str| {
        let body = format!(r#"{{"message":"{words}","error":{{"code":1,"message":"{words}"}}}}"#);
        answered(Response::json(body).status(status))
    };
    for (world, kind) in [
        (refusal(400, "bad"), ErrorKind::Rejected),
        (answered(Response::html("nothing here").status(404)), ErrorKind::NoSuchEndpoint),
        (answered(Response::redirect(302, "https://example.com/login")), ErrorKind::Redirected),
        (refusal(401, "who are you"), ErrorKind::KeyRefused),
        (refusal(403, "not you"), ErrorKind::Forbidden),
        (refusal(403, "insufficient balance"), ErrorKind::OutOfCredit),
        (refusal(402, "pay first"), ErrorKind::OutOfCredit),
    ] {
        let ran = ends(&world, &RUN, kind);
        assert!(ran.object()["task_id"].is_null());
        assert_eq!(world.submissions(), 1);
        assert!(world.names().is_empty());
    }
}

#[test]
fn what_nothing_answers_ends_after_its_own_time_and_exits_7() {
    let world = World::new();
    let nowhere = format!("http://{}", unused_address());
    let place = ["--base-url", &nowhere, "--first-answer-timeout", "1s"];
    for (command, kind) in [
        (&["run", "glass_ball", IMAGE][..], ErrorKind::Transport),
        (&["submit", "glass_ball", IMAGE], ErrorKind::Transport),
        (&["run", "glass_ball", world.photo(), "--uploads", "gateway"], ErrorKind::Upload),
    ] {
        let begun = std::time::Instant::now();
        ends(&world, &[command, &place].concat(), kind);
        assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{command:?}");
    }
}

#[test]
fn a_deadline_ends_all_of_it_and_names_what_is_paid_for() {
    let deadline = ["--deadline", "1s"];
    let hangs = |method: &str, path: &str, world: &World| {
        let often: Vec<Behaviour> = (0..9).map(|_| Behaviour::Hang).collect();
        world.server.on(method, path, often);
    };
    let upload = ["run", "glass_ball", "cat.png", "--uploads", "gateway"];
    for (hangs_at, command, kind) in [
        (("POST", "/api/v1/storage/files"), &upload[..], ErrorKind::DeadlineExceeded),
        (("GET", TASK), &RUN[..], ErrorKind::WaitTimeout),
        (("GET", "/out.png"), &RUN[..], ErrorKind::Download),
    ] {
        let world = World::new();
        world.photo();
        hangs(hangs_at.0, hangs_at.1, &world);
        if kind != ErrorKind::WaitTimeout {
            world.looks([world.completed()]);
        }
        world.accepts();
        world.serves_picture();
        let begun = std::time::Instant::now();
        let ran = ends(&world, &[command, &deadline].concat(), kind);
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{ran:?}");
        let paid = kind != ErrorKind::DeadlineExceeded;
        assert_eq!(
            ran.object()["task_id"],
            if paid { "task-1".into() } else { serde_json::Value::Null }
        );
        assert_eq!(world.submissions() - usize::from(!paid), usize::from(paid));
        assert_eq!(ran.stderr.contains("effects wait task-1"), paid, "{ran:?}");
    }
}

#[test]
fn a_word_that_sounds_final_is_told_once_and_named_at_the_end_of_the_wait() {
    let world = World::new();
    world.accepts();
    let archived = || Response::json(r#"{"id":"task-1","status":"archived"}"#);
    world.looks((0..50).map(|_| archived()));
    let line = [&RUN[..], &["--wait-timeout", "500ms"]].concat();
    let ran = ends(&world, &line, ErrorKind::WaitTimeout);
    let warned = |line: &&str| line.starts_with("warning: ") && line.contains("\"archived\"");
    assert_eq!(ran.stderr.lines().filter(warned).count(), 1, "{ran:?}");
    assert!(ran.object()["message"].as_str().unwrap().contains("archived"), "{ran:?}");

    let world = World::new();
    world.accepts();
    world.looks([Response::json(r#"{"id":"task-1","status":"rejected"}"#)]);
    let ran = ends(&world, &RUN, ErrorKind::TaskFailed);
    assert!(ran.object()["message"].as_str().unwrap().contains("rejected"), "{ran:?}");
}

#[test]
fn a_wait_adds_no_more_than_its_last_look() {
    let world = World::new();
    world.server.on("GET", TASK, (0..9).map(|_| Behaviour::Hang));
    for last_look in ["0", "1s"] {
        let begun = std::time::Instant::now();
        let line = ["wait", "task-1", "--wait-timeout", "500ms", "--last-look", last_look];
        let ran = ends(&world, &line, ErrorKind::Transport);
        assert!(begun.elapsed() < std::time::Duration::from_secs(8), "{last_look}");
        // Said of the exchange, and not of the HTTP library's setting.
        assert!(!ran.stderr.contains("global"), "{ran:?}");
    }
}

#[test]
fn a_missing_key_exits_3_and_says_where_keys_are_made() {
    let world = World::new();
    let ran = CommandOutput::of(&mut world.bare(&RUN)).exits(3);
    assert!(ran.stderr.contains("API key page"), "{ran:?}");
    // In the words of the command alone.
    assert!(ran.stderr.contains("--api-key-file FILE"), "{ran:?}");
    assert!(!ran.stderr.contains("api_key") && !ran.stderr.contains("Emulator"), "{ran:?}");
    let mut command = world.bare(&RUN);
    command.env("VTRIX_API_KEY", "other").env("EFFECTS_BASE_URL", world.server.base_url());
    // Nothing is scripted: 404 without JSON. The key was found.
    CommandOutput::of(&mut command).exits(2);
    assert_eq!(world.server.requests()[0].header("authorization"), Some("Bearer other"));
}

#[test]
fn tasks_without_a_picture_exit_4_with_their_id() {
    let world = World::new();
    world.accepts();
    world.looks([failed("3009095")]);
    let object = ends(&world, &RUN, ErrorKind::TaskFailed).object();
    assert_eq!((&object["task_id"], &object["code"]), (&"task-1".into(), &"3009095".into()));
    assert!(object["resume"].is_null());

    let world = World::new();
    world.accepts();
    let without = || Response::json(r#"{"id":"task-1","status":"completed","output":[{"img":1}]}"#);
    world.looks([without(), without()]);
    let ran = ends(&world, &RUN, ErrorKind::NoPicture);
    assert!(ran.stderr.contains(r#"[{"img":1}]"#), "{ran:?}");
    assert!(ran.stderr.contains("effects status task-1 --json"), "{ran:?}");
    // With the options by which it finds the gateway again.
    let url = world.server.base_url();
    let ran = world.run(&["wait", "task-1", "--base-url", &url, "--no-download"]).exits(4);
    let line = format!("effects status task-1 --json --base-url {url}");
    assert!(ran.stderr.contains(&line), "{ran:?}");

    let world = World::new();
    ends(&world, &["status", "task-1"], ErrorKind::TaskNotFound);
}

#[test]
fn a_link_that_is_not_whole_is_the_gateways_and_is_shown_whole() {
    let world = World::new();
    let done = || {
        Response::json(r#"{"id":"task-1","status":"completed","output":["/out.png"]}"#.to_owned())
    };
    world.accepts();
    world.looks([done(), done()]);
    world.serves_picture();
    world.run(&RUN).exits(0);
    assert_eq!(world.names(), ["glass_ball-task-1.png"]);
    let status = world.run(&["status", "task-1", "--json"]).exits(0).object();
    assert_eq!(status["pictures"][0]["url"], world.server.url("/out.png"));
    assert_eq!(status["raw"]["output"][0], "/out.png");
    // The key was for the looks alone.
    let fetched = world.server.requests().into_iter().find(|seen| seen.path() == "/out.png");
    assert_eq!(fetched.unwrap().header("authorization"), None);
}

#[test]
fn a_wait_that_ends_exits_5_with_the_line_that_resumes() {
    let world = World::new();
    world.accepts();
    world.server.otherwise(running());
    let arguments = [&RUN[..], &["--wait-timeout", "300ms"]].concat();
    let ran = ends(&world, &arguments, ErrorKind::WaitTimeout);
    let line = format!("effects wait task-1 --base-url {}", world.server.base_url());
    assert_eq!(ran.object()["resume"], line.as_str());
    assert!(ran.stderr.contains(&line), "{ran:?}");

    // And so it does.
    world.looks([world.completed()]);
    world.serves_picture();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let ran = world.run(&words).exits(0);
    assert_eq!(ran.stdout, "task-1.png\n");
    assert_eq!(world.submissions(), 1);
}

#[test]
fn an_unreachable_service_exits_7() {
    let world = World::new();
    let nowhere = format!("http://{}", unused_address());
    let arguments = [&RUN[..], &["--base-url", &nowhere, "--wait-timeout", "1"]].concat();
    let ran = ends(&world, &arguments, ErrorKind::Transport);
    assert!(ran.stderr.contains("submitting again"), "{ran:?}");
}

#[test]
fn a_poll_that_the_service_bars_keeps_the_id() {
    let world = World::new();
    world.accepts();
    world.looks([Response::json(r#"{"error":"Missing Token"}"#).status(401)]);
    let object = ends(&world, &RUN, ErrorKind::KeyRefused).object();
    assert_eq!(object["task_id"], "task-1");
    assert!(object["resume"].as_str().unwrap().starts_with("effects wait task-1 --base-url http"));
}

#[test]
fn a_refusal_that_is_not_the_gateways_own_is_told_once_and_outlasted() {
    let world = World::new();
    world.accepts();
    let page = || Response::html("<title>Just a moment...</title>").status(403);
    let gone = || Response::json(r#"{"message":"moved"}"#).status(410);
    world.looks([page(), page(), gone(), page(), gone(), world.completed()]);
    world.serves_picture();
    let ran = world.run(&RUN).exits(0);
    let line_count = |text: &str| ran.stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!((line_count("Just a moment..."), line_count("HTTP 410")), (1, 1), "{ran:?}");
}

#[test]
fn a_task_that_is_not_found_to_the_end_is_unknown_unless_the_journal_knows_it() {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"message":"no such task"}"#).status(404));
    let wait = ["wait", "task-1", "--wait-timeout", "300ms", "--poll", "0.05"];
    let object = ends(&world, &wait, ErrorKind::TaskNotFound).object();
    assert_eq!(
        (&object["task_id"], &object["resume"]),
        (&"task-1".into(), &serde_json::Value::Null)
    );

    world.accepts();
    world.run(&["submit", "glass_ball", IMAGE]).exits(0);
    let object = ends(&world, &wait, ErrorKind::WaitTimeout).object();
    assert_eq!((&object["task_id"], &object["status"]), (&"task-1".into(), &404.into()));
}

#[test]
fn a_failed_download_exits_7_with_the_url_and_leaves_nothing() {
    let world = World::new();
    world.accepts();
    world.looks([world.completed()]);
    world.server.on("GET", "/out.png", [Response::new(410)]);
    let ran = ends(&world, &RUN, ErrorKind::Download);
    assert!(ran.stderr.contains(&world.server.url("/out.png")), "{ran:?}");
    assert_eq!(ran.object()["task_id"], "task-1");
    assert!(world.names().is_empty());
}

#[test]
fn a_lost_answer_exits_8_after_one_submission() {
    let world = answered(Behaviour::Close);
    let object = ends(&world, &RUN, ErrorKind::OutcomeUnknown).object();
    let requests = world.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(object["request_id"].as_str(), requests[0].header("x-request-id"));
    assert_eq!(object["idempotency_key"].as_str(), requests[0].header("idempotency-key"));

    let world = answered(Response::new(500));
    ends(&world, &["submit", "glass_ball", IMAGE], ErrorKind::OutcomeUnknown);
    assert_eq!(world.submissions(), 1);
}

#[test]
fn throttling_to_the_end_exits_9() {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"message":"slow down"}"#).status(429));
    let arguments = [&RUN[..], &["--wait-timeout", "3s"]].concat();
    ends(&world, &arguments, ErrorKind::RateLimited);
    assert!(world.submissions() >= 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_stdout_that_takes_nothing_exits_1_and_the_result_is_not_lost() {
    let world = World::with_service();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran =
        CommandOutput::of(world.command(&["submit", "glass_ball", IMAGE]).stdout(full)).exits(1);
    assert!(ran.stderr.contains("task-1"), "{ran:?}");
}
