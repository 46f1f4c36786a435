//! What programs read: the command line as JSON, manual pages, completions, `llms.txt` and the guide in `docs/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use boon::{Compiler, Schemas};
use effects_emulator::{Emulator, Pictures};
use serde_json::{Value, json};

use crate::world::{CommandOutput, IMAGE, PHOTO, World};

fn help(world: &World) -> Value {
    world.run(&["--help", "--json"]).exits(0).object()
}

/// Checks an object against the schema that the help has for it, and that each of its fields is there.
fn check(help: &Value, object: &Value) {
    let name = object["schema"].as_str().unwrap();
    let mut schema = help["schemas"][name].clone();
    assert!(schema.is_object(), "no schema of {name}");
    schema["components"] = help["components"].clone();
    let known = schema["properties"].as_object().unwrap();
    for field in object.as_object().unwrap().keys() {
        assert!(known.contains_key(field), "{name} has no {field}");
    }
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let url = "https://example.com/schema.json";
    compiler.add_resource(url, schema).unwrap();
    let schema = compiler.compile(url, &mut schemas).unwrap();
    if let Err(error) = schemas.validate(object, schema) {
        panic!("{error:#} {object}");
    }
}

/// So that no setting of the caller's reaches a test.
#[test]
fn the_checks_unset_every_variable_of_ours_that_the_command_reads() {
    let checks = fs::read_to_string(repository().join(".ci/run")).unwrap();
    let checks = checks.replace("\\\n", " ");
    let unset = checks.lines().filter_map(|line| line.strip_prefix("unset "));
    let unset: BTreeSet<&str> = unset.flat_map(str::split_whitespace).collect();
    let help = help(&World::new());
    let names = help["environment"].as_array().unwrap().iter();
    let names = names.map(|variable| variable["name"].as_str().unwrap());
    let ours = names.filter(|name| name.starts_with("EFFECTS_") || name.starts_with("VTRIX_"));
    assert_eq!(ours.filter(|name| !unset.contains(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_command_line_as_json_has_commands_options_and_exit_codes() {
    let world = World::new();
    let help = help(&world);
    assert_eq!(help["schema"], "effects.help.v1");
    // Wherever the words stand.
    assert_eq!(world.run(&["run", "--json", "-h"]).exits(0).object(), help);
    let command = |name: &str| {
        let commands = help["commands"].as_array().unwrap();
        commands.iter().find(|command| command["name"] == name).unwrap().clone()
    };
    let option = |of: &Value, name: &str| {
        let options = of["options"].as_array().unwrap();
        options.iter().find(|option| option["name"] == name).unwrap().clone()
    };
    let json = option(&help, "json");
    assert_eq!((&json["flags"], &json["type"]), (&json!(["--json"]), &json!("flag")));
    assert_eq!(option(&help, "poll")["default"], json!(["auto"]));
    let budget = option(&command("batch"), "budget");
    assert_eq!((&budget["type"], &budget["required"]), (&json!("USD"), &json!(false)));
    assert_eq!(
        option(&command("cost"), "by")["values"],
        json!(["template", "tag", "day", "scope"])
    );
    let template = &command("run")["arguments"][0];
    assert_eq!(template["values"].as_array().unwrap().len(), 30);
    assert!(template["values"].as_array().unwrap().contains(&json!("glass_ball")));
    assert_eq!(command("journal")["commands"][0]["name"], "journal backup");
    assert_eq!(command("wait")["prints"], json!(["effects.run.v1", "effects.error.v1"]));
    let of_rows = json!(["effects.row.v1", "effects.batch.v1", "effects.error.v1"]);
    assert_eq!(command("watch")["prints"], of_rows);
    let codes: Vec<&Value> =
        help["exit_codes"].as_array().unwrap().iter().map(|code| &code["code"]).collect();
    assert_eq!(json!(codes), json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]));
    let kinds = help["exit_codes"][8]["kinds"].clone();
    assert_eq!(kinds, json!(["outcome_unknown"]));

    // Every variable of ours that help or the command's pages name is in its list.
    let variables = help["environment"].to_string();
    let page = |name: &str| fs::read_to_string(repository().join("docs").join(name)).unwrap();
    let texts = [
        page("batches.md"),
        page("journal.md"),
        page("keys.md"),
        page("reference/command.md"),
        help["commands"].to_string(),
        help["options"].to_string(),
    ];
    for word in
        texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_uppercase() && c != '_'))
    {
        if word.starts_with("EFFECTS_") && word.len() > "EFFECTS_".len() {
            assert!(variables.contains(word), "{word}");
        }
    }
}

#[test]
fn what_is_printed_is_as_its_schema_says() {
    let world = World::with_service();
    let help = help(&world);
    let mut seen = BTreeSet::new();
    let mut run = |arguments: &[&str]| {
        let ran = world.run(&[arguments, &["--json"]].concat());
        for line in ran.stdout.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            check(&help, &object);
            seen.insert(object["schema"].as_str().unwrap().to_owned());
        }
    };
    world.photo();
    fs::write(
        world.path("rows.csv"),
        format!("template,image\nnope,{IMAGE}\nglass_ball,{IMAGE}\n"),
    )
    .unwrap();
    run(&["run", "glass_ball", IMAGE, "--poll", "0.05"]);
    world.looks([world.completed()]);
    run(&["status", "task-1"]);
    run(&["tasks"]);
    run(&["cost", "--by", "tag"]);
    run(&["check", "glas_ball", "nowhere.png", "--width", "1"]);
    run(&["run", "glas_ball", "nowhere.png"]);
    run(&["templates", "glass"]);
    run(&["batch", "rows.csv", "--out", "out", "--plan"]);
    world.accepts();
    world.looks([world.completed()]);
    world.serves_picture();
    run(&["batch", "rows.csv", "--out", "out", "--poll", "0.05"]);
    run(&["journal", "backup", "copy.db"]);
    run(&["journal", "rebuild", "--from", "out/manifest.jsonl", "--journal", "new.db"]);
    run(&["journal", "prune", "--older-than", "90d"]);
    run(&["sampler", "cat.png"]);
    run(&["doctor"]);
    world.accepts();
    run(&["submit", "glass_ball", IMAGE]);
    let login = world
        .run_with_stdin(&["login", "--store", "file", "--json"], b"a-key-for-a-profile")
        .exits(0);
    check(&help, &login.object());
    run(&["profile", "list"]);
    run(&["logout"]);
    for schema in help["schemas"].as_object().unwrap().keys() {
        // These need a server that stays, a database or a lost answer; and one is checked above.
        let elsewhere =
            ["effects.emulator.v1", "effects.copy.v1", "effects.resolve.v1", "effects.login.v1"];
        assert!(
            seen.contains(schema) || elsewhere.contains(&schema.as_str()),
            "{schema} is not printed"
        );
    }
}

#[test]
fn manual_pages_are_of_each_command_and_no_reader_is_missed() {
    let world = World::new();
    world.run(&["man", "pages"]).exits(0);
    let pages = crate::world::names(&world.path("pages"));
    for page in ["effects.1", "effects-run.1", "effects-batch.1", "effects-journal-backup.1"] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
    let page = fs::read_to_string(world.path("pages/effects-batch.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("budget"), "{page}");
    let page = world.run(&["man"]).exits(0).stdout;
    assert!(page.contains(".TH effects 1"));
    // The synopsis says which options take a value, and what it is.
    let synopsis = |page: &str| {
        page.split(".SH SYNOPSIS\n").nth(1).unwrap().lines().next().unwrap().to_owned()
    };
    assert!(synopsis(&page).contains(r"[\fB\-\-api\-key\fR \fIKEY\fR]"), "{page}");
    assert!(synopsis(&page).contains(r"[\fB\-\-json\fR]"), "{page}");
    let wait = synopsis(&std::fs::read_to_string(world.path("pages/effects-wait.1")).unwrap());
    for option in
        [r"[\fB\-\-wait\-timeout\fR \fITIME\fR]", r"[\fB\-o\fR \fI", r"[\fB\-q\fR|\fB\-\-quiet\fR]"]
    {
        assert!(wait.contains(option), "{wait}");
    }
    fs::write(world.path("file"), "").unwrap();
    assert!(world.run(&["man", "file"]).exits(2).stderr.contains("cannot be written"));
}

#[test]
fn shells_complete_template_ids_and_values() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]).exits(0).stdout;
        for word in ["glass_ball", "my_world", "day"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // What is not known is refused by the rules, with what was meant, not by the completion.
    let ran = world.run(&["check", "glas_ball", IMAGE]).exits(2);
    assert!(ran.stdout.contains("3009001") || ran.stdout.contains("glass_ball"), "{ran:?}");
}

#[test]
fn the_snippets_of_the_guide_run_as_they_stand() {
    let guide = fs::read_to_string(repository().join("docs/agents.md")).unwrap();
    let (world, emulator) =
        (World::new(), Emulator::builder().pictures(Pictures::Stub).start().unwrap());
    fs::write(world.path("photo.png"), PHOTO).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_effects")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let snippets: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(snippets.len(), 5);
    for snippet in snippets {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", snippet])
            .env_clear()
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("EFFECTS_STATE_DIR", world.state.path())
            .env("EFFECTS_API_KEY", emulator.api_key())
            .env("EFFECTS_BASE_URL", emulator.base_url())
            .current_dir(world.folder.path());
        CommandOutput::of(&mut command).exits(0);
    }
    for made in ["help.json", "ball.png", "world.png", "rehearsal.png", "pictures/manifest.jsonl"] {
        assert!(world.path(made).is_file(), "{made}");
    }
    // The table of exit codes is the command's.
    let help = help(&world);
    for code in help["exit_codes"].as_array().unwrap() {
        let row = format!("| {} |", code["code"]);
        assert!(guide.contains(&row) || code["code"] == 1, "{row}");
    }
}

#[test]
fn the_links_of_llms_txt_lead_somewhere() {
    let text = fs::read_to_string(repository().join("llms.txt")).unwrap();
    let links: Vec<&str> =
        text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 5);
    for link in links {
        assert!(repository().join(link).is_file(), "{link}");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
