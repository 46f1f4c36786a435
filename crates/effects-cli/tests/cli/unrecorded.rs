//! A journal that takes an intent, and then not the id of the task that was made.

use std::path::Path;

use effects_journal::SqliteJournal;
use rusqlite::Connection;

use crate::world::{IMAGE, Ran, World};

/// A journal that takes no task any more.
fn fill(path: &Path) {
    drop(SqliteJournal::open(path).unwrap());
    let database = Connection::open(path).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON tasks
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute_batch(full).unwrap();
}

#[test]
fn a_task_whose_id_the_journal_does_not_take_is_a_failure_with_the_id_and_the_line_that_resumes_it()
{
    for command in ["submit", "run"] {
        let world = World::with_service();
        fill(&world.state.path().join("journal.db"));
        let ran = world.run(&[command, "glass_ball", IMAGE, "--json"]).exits(1);
        let object = ran.object();
        assert_eq!(
            (object["kind"].as_str(), object["task_id"].as_str()),
            (Some("journal"), Some("task-1"))
        );
        assert!(object["resume"].as_str().unwrap().contains("effects wait task-1"), "{object}");
        assert!(object["message"].as_str().unwrap().contains("the disk is full"), "{object}");
        assert_eq!(world.submissions(), 1);
        world.accepts();
        let plain: Ran = world.run(&[command, "glass_ball", IMAGE]).exits(1);
        assert!(plain.stderr.contains("task-1") && plain.stdout.is_empty(), "{plain:?}");
    }
}
