//! `effects emulator` with each of its flags, as a person who tests against it uses it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::world::{CommandOutput, IMAGE, RunningCommand, World};

/// An emulator in a process of its own, and how to reach it.
struct Server {
    process: RunningCommand,
    base_url: String,
    api_key: String,
}

impl Server {
    fn start(world: &World, flags: &[&str]) -> Self {
        let mut process =
            RunningCommand::new(world.bare(&[&["emulator", "--json"], flags].concat()));
        let object: Value = serde_json::from_str(&process.first_line()).unwrap();
        let text = |name: &str| object[name].as_str().unwrap().to_owned();
        Self { process, base_url: text("base_url"), api_key: text("api_key") }
    }

    /// A command at this emulator, in JSON.
    fn run(&self, world: &World, command: &[&str]) -> CommandOutput {
        let at = ["--base-url", &self.base_url, "--api-key", &self.api_key, "--json"];
        CommandOutput::of(&mut world.bare(&[command, &at].concat()))
    }

    /// A request of the control API.
    fn control(&self, path: &str, body: Option<&str>) -> Value {
        self.exchange(&format!("/_emulator/{path}"), body)
    }

    /// One exchange, without any client's help: a GET, or a POST of a body.
    fn exchange(&self, path: &str, body: Option<&str>) -> Value {
        let host = self.base_url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.unwrap_or_default();
        let (key, length) = (&self.api_key, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    fn stop(self) -> CommandOutput {
        self.process.signal("TERM");
        self.process.end().exits(0)
    }
}

#[test]
fn a_plan_of_faults_is_followed_and_nothing_is_paid_twice() {
    let world = World::new();
    let plan = r#"
        seed = 7
        [[fault]]
        on = "create"
        nth = 1
        kind = "reset"
        when = "after"

        [[fault]]
        on = "create"
        template = "my_world"
        kind = "fail"
        code = "3009095"

        [[fault]]
        on = "task"
        first = 2
        kind = "status"
        status = 503
        retry_after = { seconds = 0 }
    "#;
    fs::write(world.path("plan.toml"), plan).unwrap();
    let server = Server::start(&world, &["--pictures", "stub", "--faults", "plan.toml"]);
    let unknown =
        server.run(&world, &["run", "glass_ball", IMAGE, "--no-journal", "--poll", "0.05"]);
    assert_eq!(unknown.exits(8).object()["kind"], "outcome_unknown");
    let failed = server.run(&world, &["run", "my_world", IMAGE, "--no-journal", "--poll", "0.05"]);
    assert_eq!(failed.exits(4).object()["code"], "3009095");
    let done = server.run(
        &world,
        &["run", "glass_ball", IMAGE, "--no-journal", "--poll", "0.05", "-o", "out.png"],
    );
    assert_eq!(done.exits(0).object()["pictures"][0]["path"], "out.png");
    let counts = server.control("counts", None);
    assert_eq!((&counts["accepted"], &counts["creates_seen"]), (&3.into(), &3.into()));
    server.stop();
}

#[test]
fn tasks_outlive_a_kill_in_a_data_dir() {
    let world = World::new();
    let flags = ["--data-dir", "data", "--latency", "600ms", "--placeholder"];
    let server = Server::start(&world, &flags);
    let size = ["--width", "512", "--height", "512"];
    let ids: Vec<String> = ["glass_ball", "my_world"]
        .map(|template| {
            let command = [&["submit", template, "https://photos.invalid/cat.jpg"], &size[..]];
            let submitted = server.run(&world, &command.concat()).exits(0).object();
            submitted["task_id"].as_str().unwrap().to_owned()
        })
        .into();
    let key = server.api_key.clone();
    server.process.signal("KILL");
    assert_eq!(server.process.end().code, None);

    let server = Server::start(&world, &flags);
    assert_eq!(server.api_key, key);
    for id in &ids {
        let waited = server.run(&world, &["wait", id, "--poll", "0.05"]).exits(0).object();
        assert!(world.path(waited["pictures"][0]["path"].as_str().unwrap()).is_file());
    }
    assert_eq!(server.control("", None)["spent"], "0.06");
    server.stop();
}

#[test]
fn a_virtual_clock_moves_when_it_is_told_to() {
    let world = World::new();
    let flags = ["--pictures", "stub", "--clock", "virtual", "--latency", "2s,my_world=1h"];
    let server = Server::start(&world, &flags);
    let submit = |template| {
        let submitted = server.run(&world, &["submit", template, IMAGE]);
        submitted.exits(0).object()["task_id"].as_str().unwrap().to_owned()
    };
    let (ball, world_of_cubes) = (submit("glass_ball"), submit("my_world"));
    let status = |id: &str| server.run(&world, &["status", id]).exits(0).object();
    assert_eq!(status(&ball)["status"], "in_progress");
    server.control("clock/advance", Some(r#"{"seconds": 2}"#));
    assert_eq!(status(&ball)["status"], "completed");
    assert_eq!(status(&world_of_cubes)["status"], "in_progress");
    server.stop();
}

#[test]
fn dialects_differ_in_their_codes_and_both_are_read() {
    let world = World::new();
    for (dialect, code) in [("spec", Value::from("3009097")), ("sdk", Value::from(3_009_097))] {
        let server = Server::start(&world, &["--dialect", dialect, "--port", "0"]);
        // No host is called so: the photo cannot be fetched, and the host is named.
        let image = "https://photos.invalid/cat.jpg";
        let failed = server
            .run(&world, &["run", "glass_ball", image, "--no-journal", "--poll", "0.05"])
            .exits(4);
        assert_eq!(failed.object()["code"], "3009097");
        assert!(failed.stderr.contains("photos.invalid"), "{failed:?}");
        let task = failed.object()["task_id"].as_str().unwrap().to_owned();
        let task = server.exchange(&format!("/model/v1/generation/task/{task}"), None);
        assert_eq!(task["error"]["code"], code);
        server.stop();
    }
}

#[test]
fn listening_to_other_machines_it_warns() {
    let world = World::new();
    let server = Server::start(&world, &["--host", "0.0.0.0", "--pictures", "stub"]);
    assert!(server.base_url.starts_with("http://127.0.0.1:"), "{}", server.base_url);
    let ran = server.stop();
    assert!(ran.stderr.contains("warning: listening on 0.0.0.0:"), "{ran:?}");
}

#[test]
fn what_it_cannot_be_is_told_with_its_name() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    fs::write(world.path("plan.toml"), "[[fault]]\non = \"task\"\nkind = \"no-url\"\n").unwrap();
    for (flags, named) in [
        (["--price=-1"].as_slice(), "price"),
        (&["--api-key", "two words"], "api_key"),
        (&["--data-dir", "file"], "file"),
        (&["--faults", "plan.toml"], "plan.toml"),
        (&["--latency", "9s..2s"], "latency"),
        (&["--clock", "sundial"], "clock"),
        (&["--pictures", "none"], "pictures"),
        (&["--port", "65536"], "port"),
    ] {
        let ran = CommandOutput::of(&mut world.bare(&[&["emulator"], flags].concat())).exits(2);
        assert!(ran.stderr.contains(named) && ran.stdout.is_empty(), "{ran:?}");
    }
}
