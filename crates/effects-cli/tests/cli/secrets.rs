//! The key goes to the gateway and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use effects_testkit::http::{Response, ScriptedServer};
use serde_json::json;

use crate::world::{CREATE, CommandOutput, IMAGE, KEY, World, failed};

/// The most talkative there is.
fn loud(world: &World, arguments: &[&str]) -> CommandOutput {
    let mut command = world.command(arguments);
    let ran = CommandOutput::of(command.arg("-vvv").env("RUST_LOG", "trace"));
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
fn a_key_that_is_repeated_as_escapes_reaches_no_output_and_no_file() {
    const ODD: &str = "odd/k+y&1234";
    let spelled = [ODD, r"odd\/k", r"\u002by", "odd%2F", "k&#43;y"];
    let world = World::new();
    let errors = [
        r#"{"error":"no key odd\/k+y&1234"}"#,
        r#"{"error":{"code":"odd\u002fk\u002by\u00261234","message":"\u006fdd/k+y&1234"}}"#,
        r#"{"message":"{\"authorization\":\"Bearer odd\\\/k+y&1234\"}"}"#,
        r#"{"message":"/?key=odd%2Fk%2By%261234"}"#,
        r#"{"message":"<b>odd/k&#43;y&amp;1234</b>"}"#,
        "<title>odd/k&#x2b;y&amp;1234</title>",
    ];
    let clean = |ran: &CommandOutput| {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(spelled.iter().all(|spelled| !text.contains(spelled)), "{text}");
        }
    };
    let command = |arguments: &[&str]| {
        let ran = CommandOutput::of(world.command(arguments).env("EFFECTS_API_KEY", ODD));
        clean(&ran);
        ran
    };
    for (body, status) in errors.into_iter().flat_map(|body| [(body, 401), (body, 500)]) {
        world.server.on("POST", CREATE, [Response::json(body).status(status)]);
        let ran = command(&["submit", "glass_ball", IMAGE, "--json"]);
        assert!(ran.stderr.contains("[key]"), "{ran:?}");
    }
    let key = r"odd\/k\u002By&1234";
    world.server.on(
        "POST",
        CREATE,
        [Response::json(format!(r#"{{"id":"task-1","key":"{key}",}}"#))],
    );
    let failed = failed("3009095").body(format!(
        r#"{{"id":"task-1","status":"failed","error":{{"code":"{key}","message":"{key}"}}}}"#
    ));
    world.looks([failed.clone(), failed]);
    command(&["run", "glass_ball", IMAGE, "--json", "--poll", "0.05"]).exits(4);
    command(&["status", "task-1", "--json"]).exits(0);
    command(&["tasks", "--json"]);
    let mut files = 0;
    for entry in fs::read_dir(world.state.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(spelled.iter().all(|spelled| !text.contains(spelled)), "{}", path.display());
        }
    }
    assert!(files > 0, "the journal is there");
}

#[test]
fn a_short_key_is_warned_of_once_and_loses_no_task() {
    for key in ["i", "id", "task", "status"] {
        let world = World::with_service();
        let run = ["run", "glass_ball", IMAGE, "--poll", "0.05"];
        let ran = CommandOutput::of(world.command(&run).env("EFFECTS_API_KEY", key)).exits(0);
        assert_eq!(ran.stdout, "glass_ball-task-1.png\n");
        let warning = "warning: the API key has ";
        assert_eq!(ran.stderr.matches(warning).count(), 1, "{ran:?}");
    }
    let world = World::with_service();
    let short = |arguments: &[&str]| {
        CommandOutput::of(world.command(arguments).env("EFFECTS_API_KEY", "id"))
    };
    assert_eq!(short(&["submit", "glass_ball", IMAGE, "-q"]).exits(0).stderr, "");
    world.accepts();
    let logged = short(&["submit", "glass_ball", IMAGE, "-v"]).exits(0);
    assert_eq!(logged.stderr.matches("the API key has 2 characters").count(), 1, "{logged:?}");
}

#[test]
fn a_key_on_the_command_line_or_in_a_file_is_used_and_not_shown() {
    let world = World::new();
    fs::write(world.path("key"), format!("{KEY}\n")).unwrap();
    for option in [["--api-key", KEY], ["--api-key-file", "key"]] {
        let mut command = world.command(&["submit", "glass_ball", IMAGE, "-vvv"]);
        let ran = CommandOutput::of(command.env("EFFECTS_API_KEY", "another").args(option));
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

/// Whether no file below a folder holds the key.
fn holds_no_key(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds_no_key(&path);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains(KEY), "{} holds the key", path.display());
        }
    }
}

#[test]
fn a_request_that_holds_the_key_is_refused_before_anything_is_kept_or_sent() {
    let world = World::with_service();
    let photo = world.photo();
    let (token, part) = (format!("token={KEY}"), format!(r#"auth={{"a":["x {KEY}"]}}"#));
    let url = format!("https://example.com/{KEY}/cat.jpg");
    let tag = format!("job {KEY}");
    for (line, place) in [
        (&["glass_ball", IMAGE, "--param", token.as_str()][..], "parameter \"token\""),
        (&["glass_ball", photo, "--param", part.as_str()], "parameter \"auth\""),
        (&["glass_ball", url.as_str()], "the URL of the photo"),
        (&["glass_ball", IMAGE, "--tag", tag.as_str()], "--tag"),
    ] {
        for command in ["run", "submit"] {
            let line = [&[command], line, &["--cassette", "run.json"]].concat();
            let ran = world.run(&line).exits(2);
            let refusal = format!("{place} holds the API key");
            assert!(ran.stderr.contains(&refusal), "{line:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{ran:?}");
        }
    }
    let rows = format!(
        "{}\n{}\n{}\n",
        json!({"template": "glass_ball", "image": IMAGE, "params": {"token": KEY}}),
        json!({"template": "glass_ball", "image": url}),
        json!({"template": "glass_ball", "image": "cat.png", "param:note": format!("is {KEY}")}),
    );
    let manifest = tempfile::tempdir().unwrap();
    let (rows_file, photo_file) =
        (manifest.path().join("rows.jsonl"), manifest.path().join("cat.png"));
    fs::write(&rows_file, rows).unwrap();
    fs::copy(world.path(photo), photo_file).unwrap();
    let line = ["batch", rows_file.to_str().unwrap(), "--out", "out", "--report-csv", "all.csv"];
    let ran = world.run(&[&line[..], &["--cassette", "run.json", "--json"]].concat()).exits(2);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(KEY), "{text}");
    }
    assert_eq!(ran.stderr.matches("holds the API key").count(), 3, "{}", ran.stderr);
    holds_no_key(world.folder.path());
    holds_no_key(world.state.path());
    assert_eq!(world.server.requests().len(), 0, "nothing was sent, no photo either");
}

/// A program that prints the key, which stands in its own variable.
fn key_program(world: &World) -> String {
    fs::write(world.path("key.sh"), "printenv SECRET\n").unwrap();
    "sh key.sh".to_owned()
}

#[test]
fn a_word_of_the_command_line_that_holds_the_key_is_refused_before_anything_is_kept_or_sent() {
    let world = World::with_service();
    let manifest = tempfile::tempdir().unwrap();
    let (rows, photos) = (manifest.path().join("rows.csv"), manifest.path().join("photos"));
    fs::write(&rows, format!("template,image\nglass_ball,{IMAGE}\n")).unwrap();
    fs::create_dir(&photos).unwrap();
    let (rows, photos) = (rows.to_str().unwrap(), photos.to_str().unwrap());
    fs::write(world.path(&format!("{KEY}.png")), crate::world::PHOTO).unwrap();
    let with = |text: &str| text.replace("KEY", KEY);
    let batch = ["batch", rows, "--out", "out", "--budget", "1"];
    let watch = ["watch", photos, "--template", "glass_ball", "--out", "out", "--budget", "1"];
    for (line, more, place) in [
        (&batch[..], &["--tag", "KEY"][..], "--tag"),
        (&batch, &["--tag=a KEY"], "--tag"),
        (&batch, &["--scope", "KEY"], "--scope"),
        (&batch, &["--name", "KEY-{row}.png"], "--name"),
        (&batch, &["--report", "KEY.html"], "--report"),
        (&watch, &["--tag", "KEY"], "--tag"),
        (&watch, &["--scope", "KEY"], "--scope"),
        (&["run", "KEY", IMAGE], &["--allow-unlisted"], "the template"),
        (&["submit", "--quiet", "KEY", IMAGE], &["--allow-unlisted"], "the template"),
        (&["--tag", "cats", "run", "KEY", IMAGE], &["--allow-unlisted"], "the template"),
        (&["-q", "--tag=run", "submit", "glass_ball"], &["KEY.png"], "the name of the photo"),
        (&["run", "glass_ball", "KEY.png"], &[], "the name of the photo"),
        (&["run", "glass_ball", IMAGE], &["-o", "KEY.png"], "-o"),
        (&["resolve", "1"], &["--task", "KEY"], "--task"),
        (&["reorder", "1"], &["--budget", "1", "--scope", "KEY"], "--scope"),
        (&["wait"], &["KEY"], "an argument"),
    ] {
        let line: Vec<String> = line.iter().chain(more).map(|word| with(word)).collect();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let refusal = format!("{place} holds the API key");
        let mut ran = vec![world.run(&line)];
        if !matches!(line[0], "resolve" | "reorder") {
            // A key that is known once its program was asked.
            let program = key_program(&world);
            let mut command =
                world.command(&[&line[..], &["--api-key-command", &program]].concat());
            ran.push(CommandOutput::of(command.env_remove("EFFECTS_API_KEY").env("SECRET", KEY)));
        }
        for ran in ran {
            let ran = ran.exits(2);
            assert!(ran.stderr.contains(&refusal), "{line:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{ran:?}");
        }
    }
    let found = manifest.path().join("found.txt");
    fs::write(&found, format!("1 {KEY}\n")).unwrap();
    let ran = world.run(&["resolve", "--from", found.to_str().unwrap()]).exits(2);
    assert!(ran.stderr.contains("the task's id of row 1 holds the API key"), "{ran:?}");
    assert!(!ran.stderr.contains(KEY), "{ran:?}");
    holds_no_key(world.folder.path());
    holds_no_key(world.state.path());
    assert_eq!(world.server.requests().len(), 0, "nothing was sent");
}

#[test]
fn a_row_that_holds_the_key_is_refused_with_the_place_and_without_the_key() {
    let manifest = tempfile::tempdir().unwrap();
    let photo = format!("{KEY}.png");
    fs::write(manifest.path().join(&photo), crate::world::PHOTO).unwrap();
    let rows_file = manifest.path().join("rows.jsonl");
    let good = json!({"template": "glass_ball", "image": IMAGE, "key": "a"});
    let mut rows = vec![good.clone()];
    let places = [
        ("template", KEY.to_owned(), "the template", "template_id"),
        ("image", photo, "the name of the photo", "image_input1"),
        ("key", KEY.to_owned(), "the row's own key", "key"),
        ("tag", format!("for {KEY}"), "the tag", "tag"),
        ("out", format!("{KEY}-4.png"), "the column \"out\"", "out"),
        ("width", KEY.to_owned(), "the width", "width"),
        ("param:note", KEY.to_owned(), "parameter \"note\"", "params"),
    ];
    for (index, (column, value, ..)) in places.iter().enumerate() {
        let mut row = good.clone();
        row["key"] = format!("b{index}").into();
        row[*column] = value.as_str().into();
        rows.push(row);
    }
    let write = |rows: &[serde_json::Value]| {
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&rows_file, rows).unwrap();
    };
    write(&rows);
    let line = ["batch", rows_file.to_str().unwrap(), "--out", "out", "--poll", "0.05"];
    let reports = ["--report-csv", "all.csv", "--report", "all.html", "--journal", "j.db"];
    for strict in [&["--plan"][..], &["--strict"], &[]] {
        let world = World::with_service();
        let ran = world.run(&[&line[..], &reports, strict, &["--json"]].concat()).exits(2);
        assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{ran:?}");
        let rows: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (index, (_, _, place, field)) in places.iter().enumerate() {
            let row = rows.iter().find(|row| row["line"] == index + 2).unwrap();
            let message =
                |problem: &serde_json::Value| problem["message"].as_str().unwrap().to_owned();
            let problems = row["problems"].as_array().unwrap();
            let refusal = format!("{place} holds the API key");
            let problem = problems.iter().find(|it| message(it).starts_with(&refusal)).unwrap();
            assert_eq!(problem["field"], *field, "{row}");
            assert!(!row.to_string().contains("--scope"), "{row}");
        }
        holds_no_key(world.folder.path());
        holds_no_key(world.state.path());
        assert_eq!(world.submissions(), usize::from(strict.is_empty()), "the good row alone");
    }
    // A key that is known once its program was asked: what is wrong otherwise is told after that.
    let world = World::with_service();
    let program = key_program(&world);
    let mut command =
        world.command(&[&line[..], &reports, &["--api-key-command", &program]].concat());
    let ran = CommandOutput::of(command.env_remove("EFFECTS_API_KEY").env("SECRET", KEY)).exits(2);
    assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
    assert_eq!(ran.stderr.matches("holds the API key").count(), 5, "{}", ran.stderr);
    assert_eq!(world.submissions(), 1, "the good row alone");
    let lines = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let fields: BTreeMap<u64, String> = lines
        .filter(|row: &serde_json::Value| row["status"] == "invalid")
        .map(|row| {
            let field = row["problems"][0]["field"].as_str().unwrap_or("none").to_owned();
            (row["line"].as_u64().unwrap(), field)
        })
        .collect();
    let fields: Vec<&str> = fields.values().map(String::as_str).collect();
    let all = ["template_id", "image_input1", "key", "tag", "out", "width", "params"];
    assert_eq!(fields, all);
    assert!(!ran.stderr.contains("keys of its own"), "{}", ran.stderr);
    holds_no_key(world.folder.path());
}

#[test]
fn bad_rows_that_wait_for_the_key_are_counted_where_the_batch_ends_before_it_is_known() {
    let manifest = tempfile::tempdir().unwrap();
    let rows = manifest.path().join("rows.csv");
    let bad = format!("nonsense,{IMAGE},a-{KEY}\nglass_ball,none-{KEY}.png,b\n");
    let good = format!("glass_ball,{IMAGE},c\n");
    // The first look ends in an error: this photo would be replaced by the batch's contact sheet.
    let of_batch = "glass_ball,SHEET,d\n";
    for (more, cert, said) in
        [("", "missing.pem", "missing.pem"), (of_batch, "", "which the batch itself writes")]
    {
        let world = World::with_service();
        let sheet = world.path("out/contact-sheet.png");
        fs::create_dir(world.path("out")).unwrap();
        fs::write(&sheet, crate::world::PHOTO).unwrap();
        let more = more.replace("SHEET", sheet.to_str().unwrap());
        fs::write(&rows, format!("template,image,key,{KEY}\n{bad}{good}{more}")).unwrap();
        let program = key_program(&world);
        let line = ["batch", rows.to_str().unwrap(), "--out", "out", "--journal", "j.db"];
        let certificate = ["--client-cert", cert];
        let certificate = if cert.is_empty() { &[][..] } else { &certificate };
        let mut command =
            world.command(&[&line[..], &["--api-key-command", &program], certificate].concat());
        let ran = CommandOutput::of(command.env_remove("EFFECTS_API_KEY").env("SECRET", KEY));
        let ran = ran.exits(2);
        assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
        for said in ["2 rows are bad; what is wrong with them is told once", said] {
            assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        }
        holds_no_key(world.folder.path());
        assert_eq!(world.submissions(), 0);
    }
}

#[test]
fn check_and_a_plan_find_the_key_where_one_is_at_hand() {
    let world = World::with_service();
    let photo = world.photo();
    let note = format!("note={KEY}");
    let url = format!("https://example.com/cat.jpg?k={KEY}");
    for (line, place) in [
        (&["check", "glass_ball", IMAGE, "--param", &note][..], "parameter \"note\""),
        (&["check", "glass_ball", &url], "the URL of the photo"),
        (&["check", "glass_ball", photo, "--tag", KEY], "--tag"),
        (&["check", KEY, photo, "--allow-unlisted"], "the template"),
    ] {
        let ran = world.run(&[line, &["--json"]].concat()).exits(2);
        assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{ran:?}");
        let message = ran.object()["problems"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{place} holds the API key")), "{message}");
        // Without a key nothing can be said of it.
        CommandOutput::of(world.command(line).env_remove("EFFECTS_API_KEY")).exits(0);
        // A program is not run for a check.
        let mut command = world.command(&[line, &["--api-key-command", "false"]].concat());
        CommandOutput::of(&mut command).exits(0);
    }
    assert_eq!(world.server.requests().len(), 0);
}

#[test]
fn permissions_in_urls_that_an_answer_repeats_are_kept_nowhere() {
    let world = World::new();
    let secrets = ["hunter2", "0a1b2c", "t0k3n"];
    let signed = "https://store.example/cat.jpg?size=512&X-Amz-Signature=0a1b2c&pw=hunter2";
    let escaped = signed.replace('/', r"\/").replace('&', r"\u0026");
    for (status, body) in [
        (400, json!({"error": {"code": "3009001", "message": format!("no photo at {signed}, see it")}}).to_string()),
        (400, format!(r#"{{"error":{{"message":"bad"}},"asked":"{escaped}"}}"#)),
        (422, format!("<html>cannot read {signed} or https://h.example/?token=t0k3n</html>")),
        (500, format!(r#"{{"detail":"{escaped}"}}"#)),
        (200, format!("gone: {signed}")),
    ] {
        world.server.on("POST", CREATE, [Response::new(status).body(body.clone())]);
        let ran = loud(&world, &["run", "glass_ball", IMAGE, "--json"]);
        assert!(ran.code != Some(0), "{ran:?}");
        for secret in secrets {
            let error = ran.stdout.contains(secret);
            assert!(!error, "{body}: {}", ran.stdout);
        }
        assert!(ran.stdout.contains("redacted"), "{body}: {}", ran.stdout);
    }
    for entry in fs::read_dir(world.state.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in secrets {
            assert!(!text.contains(secret), "{} holds {secret}", path.display());
        }
    }
}

#[test]
fn what_a_replay_says_and_keeps_of_a_url_has_no_permission() {
    let world = World::new();
    world.accepts();
    let of = |password: &str| format!("https://example.com/cat.jpg?size=512&pw={password}&id=7");
    let line = ["submit", "glass_ball"];
    let first = of("hunter2");
    world.run(&[&line[..], &[&first, "--cassette", "run.json"]].concat()).exits(0);
    let other = of("hunter3").replace("512", "640");
    let kept = ["--cassette", "run.json", "--journal", "named.db"];
    let ran = world.run(&[&line[..], &[&other], &kept].concat()).exits(7);
    assert!(ran.stderr.contains("size=640&pw=redacted&id=7"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
    for file in ["run.json", "named.db", "named.db-wal"] {
        let bytes = fs::read(world.path(file)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter"), "{file}");
    }
    // Another password of the same photo is the same request.
    world.run(&[&line[..], &[&of("hunter4"), "--cassette", "run.json"]].concat()).exits(0);
}

#[test]
fn what_a_program_of_uploads_prints_is_told_and_kept_without_the_key() {
    for (way, script) in [
        ("command", "echo tried with $EFFECTS_API_KEY >&2; exit 1"),
        ("command", "echo $EFFECTS_API_KEY"),
        ("presigned-put", "echo tried with $EFFECTS_API_KEY >&2; exit 1"),
        ("presigned-put", "echo $EFFECTS_API_KEY; echo https://example.com/cat.png"),
        ("presigned-put", "echo http://127.0.0.1:9/put; echo https://example.com/$EFFECTS_API_KEY"),
    ] {
        let world = World::with_service();
        let photo = world.photo();
        fs::write(world.path("put.sh"), script).unwrap();
        fs::write(world.path("rows.csv"), format!("template,image\nglass_ball,{photo}\n")).unwrap();
        let uploads = format!("{way}=sh put.sh");
        for line in
            [&["batch", "rows.csv", "--out", "out", "--json"][..], &["run", "glass_ball", photo]]
        {
            let ran = loud(&world, &[line, &["--uploads", &uploads]].concat());
            assert!(ran.code != Some(0), "{script}: {ran:?}");
            if script.contains("tried") {
                assert!(ran.stderr.contains("tried with [key]"), "{script}: {ran:?}");
            }
        }
        assert_eq!(world.submissions(), 0);
        holds_no_key(world.folder.path());
        holds_no_key(world.state.path());
    }
}

#[test]
fn a_program_of_uploads_shows_no_key_of_the_environment_that_its_client_does_not_use() {
    let world = World::new();
    let photo = world.photo();
    fs::write(world.path("put.sh"), "echo tried with $EFFECTS_API_KEY >&2; exit 1").unwrap();
    let line = ["run", "glass_ball", photo, "--uploads", "command=sh put.sh"];
    let ran = loud(&world, &[&line[..], &["--api-key", "another-key-than-that"]].concat());
    assert!(ran.stderr.contains("tried with [key]"), "{ran:?}");
}

#[test]
fn a_program_that_prints_the_key_in_another_word_and_fails_shows_it_nowhere() {
    let world = World::with_service();
    for script in [
        "echo key=$SECRET; echo oops $SECRET, not >&2; exit 1",
        "echo oops \"{$SECRET}\", not >&2; exit 1",
    ] {
        fs::write(world.path("key.sh"), script).unwrap();
        let line = ["run", "glass_ball", IMAGE, "--api-key-command", "sh key.sh"];
        let mut command = world.command(&line);
        let ran = CommandOutput::of(command.env_remove("EFFECTS_API_KEY").env("SECRET", KEY));
        assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
        assert!(ran.stderr.contains("\"sh\" ended with exit status: 1"), "{ran:?}");
    }
    holds_no_key(world.state.path());
}

#[test]
fn a_program_that_prints_the_key_and_fails_shows_it_nowhere() {
    let world = World::with_service();
    let script = "echo; echo \"  $SECRET \"; echo oops $SECRET, not >&2; exit 1";
    fs::write(world.path("key.sh"), script).unwrap();
    for line in [&["run", "glass_ball", IMAGE][..], &["doctor", "--json"], &["doctor"]] {
        let mut command = world.command(&[line, &["--api-key-command", "sh key.sh"]].concat());
        let ran = CommandOutput::of(command.env_remove("EFFECTS_API_KEY").env("SECRET", KEY));
        assert!(!ran.stdout.contains(KEY) && !ran.stderr.contains(KEY), "{ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains("ended with exit status: 1"), "{ran:?}");
        assert!(told.contains("run the program by itself"), "{ran:?}");
        if line.contains(&"--json") {
            let checks: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            let failed = checks["checks"].as_array().unwrap().iter();
            let failed =
                failed.clone().find(|check| check["message"].to_string().contains("ended with"));
            let way_out = failed.unwrap()["way_out"].as_str().unwrap_or_default();
            assert!(way_out.contains("run the program by itself"), "{ran:?}");
        }
    }
    holds_no_key(world.state.path());
}
