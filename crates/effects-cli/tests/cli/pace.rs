//! What is learnt of durations is kept in the user's state folder, and looked by next time.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use effects_testkit::http::Response;
use serde_json::json;

use crate::world::{CREATE, CommandOutput, IMAGE, TASK, World, running};

/// A gateway that is not this machine, as far as the command can tell: reached through a proxy that
/// takes every host for the world's server. Ends with the test's process.
fn elsewhere(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let server = world.server.base_url().trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for client in listener.incoming() {
            let server = TcpStream::connect(&server).unwrap();
            thread::spawn(move || tunnel(client.unwrap(), server));
        }
    });
    proxy
}

/// Answers CONNECT, then carries bytes both ways.
fn tunnel(mut client: TcpStream, mut server: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"CONNECT "), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upward = thread::spawn(move || {
        // Either side may leave at any moment.
        let _ = io::copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    upward.join().unwrap();
}

fn wait(world: &World, proxy: &str, state: &str) -> CommandOutput {
    world.looks([running(), world.completed()]);
    let arguments = ["run", "glass_ball", IMAGE, "--no-download", "--allow-http", "--poll", "0.05"];
    let mut command = world.command(&arguments);
    command.env("EFFECTS_BASE_URL", "http://gateway.example.com").env("http_proxy", proxy);
    CommandOutput::of(command.env("EFFECTS_STATE_DIR", world.path(state)))
}

#[test]
fn what_one_run_learns_the_next_one_knows() {
    let world = World::new();
    let proxy = elsewhere(&world);
    world.accepts();
    wait(&world, &proxy, "state").exits(0);
    let kept = || fs::read_to_string(world.path("state/pace.json")).unwrap();
    let pairs = |text: &str| {
        let models: serde_json::Value = serde_json::from_str(text).unwrap();
        let spans = &models["origins"]["http://gateway.example.com"]["glass_ball"]["spans"];
        spans.as_array().unwrap().len() / 2
    };
    assert_eq!(pairs(&kept()), 1, "{}", kept());
    world.accepts();
    let ran = wait(&world, &proxy, "state").exits(0);
    assert_eq!(pairs(&kept()), 2, "{}", kept());
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
}

#[test]
fn a_batchs_report_tells_what_was_learnt_before_it_beside_what_it_took() {
    let world = World::new();
    let proxy = elsewhere(&world);
    let report = |number: usize| {
        let rows = format!("template,image\nglass_ball,https://example.com/{number}.jpg\n");
        fs::write(world.path("rows.csv"), rows).unwrap();
        let running = format!(r#"{{"id":"task-{number}","status":"in_progress"}}"#);
        let completed = String::from_utf8(world.completed_body()).unwrap();
        let completed = completed.replace("task-1", &format!("task-{number}"));
        world.server.on("POST", CREATE, [Response::json(running.clone())]);
        let path = TASK.replace("task-1", &format!("task-{number}"));
        world.server.on("GET", &path, [Response::json(running), Response::json(completed)]);
        world.serves_picture();
        let line = ["batch", "rows.csv", "--out", "out", "--allow-http", "--poll", "0.05"];
        let mut command = world.command(&[&line[..], &["--report", "report.html"]].concat());
        command.env("EFFECTS_BASE_URL", "http://gateway.example.com").env("http_proxy", &proxy);
        CommandOutput::of(&mut command).exits(0);
        let page = fs::read_to_string(world.path("report.html")).unwrap();
        let (_, data) = page.split_once("id=\"durations\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        serde_json::from_str::<serde_json::Value>(data).unwrap()
    };
    let first = report(1);
    assert_eq!((&first["learnt"], &first["templates"][0]["earlier"]), (&json!(null), &json!(0)));
    let second = report(2);
    let template = &second["templates"][0];
    assert_eq!((&template["template"], &template["earlier"]), (&json!("glass_ball"), &json!(1)));
    assert!(template["learnt"]["half"].is_f64(), "{second}");
    assert_eq!(
        second["learnt"].as_array().unwrap().len(),
        second["seen"].as_array().unwrap().len()
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_one_warning() {
    let world = World::new();
    let proxy = elsewhere(&world);
    fs::write(world.path("file"), "").unwrap();
    world.accepts();
    let ran = wait(&world, &proxy, "file/state").exits(0);
    assert_eq!(ran.stderr.matches("warning: ").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("file/state"), "{ran:?}");
}

#[test]
fn nothing_is_kept_of_a_gateway_on_this_machine() {
    let world = World::with_service();
    let run = ["run", "glass_ball", IMAGE, "--no-download", "--poll", "0.05"];
    let mut command = world.command(&run);
    CommandOutput::of(command.env("EFFECTS_STATE_DIR", world.path("state"))).exits(0);
    let photo = world.photo();
    let run = ["run", "glass_ball", photo, "--emulator", "--no-download", "--width", "512"];
    let mut command = world.command(&run);
    CommandOutput::of(command.env("EFFECTS_STATE_DIR", world.path("state"))).exits(0);
    assert!(!world.path("state/pace.json").exists(), "{:?}", world.names());
}
