//! What comes from outside never reaches the terminal as it is: whatever a service, a file or a
//! journal says, nothing that is printed can move the cursor, hide a part or forge a line.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use effects_core::printable;
use effects_testkit::http::{Behaviour, Response};
use serde_json::json;

use crate::batch::site::Site;
use crate::world::{CREATE, CommandOutput, IMAGE, PHOTO, World};

/// Control characters of both kinds, marks of direction, ends of lines, and what no terminal shows.
const NASTY: &str = "a\u{1b}[2J\u{9b}31m\u{7}\u{8}\u{7f}\r\nerror: forged\u{85}\u{202e}b\u{2066}\
                     \u{200f}\u{61c}\u{2028}\u{200b}\u{feff}\u{e0041}z";

/// The same without what some places cannot hold: control characters.
const SLY: &str = "a\u{202e}b\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{e0041}z";

/// Letters of other scripts and joined emoji, which stay as they are.
const FINE: &str = "Größe 尺寸 می\u{200c}خواهم 👩\u{200d}🚀";

/// Whether nothing printed is obeyed or hidden by a terminal.
fn is_plain(ran: CommandOutput) -> CommandOutput {
    for line in ran.stdout.split('\n').chain(ran.stderr.split('\n')) {
        assert_eq!(printable(line), line, "{ran:?}");
        assert!(!line.starts_with("error: forged"), "{ran:?}");
    }
    ran
}

/// The same, and what was nasty is shown.
fn shows(ran: CommandOutput) -> CommandOutput {
    let ran = is_plain(ran);
    assert!(ran.stderr.contains(r"\u{202e}b") || ran.stdout.contains(r"\u{202e}b"), "{ran:?}");
    ran
}

fn with_task(fields: &serde_json::Value) -> Response {
    let mut task = json!({ "id": "task-1" });
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Response::json(task.to_string())
}

#[test]
fn the_words_of_a_task_are_escaped() {
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05"];
    let failed = json!({
        "status": "failed",
        "error": { "code": NASTY, "error_message": format!("{NASTY} {FINE}") },
    });
    let world = World::new();
    world.accepts();
    world.looks([with_task(&json!({ "status": NASTY })), with_task(&failed)]);
    let ran = shows(world.run(&run).exits(4));
    assert!(ran.stderr.contains(FINE), "{ran:?}");
    assert!(ran.stderr.contains("unknown status"), "{ran:?}");

    world.looks([with_task(&failed), with_task(&json!({ "status": NASTY }))]);
    shows(world.run(&["status", "task-1"]).exits(0));
    shows(world.run(&["status", "task-1"]).exits(0));
    is_plain(world.run(&["tasks"]).exits(0));
}

#[test]
fn refusals_and_redirects_are_escaped() {
    let refused = json!({ "message": NASTY, "error": { "code": NASTY, "message": NASTY } });
    let answers: [Behaviour; 5] = [
        Response::json(refused.to_string()).status(400).into(),
        Response::html(format!("<title>{NASTY}</title>")).status(403).into(),
        Response::redirect(302, format!("https://example.com/{SLY}")).into(),
        Response::json(json!({ "message": NASTY }).to_string()).status(500).into(),
        Response::new(200).body(NASTY).into(),
    ];
    for answer in answers {
        let world = World::new();
        world.server.on("POST", CREATE, [answer.clone()]);
        shows(world.run(&["submit", "glass_ball", IMAGE]));
        world.server.otherwise(answer);
        shows(world.run(&["status", "task-1"]));
    }
}

#[test]
fn a_picture_s_url_and_its_host_s_words_are_escaped() {
    let world = World::new();
    let url = format!("{}/{SLY}.png", world.server.base_url());
    let output = json!([{ "content": [{ "url": url }] }]);
    let completed = with_task(&json!({
        "status": "completed", "output": output, "error": { "code": NASTY, "message": NASTY },
    }));
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05"];
    for more in [&["--no-download"][..], &[], &["-v"], &["-vvv"]] {
        world.accepts();
        world.looks([completed.clone()]);
        world.server.otherwise(Response::html(NASTY).status(410));
        shows(world.run(&[&run[..], more].concat()));
    }
    // One for `status`, and one for each row of the task, unless rows share a look.
    world.looks(std::iter::repeat_n(completed, 5));
    shows(world.run(&["status", "task-1"]).exits(0));
    shows(world.run(&["resume"]));
}

#[test]
fn a_task_s_id_is_escaped_wherever_it_is_told() {
    let world = World::new();
    let id = format!("task-{SLY}");
    world.server.on("POST", CREATE, [Response::json(json!({ "id": id }).to_string())]);
    let ran = shows(world.run(&["submit", "glass_ball", IMAGE]).exits(0));
    assert!(ran.stdout.starts_with(r"task-a\u{202e}b"), "{ran:?}");
    shows(world.run(&["tasks"]).exits(0));
    shows(world.run(&["tasks", "--unfinished"]).exits(0));
    world.server.otherwise(Response::json("{}").status(401));
    shows(world.run(&["wait", &id]));
    shows(world.run(&["resume"]));
}

#[test]
fn what_the_command_line_says_is_escaped() {
    let world = World::new();
    let name = format!("{NASTY}.png");
    let (option, url) = (format!("--{NASTY}"), format!("http://{NASTY}"));
    for arguments in [
        &["run", "glass_ball", &name][..],
        &["run", &name, &name, "--width", &name],
        &["run", "glass_ball", IMAGE, "-o", &format!("nowhere/{name}")],
        &["run", "glass_ball", IMAGE, "--base-url", &url],
        &["run", "glass_ball", IMAGE, "--uploads", &name],
        &["run", "glass_ball", IMAGE, &option],
        &["run", "glass_ball", IMAGE, "--wait-timeout", &name],
        &["tasks", "--journal", &name],
        &["run", "glass_ball", IMAGE, "--api-key-file", &name],
        &[&name],
        &["check", &name, &name],
        &["templates", &name],
        &["sampler", &name],
        &["batch", &name, "--out", "out"],
        &["emulator", "--faults", &name],
        &["wait", &name],
    ] {
        shows(world.run(arguments));
    }
    let mut command = world.command(&["templates"]);
    command.arg(std::ffi::OsStr::from_bytes(b"--\xff\x1b[2J"));
    is_plain(CommandOutput::of(&mut command));
}

#[test]
fn paths_that_are_printed_are_escaped() {
    let world = World::with_service();
    let name = format!("{NASTY}.png").replace('/', "");
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", &name];
    shows(world.run(&run).exits(0));
    assert!(fs::read(world.path(&name)).unwrap() == PHOTO);
    shows(world.run(&["sampler", &name, "-o", &format!("sheet-{name}")]).exits(0));
    shows(world.run(&["tasks"]).exits(0));
}

#[test]
fn keys_tags_and_cells_of_a_manifest_are_escaped() {
    let site = Site::new();
    let quoted = format!("\"{}\"", NASTY.replace('"', "\"\""));
    let header = format!("template,image,key,tag,{quoted}\n");
    let good = format!("glass_ball,https://example.com/a.jpg,{quoted},{quoted},\n");
    let bad = format!("{quoted},{quoted},{quoted},{quoted},{quoted}\n");
    site.write("rows.csv", format!("{header}{good}{bad}{bad}"));
    let rows = json!({ "template": NASTY, "image": NASTY, NASTY: NASTY, "out": NASTY });
    site.write("rows.jsonl", format!("{rows}\n{{\"{SLY}\n"));
    // The objects on stdout are JSON, whatever stands in them.
    let shows_stderr = |arguments: &[&str]| {
        let ran = site.run(arguments);
        shows(CommandOutput { stdout: String::new(), ..ran })
    };
    shows_stderr(&["batch", "rows.csv", "--out", "out", "--poll", "0.05"]);
    shows_stderr(&["batch", "rows.jsonl", "--out", "out", "--poll", "0.05"]);
    shows(site.run(&["batch", "rows.csv", "--out", "out", "--plan"]));
    shows_stderr(&["batch", "rows.csv", "--out", "out", "--strict"]);
    shows(site.run(&["tasks"]).exits(0));
    shows(site.run(&["cost", "--by", "tag"]).exits(0));
    is_plain(site.run(&["resume"]));
}

#[test]
fn the_words_of_programs_and_plans_are_escaped() {
    let world = World::new();
    fs::write(world.path("put.sh"), format!("printf '%s' '{NASTY}' >&2; exit 3")).unwrap();
    let photo = world.photo();
    let run = ["run", "glass_ball", photo, "--uploads", "command=sh put.sh"];
    is_plain(world.run(&run).exits(7));
    fs::write(world.path("plan.toml"), format!("[[fault]]\non = '{SLY}'\n")).unwrap();
    shows(world.run(&["emulator", "--faults", "plan.toml"]).exits(2));
}
