//! Single runs and their journal: in every first one at once, and what it does not take is told.

use std::fs;

use effects_journal::SqliteJournal;
use effects_testkit::http::Response;
use rusqlite::Connection;

use crate::world::{
    CREATE, CommandOutput, IMAGE, KEY, RunningCommand, TIMEOUT, World, held_response,
};

/// The standings and tasks of all rows.
fn rows(world: &World) -> Vec<(String, String)> {
    let listed = world.run(&["tasks", "--json"]).exits(0).stdout;
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (text("standing"), text("task_id"))
    };
    listed.lines().map(row).collect()
}

#[test]
fn a_task_whose_id_the_journal_does_not_take_is_a_failure_with_the_id_and_in_it_the_next_time() {
    for command in ["submit", "run"] {
        let world = World::with_service();
        let path = world.state.path().join("journal.db");
        drop(SqliteJournal::open(&path).unwrap());
        let database = Connection::open(&path).unwrap();
        let full = "CREATE TRIGGER full BEFORE INSERT ON tasks
            BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
        database.execute_batch(full).unwrap();

        let ran = world.run(&[command, "glass_ball", IMAGE, "--json"]).exits(1);
        let object = ran.object();
        let named = (object["kind"].as_str(), object["task_id"].as_str());
        assert_eq!(named, (Some("journal"), Some("task-1")));
        assert!(object["resume"].as_str().unwrap().contains("effects wait task-1"), "{object}");
        assert!(object["message"].as_str().unwrap().contains("the disk is full"), "{object}");
        assert_eq!(world.submissions(), 1);
        world.accepts();
        let plain: CommandOutput = world.run(&[command, "glass_ball", IMAGE]).exits(1);
        assert!(plain.stderr.contains("effects wait task-1"), "{plain:?}");
        assert!(plain.stdout.is_empty(), "{plain:?}");

        database.execute_batch("DROP TRIGGER full").unwrap();
        let created = ("created".to_owned(), "task-1".to_owned());
        assert_eq!(rows(&world), [created.clone(), created]);
    }
}

/// The journal is deleted, or another file is moved to its place, while the service answers.
#[cfg(unix)]
#[test]
fn a_task_that_is_made_while_the_journal_vanishes_is_a_failure_with_its_id() {
    for (command, is_replaced) in [("submit", false), ("submit", true), ("run", false)] {
        let world = World::new();
        let (answer, word) = std::sync::mpsc::channel();
        let created = r#"{"id":"task-1","status":"in_progress","model":"spark_img_effects"}"#;
        world.server.on("POST", CREATE, [held_response(word, Response::json(created))]);
        let run = RunningCommand::new(world.command(&[command, "glass_ball", IMAGE, "--json"]));
        let begun = std::time::Instant::now();
        while world.submissions() == 0 {
            assert!(begun.elapsed() < TIMEOUT);
            std::thread::yield_now();
        }
        let path = world.state.path().join("journal.db");
        for entry in fs::read_dir(world.state.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        if is_replaced {
            drop(SqliteJournal::open(&path).unwrap());
        }
        answer.send(()).unwrap();
        let ran = run.end().exits(1);
        let object = ran.object();
        let named = (object["kind"].as_str(), object["task_id"].as_str());
        assert_eq!(named, (Some("journal"), Some("task-1")), "{object}");
        let message = object["message"].as_str().unwrap();
        let what =
            if is_replaced { "was replaced by another file" } else { "was deleted or moved" };
        for said in [what, path.to_str().unwrap(), "the id of task task-1 is kept in"] {
            assert!(message.contains(said), "{said:?} is missing: {message}");
        }
        let spilled = fs::read_to_string(path.with_file_name("journal.db-spill")).unwrap();
        assert!(spilled.contains("task-1") && !spilled.contains(KEY), "{spilled}");
        assert!(object["resume"].as_str().unwrap().contains("effects wait task-1"), "{object}");
    }
}

#[test]
fn every_one_of_the_first_commands_given_at_once_is_journaled() {
    for _ in 0..4 {
        let world = World::new();
        (0..COMMANDS).for_each(|_| world.accepts());
        let start = || {
            let mut command = world.command(&["submit", "glass_ball", IMAGE]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        };
        let started: Vec<_> = (0..COMMANDS).map(|_| start()).collect();
        for child in started {
            let ran = CommandOutput::from(child.wait_with_output().unwrap()).exits(0);
            assert!(!ran.stderr.contains("warning"), "{ran:?}");
        }
        assert_eq!(rows(&world).len(), COMMANDS);
    }
}

const COMMANDS: usize = 8;

/// A name that is misspelt makes no journal where one is only read.
#[test]
fn a_journal_that_is_not_there_is_named_and_not_made() {
    let world = World::new();
    let run = ["journal", "rebuild", "--from"];
    for line in [
        &["tasks"][..],
        &["tasks", "--doubtful", "--json"],
        &["cost", "--by", "day"],
        &["cost", "--html", "costs.html"],
        &["resume"],
        &["reorder", "1"],
        &["resolve", "1", "--not-billed"],
        &["resolve", "--all", "--not-billed"],
        &["journal", "backup", "copy.db"],
        &["journal", "prune", "--older-than", "90d"],
        &[&run[..], &["no-such.jsonl"]].concat(),
    ] {
        let ran = world.run(&[line, &["--journal", "jurnal.db"]].concat()).exits(2);
        let names = if line.contains(&"rebuild") { "no-such.jsonl" } else { "jurnal.db" };
        assert!(ran.stderr.contains(names), "{line:?}: {ran:?}");
        assert_eq!(world.names(), [""; 0], "{line:?}");
    }
    // `doctor` only looks.
    let ran = world.run(&["doctor", "--json", "--journal", "jurnal.db"]);
    assert!(ran.stdout.contains("jurnal.db, not made yet"), "{ran:?}");
    let copied = world.run(&["journal", "copy", "jurnal.db", "postgres://127.0.0.1:1/x"]).exits(2);
    assert!(copied.stderr.contains("jurnal.db"), "{copied:?}");
    assert_eq!((world.names(), world.server.requests().len()), (Vec::new(), 1), "doctor's look");
}
