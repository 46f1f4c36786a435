//! The key goes to the gateway and nowhere else.

use std::fs;

use effects_testkit::http::{Response, ScriptedServer};

use crate::world::{CREATE, IMAGE, KEY, Ran, World, failed};

/// The most talkative there is.
fn loud(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.command(arguments);
    let ran = Ran::of(command.arg("-vvv").env("RUST_LOG", "trace"));
    for said in [&ran.stdout, &ran.stderr] {
        assert!(!said.contains(KEY), "{said}");
    }
    ran
}

#[test]
fn no_log_no_error_and_no_result_holds_the_key() {
    let world = World::with_service();
    let run = ["run", "glass_ball", IMAGE, "--json", "--poll", "0.05"];
    let ran = loud(&world, &run).exits(0);
    assert!(ran.stderr.contains("task{template=\"glass_ball\""), "{ran:?}");
    loud(&world, &["run", "glass_ball", "nothing.jpg"]).exits(2);
    // A gateway that repeats the key it was given.
    let echo = |status: u16| Response::json(format!(r#"{{"message":"key {KEY}"}}"#)).status(status);
    for status in [200, 400, 401, 402, 500] {
        world.server.on("POST", CREATE, [echo(status)]);
        loud(&world, &["submit", "glass_ball", IMAGE, "--json"]);
    }
    let echoing = failed("3009095").body(format!(
        r#"{{"id":"task-1","status":"failed","error":{{"error_message":"{KEY}"}}}}"#
    ));
    world.looks([echoing.clone(), echoing]);
    loud(&world, &["wait", "task-1", "--json"]).exits(4);
    loud(&world, &["status", "task-1", "--json"]).exits(0);
    for arguments in [&["--help"][..], &["run", "--help"], &["run", "--nope"]] {
        loud(&world, arguments);
    }
}

#[test]
fn a_key_on_the_command_line_or_in_a_file_is_used_and_not_shown() {
    let world = World::new();
    fs::write(world.path("key"), format!("{KEY}\n")).unwrap();
    for option in [["--api-key", KEY], ["--api-key-file", "key"]] {
        let mut command = world.command(&["submit", "glass_ball", IMAGE, "-vvv"]);
        let ran = Ran::of(command.env("EFFECTS_API_KEY", "another").args(option));
        assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
        let seen = world.server.requests().pop().unwrap();
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    }
}

#[test]
fn the_host_of_a_picture_never_gets_it() {
    let world = World::new();
    let other = ScriptedServer::start().unwrap();
    world.accepts();
    let body = format!(
        r#"{{"id":"task-1","status":"completed","output":[{{"content":[{{"url":"{}"}}]}}]}}"#,
        other.url("/out.png")
    );
    world.looks([Response::json(body)]);
    other.on("GET", "/out.png", [Response::new(200).body(crate::world::PHOTO)]);
    world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05"]).exits(0);
    let seen = other.requests();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].headers.iter().all(|(_, value)| !value.contains(KEY)));
}
