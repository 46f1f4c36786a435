//! `effects doctor` against the emulator, against nothing, behind a proxy that refuses, and with a key that is
//! refused; and the one real task of `--live`.

use effects_emulator::Emulator;
use effects_testkit::http::{Response, ScriptedServer, unused_address};
use serde_json::{Value, json};

use crate::world::{CommandOutput, KEY, World, names};

/// Runs it at a URL with a key, in JSON.
fn doctor(world: &World, url: &str, key: &str, more: &[&str]) -> CommandOutput {
    let mut command = world.bare(&[&["doctor", "--json"], more].concat());
    CommandOutput::of(command.env("EFFECTS_BASE_URL", url).env("EFFECTS_API_KEY", key))
}

/// The status of the check of this name, and what it says.
fn check(ran: &CommandOutput, name: &str) -> (String, String) {
    let object = ran.object();
    let checks = object["checks"].as_array().unwrap();
    let found = checks.iter().rfind(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name}: {ran:?}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), format!("{} {}", text("message"), text("way_out")))
}

fn status(ran: &CommandOutput, name: &str) -> String {
    check(ran, name).0
}

const CHECKS: [&str; 8] = [
    "base url",
    "proxy",
    "certificates",
    "client cert",
    "key",
    "state folder",
    "journal",
    "uploads",
];

#[test]
fn the_files_of_certificates_are_named_with_where_they_are_set_and_read() {
    let world = World::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/certificates");
    let file = |name: &str| format!("{folder}/{name}");
    let (bundle, cert, key) = (file("ca.pem"), file("client.pem"), file("server.key"));
    let url = format!("https://{}", unused_address());
    let ran = doctor(&world, &url, KEY, &["--ca-bundle", &bundle, "--client-cert", &cert]).exits(7);
    let said = |ran: &CommandOutput, name: &str| {
        let (status, message) = check(ran, name);
        format!("{status} {message}")
    };
    assert_eq!(
        said(&ran, "certificates").trim(),
        format!("ok those of {bundle}, from --ca-bundle")
    );
    assert_eq!(said(&ran, "client cert").trim(), format!("ok that of {cert}, from --client-cert"));

    let mut command = world.bare(&["doctor", "--json"]);
    command.env("EFFECTS_BASE_URL", &url).env("EFFECTS_API_KEY", KEY);
    command.env("EFFECTS_CA_BUNDLE", file("none.pem")).env("EFFECTS_CLIENT_CERT", &cert);
    let ran = CommandOutput::of(command.env("EFFECTS_CLIENT_KEY", &key)).exits(2);
    let trust = said(&ran, "certificates");
    assert!(
        trust.starts_with("fail ")
            && trust.contains("none.pem, from EFFECTS_CA_BUNDLE cannot be read"),
        "{trust}"
    );
    let shown = said(&ran, "client cert");
    assert!(shown.starts_with("fail ") && shown.contains("do not go together"), "{shown}");

    // A profile's, too, and its proxy without the password.
    let profile = format!(
        "[studio]\nbase_url = \"{url}\"\napi_key_command = \"echo {KEY}\"\nca_bundle = \"{bundle}\"\n\
         proxy = \"http://me:hunter2@127.0.0.1:9\"\n"
    );
    let settings = world.path("settings");
    std::fs::create_dir(&settings).unwrap();
    std::fs::write(settings.join("profiles.toml"), profile).unwrap();
    let mut command = world.bare(&["doctor", "--json", "--profile", "studio"]);
    let ran = CommandOutput::of(command.env("EFFECTS_CONFIG_DIR", &settings)).exits(7);
    assert!(
        said(&ran, "certificates").contains(&format!("{bundle}, from profile studio")),
        "{ran:?}"
    );
    assert_eq!(said(&ran, "proxy").trim(), "ok 127.0.0.1:9, from profile studio");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}

#[test]
fn at_a_gateway_that_works_everything_is_ok_and_nothing_is_made() {
    let (world, emulator) = (World::new(), Emulator::start().unwrap());
    let ran = doctor(&world, emulator.base_url(), emulator.api_key(), &[]).exits(0);
    let object = ran.object();
    assert_eq!((&object["schema"], &object["ok"]), (&json!("effects.doctor.v1"), &json!(true)));
    for name in CHECKS {
        assert_eq!(status(&ran, name), "ok", "{name}: {ran:?}");
    }
    for name in ["gateway", "key accepted", "clock"] {
        assert_eq!(status(&ran, name), "ok", "{name}: {ran:?}");
    }
    assert!(check(&ran, "key").1.contains("EFFECTS_API_KEY"), "{ran:?}");
    assert!(!format!("{ran:?}").contains(emulator.api_key()), "{ran:?}");
    assert_eq!(emulator.counts().accepted, 0);
    assert!(world.names().is_empty() && names(world.state.path()).is_empty());

    let mut command = world.bare(&["doctor"]);
    command.env("EFFECTS_BASE_URL", emulator.base_url());
    let lines =
        CommandOutput::of(command.env("EFFECTS_API_KEY", emulator.api_key())).exits(0).stdout;
    assert!(lines.lines().all(|line| line.starts_with("ok ")), "{lines}");
}

#[test]
fn where_nothing_listens_the_gateway_fails_and_this_machine_is_looked_at_all_the_same() {
    let world = World::new();
    let url = format!("http://{}", unused_address());
    let ran = doctor(&world, &url, KEY, &[]).exits(7);
    let (failed, message) = check(&ran, "gateway");
    assert_eq!(failed, "fail");
    assert!(message.contains("check the base URL"), "{message}");
    assert!(message.contains("cannot be reached: nothing listens there"), "{message}");
    assert!(!message.contains("io: ") && !message.contains("never left"), "{message}");
    assert_eq!(status(&ran, "journal"), "ok");
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let world = World::new();
    world.server.otherwise(Response::new(407).body("no"));
    let proxy = world.server.base_url().replace("http://", "http://me:hunter2@");
    let mut command = world.bare(&["doctor", "--json", "--allow-http"]);
    command.env("EFFECTS_BASE_URL", "http://gateway.example.com").env("EFFECTS_API_KEY", KEY);
    let ran = CommandOutput::of(command.env("http_proxy", proxy)).exits(7);
    let (known, message) = check(&ran, "proxy");
    assert_eq!(known, "ok");
    assert!(message.contains(&world.server.base_url()), "{message}");
    assert_eq!(status(&ran, "gateway"), "fail");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}

#[test]
fn a_key_that_is_refused_or_missing_says_where_keys_are_made() {
    let (world, emulator) = (World::new(), Emulator::start().unwrap());
    let ran = doctor(&world, emulator.base_url(), KEY, &[]).exits(3);
    assert_eq!(status(&ran, "gateway"), "ok");
    let (refused, message) = check(&ran, "key accepted");
    assert_eq!(refused, "fail");
    assert!(message.contains("API key page"), "{message}");
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");

    let ran = doctor(&world, emulator.base_url(), "", &[]).exits(3);
    let (missing, message) = check(&ran, "key");
    assert_eq!(missing, "fail");
    assert!(message.contains("API key page"), "{message}");
}

#[test]
fn what_answers_and_is_no_gateway_and_what_cannot_be_set_up_are_told() {
    let world = World::new();
    world.server.otherwise(Response::new(404).body("<html>not here</html>"));
    let ran = doctor(&world, &world.server.base_url(), KEY, &[]).exits(2);
    assert!(check(&ran, "gateway").1.contains("not the gateway's API"), "{ran:?}");

    let ran = doctor(&world, "http://example.com", KEY, &[]).exits(2);
    assert_eq!(status(&ran, "base url"), "fail");
    let ran = doctor(&world, &world.server.base_url(), KEY, &["--uploads", "command=nowhere"]);
    assert_eq!(status(&ran, "uploads"), "fail");
    std::fs::write(world.path("broken.db"), "not a journal, but long enough to be no database")
        .unwrap();
    let ran = doctor(&world, &world.server.base_url(), KEY, &["--journal", "broken.db"]);
    assert_eq!(status(&ran, "journal"), "fail");
}

#[test]
fn a_clock_that_is_wrong_is_a_warning() {
    let world = World::new();
    let old = Response::json(r#"{"error":{"message":"no such task"}}"#).status(404);
    world.server.otherwise(old.header("Date", "Sun, 06 Nov 1994 08:49:37 GMT"));
    let ran = doctor(&world, &world.server.base_url(), KEY, &[]).exits(0);
    let (odd, message) = check(&ran, "clock");
    assert_eq!(odd, "warn");
    assert!(message.contains("ahead of the gateway's"), "{message}");
}

#[test]
fn one_real_task_shows_which_facts_hold() {
    let (world, emulator) = (World::new(), Emulator::start().unwrap());
    let live = ["--live", "--budget", "0.10", "--poll", "0.05"];
    let ran = doctor(&world, emulator.base_url(), emulator.api_key(), &live).exits(0);
    assert_eq!(emulator.counts().accepted, 1);
    // No price is known yet, and that is said before.
    assert!(ran.stderr.contains("may cost more than --budget 0.10: --price USD says"), "{ran:?}");
    let object = ran.object();
    let facts = object["live"]["facts"].as_array().unwrap();
    let verdict = |fact: &str| {
        let found = facts.iter().find(|row| row["fact"].as_str().unwrap().contains(fact));
        found.unwrap()["verdict"].clone()
    };
    for fact in ["bearer key", "`POST /model/v1/generation`"] {
        assert_eq!(verdict(fact), "confirmed", "{fact}: {ran:?}");
    }
    // One task shows a part of these: one template, no error code, not every status, no repeated submission.
    for fact in
        ["the four parameters", "`usage.cost` as text", "`in_progress`", "`Idempotency-Key`"]
    {
        assert_eq!(verdict(fact), "partly", "{fact}: {ran:?}");
    }
    assert_eq!(verdict("the storage endpoint"), "confirmed", "{ran:?}");
    assert_eq!(verdict("`Retry-After`"), "not_seen", "{ran:?}");
    assert_eq!(object["live"]["cost"], "0.03");
    let text = format!("{ran:?}");
    assert!(!text.contains(emulator.api_key()), "{text}");
    // Neither the photo's place nor the picture's is in a report that is sent in.
    let urls = text.matches("http://").count();
    assert_eq!(urls, text.matches(emulator.base_url()).count(), "{text}");
    assert!(!object["live"].to_string().contains("http://"), "{text}");

    // It is in the journal like any other task.
    let tasks = CommandOutput::of(&mut world.bare(&["tasks", "--json"])).exits(0).object();
    assert_eq!(tasks["task_id"], object["live"]["task_id"]);
    assert_eq!(tasks["standing"], "completed");
    // From now on one is known, and kept.
    for (more, code) in [(&[][..], 0), (&["--price", "0.05"], 0)] {
        let ran = doctor(&world, emulator.base_url(), emulator.api_key(), &[&live, more].concat());
        assert!(!ran.exits(code).stderr.contains("may cost more"), "{more:?}");
    }
    let less = ["--live", "--budget", "0.02", "--poll", "0.05"];
    doctor(&world, emulator.base_url(), emulator.api_key(), &less).exits(6);
    assert_eq!(emulator.counts().accepted, 3);
}

#[test]
fn the_budget_is_asked_before_the_task_is_made() {
    let (world, emulator) = (World::new(), Emulator::start().unwrap());
    let live = ["--live", "--budget", "0.01", "--price", "0.03"];
    let ran = doctor(&world, emulator.base_url(), emulator.api_key(), &live).exits(6);
    let error = ran.object()["live"]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("--price 0.03 is more than --budget 0.01"), "{error}");
    let sent = emulator.requests().iter().filter(|seen| seen.method == "POST").count();
    assert_eq!((emulator.counts().accepted, sent), (0, 0), "nor is a photo uploaded");
    // Without one it is refused.
    doctor(&world, emulator.base_url(), emulator.api_key(), &["--live"]).exits(2);
}

#[test]
fn a_service_that_is_otherwise_refutes_what_is_said_of_it() {
    let world = World::new();
    world.server.on(
        "POST",
        crate::world::CREATE,
        [Response::json(r#"{"id":"task-1","status":"in_progress","model":"spark_img_effects"}"#)],
    );
    let done = String::from_utf8(world.completed_body()).unwrap().replace(r#""0.030""#, "0.030");
    let odd = Response::json(r#"{"id":"task-1","status":"moderated_soon"}"#);
    world.looks([odd, Response::json(done)]);
    world.serves_picture();
    let unknown = Response::json(r#"{"error":{"message":"no such task"}}"#).status(404);
    world.server.otherwise(unknown);
    let live =
        ["--live", "--budget", "1", "--poll", "0.05", "--image", "https://example.com/cat.jpg"];
    let object = doctor(&world, &world.server.base_url(), KEY, &live).exits(0).object();
    let facts = object["live"]["facts"].as_array().unwrap();
    let row = |fact: &str| -> &Value {
        facts.iter().find(|row| row["fact"].as_str().unwrap().contains(fact)).unwrap()
    };
    assert_eq!(row("`usage.cost` as text")["verdict"], "refuted");
    assert_eq!(row("`in_progress`")["verdict"], "refuted");
    assert!(row("`in_progress`")["seen"].as_str().unwrap().contains("moderated_soon"));
    assert_eq!(row("the storage endpoint")["verdict"], "not_seen");
    assert_eq!(object["live"]["cost"], "0.030");
}

#[test]
fn a_live_task_that_failed_and_was_billed_tells_its_cost() {
    let world = World::new();
    let created = Response::json(r#"{"id":"task-1","status":"pending"}"#);
    world.server.on("POST", crate::world::CREATE, [created]);
    let failed = r#"{"id":"task-1","status":"failed","usage":{"cost":"0.030"}}"#;
    world.looks([Response::json(failed)]);
    world.server.otherwise(Response::json("{}").status(404));
    let live =
        ["--live", "--budget", "1", "--poll", "0.05", "--image", "https://example.com/cat.jpg"];
    let object = doctor(&world, &world.server.base_url(), KEY, &live).exits(4).object();
    assert_eq!(object["live"]["cost"], "0.030");
}

#[test]
fn a_proxy_that_answers_is_no_way_around_the_key() {
    // A gateway that repeats the key brings it into no line.
    let world = World::new();
    let other = ScriptedServer::start().unwrap();
    let body = format!(r#"{{"error":{{"message":"no such key: {KEY}"}}}}"#);
    other.otherwise(Response::json(body).status(401));
    let ran = doctor(&world, &other.base_url(), KEY, &[]).exits(3);
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
    assert!(check(&ran, "key accepted").1.contains("[key]"), "{ran:?}");
}
