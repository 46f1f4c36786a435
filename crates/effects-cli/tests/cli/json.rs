//! The shapes `--json` prints.

use std::fs;

use effects_testkit::http::Response;
use serde_json::json;

use crate::world::{CREATE, CommandOutput, IMAGE, KEY, World, failed, running};

#[test]
fn run_and_wait_tell_of_pictures_and_bill() {
    let world = World::with_service();
    let arguments =
        ["run", "glass_ball", IMAGE, "--json", "--tag", "spring", "--poll", "0.05", "-o", "b.png"];
    let mut run = world.run(&arguments).exits(0).object();
    let response = run.as_object_mut().unwrap().remove("response").unwrap();
    assert_eq!((&response["status"], &response["request_id"]), (&json!(200), &json!(null)));
    assert_eq!(response["headers"]["content-type"], "application/json");
    let url = world.server.url("/out.png");
    let length = crate::world::PHOTO.len();
    let mut expected = json!({
        "schema": "effects.run.v1", "task_id": "task-1", "template": "glass_ball", "tag": "spring",
        "pictures": [
            {"url": url, "path": "b.png", "format": "png", "bytes": length, "job_id": "j-1"}
        ],
        "cost": "0.030", "discount": "1", "warning": null, "metadata": {"steps": 3},
    });
    assert_eq!(run, expected);

    world.looks([world.completed()]);
    let mut wait = world.run(&["wait", "task-1", "--json", "--no-download"]).exits(0).object();
    wait.as_object_mut().unwrap().remove("response").unwrap();
    expected["template"] = json!(null);
    expected["tag"] = json!(null);
    expected["pictures"][0]["path"] = json!(null);
    expected["pictures"][0]["format"] = json!(null);
    assert_eq!(wait, expected);
}

#[test]
fn results_and_errors_tell_the_exchange_without_the_key() {
    let world = World::new();
    let named = |response: Response| {
        response
            .header("x-trace-id", format!("trace-{KEY}-7"))
            .header("server", format!("gateway of {KEY}"))
            .header("set-cookie", format!("session={KEY}"))
    };
    let page = format!("<html>!{KEY} {}", "ü".repeat(2_000));
    world.server.on("POST", CREATE, [named(Response::html(page).status(502))]);
    let ran = world.run(&["run", "glass_ball", IMAGE, "--json"]).exits(8);
    let error = ran.object();
    assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
    let response = &error["response"];
    assert_eq!((&error["status"], &response["status"]), (&json!(502), &json!(502)));
    assert_eq!(response["request_id"], "trace-[key]-7");
    assert_eq!(response["headers"]["server"], "gateway of [key]");
    assert_eq!(response["headers"]["set-cookie"], json!(null));
    let body = response["body"].as_str().unwrap();
    assert!(body.starts_with("<html>![key] ü") && body.ends_with('ü'), "{body}");
    // Of the last character that begins before 2 KiB one byte would be left.
    assert_eq!(body.len(), 2_047);
    // By its own name the service's support finds a submission that is lost.
    let sent = world.server.requests()[0].header("x-request-id").unwrap().to_owned();
    assert_eq!(error["request_id"], sent);

    world.looks([named(world.completed())]);
    let wait = world.run(&["wait", "task-1", "--json", "--no-download"]).exits(0);
    assert!(!wait.stdout.contains(KEY), "{wait:?}");
    assert_eq!(wait.object()["request_id"], "trace-[key]-7");

    let manifest = format!("template,image\nglass_ball,{IMAGE}\n");
    fs::write(world.folder.path().join("rows.csv"), manifest).unwrap();
    world.server.on("POST", CREATE, [named(Response::json(r#"{"message":"no"}"#).status(422))]);
    let batch = world.run(&["batch", "rows.csv", "--out", "pictures", "--json"]);
    let row: serde_json::Value =
        serde_json::from_str(batch.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(row["error"]["request_id"], "trace-[key]-7", "{batch:?}");
    assert_eq!(row["error"]["response"]["body"], r#"{"message":"no"}"#);
}

#[test]
fn run_and_submit_say_that_they_try_again() {
    for command in ["run", "submit"] {
        let world = World::new();
        let throttled = Response::json(r#"{"message":"slow down"}"#).status(429);
        world.server.on("POST", CREATE, [throttled]);
        world.accepts();
        world.looks([world.completed()]);
        world.serves_picture();
        let ran = world.run(&[command, "glass_ball", IMAGE]).exits(0);
        let said = ran.stderr.lines().find(|line| line.starts_with("submitting again in"));
        assert!(said.is_some_and(|line| line.contains("HTTP 429: slow down")), "{ran:?}");
        assert_eq!(world.submissions(), 2);
    }
}

#[test]
fn the_body_on_the_wire_is_exactly_what_is_documented() {
    let world = World::with_service();
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05"];
    world.run(&run).exits(0);
    world.accepts();
    world.looks([world.completed()]);
    world.serves_picture();
    world.run(&[&run[..], &["--width", "512", "--height", "2048"]].concat()).exits(0);
    let bodies: Vec<String> = world
        .server
        .requests()
        .iter()
        .filter(|seen| seen.path() == CREATE)
        .map(|seen| String::from_utf8(seen.body.to_vec()).unwrap())
        .collect();
    let body = |size: &str| {
        format!(
            r#"{{"model":"spark_img_effects","input":[{{"params":{{"image_input1":"{IMAGE}","template_id":"glass_ball"{size}}}}}]}}"#
        )
    };
    assert_eq!(bodies, [body(""), body(r#","width":512,"height":2048"#)]);
}

#[test]
fn submit_prints_the_id_and_the_line_that_waits_for_it() {
    let world = World::with_service();
    let ran = world.run(&["submit", "glass_ball", IMAGE]).exits(0);
    assert_eq!(ran.stdout, "task-1\n");
    world.accepts();
    let object = world.run(&["submit", "glass_ball", IMAGE, "--json"]).exits(0).object();
    let resume = format!("effects wait task-1 --base-url {}", world.server.base_url());
    assert_eq!(
        object,
        json!({
            "schema": "effects.submit.v1", "task_id": "task-1", "template": "glass_ball",
            "tag": null, "resume": resume,
        })
    );
}

#[test]
fn status_looks_once_and_judges_nothing() {
    let world = World::new();
    world.looks([failed("3009097"), world.completed()]);
    let object = world.run(&["status", "task-1", "--json"]).exits(0).object();
    assert_eq!(object["schema"], "effects.status.v1");
    assert_eq!(object["response"]["status"], 200);
    assert!(object["response"]["headers"].is_object());
    assert_eq!((&object["status"], &object["final"]), (&json!("failed"), &json!(true)));
    assert_eq!(object["error"], json!({"code": "3009097", "message": "no luck"}));
    assert_eq!(object["raw"]["error"]["error_message"], "no luck");
    let ran = world.run(&["status", "task-1"]).exits(0);
    let url = world.server.url("/out.png");
    assert_eq!(
        ran.stdout,
        format!("completed\ncreated 2025-11-24T16:00:00.000Z\npicture {url}\ncost 0.030 USD\n")
    );
    assert_eq!(world.server.requests().len(), 2);
}

#[test]
fn check_and_templates_need_no_network() {
    let world = World::new();
    let object =
        world.run(&["check", "my_world", IMAGE, "--width", "512", "--json"]).exits(0).object();
    assert_eq!(
        object,
        json!({
            "schema": "effects.check.v1", "ok": true, "template": "my_world", "image": IMAGE,
            "width": 512, "height": null, "problems": [],
        })
    );
    let ran = world.run(&["templates", "spring", "wall", "--json"]).exits(0);
    assert_eq!(
        ran.object(),
        json!({
            "schema": "effects.template.v1", "title": "Spring Festival Red Wall",
            "id": "Spring_Festival_traditional_Chinese_architecture", "group": "festival",
        })
    );
    assert_eq!(world.run(&["templates"]).exits(0).stdout.lines().count(), 30);
    let ran = world.run(&["templates", "glas_ball"]).exits(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("glass_ball"), "{ran:?}");
    assert_eq!(world.server.connections(), 0);
}

/// Pasted as it stands, in the same shell.
#[test]
fn a_line_that_resumes_finds_the_key_where_the_command_did() {
    let world = World::new();
    world.accepts();
    world.looks([running(), world.completed()]);
    world.serves_picture();
    fs::write(world.path("my key"), KEY).unwrap();
    let url = world.server.base_url();
    let key = ["--base-url", &url, "--api-key-file", "my key", "--json"];
    let submit = ["submit", "glass_ball", IMAGE];
    let submitted =
        CommandOutput::of(&mut world.bare(&[&submit[..], &key].concat())).exits(0).object();
    let wait = ["wait", "task-1", "--wait-timeout", "0"];
    let error = CommandOutput::of(&mut world.bare(&[&wait[..], &key].concat())).exits(5).object();
    for line in [&submitted["resume"], &error["resume"]] {
        let line = line.as_str().unwrap();
        assert!(line.ends_with(" --api-key-file 'my key'") && !line.contains(KEY), "{line}");
    }
    let words = error["resume"].as_str().unwrap().replace("'my key'", "my_key");
    fs::copy(world.path("my key"), world.path("my_key")).unwrap();
    let words: Vec<&str> = words.split(' ').skip(1).collect();
    CommandOutput::of(&mut world.bare(&words)).exits(0);
}
