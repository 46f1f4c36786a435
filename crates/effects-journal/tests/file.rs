//! The file: who may read it, what is in it, and files of other versions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use effects_core::journal::{Journal, JournalError, RowNumber, RowOutcome};
use effects_jobs::{JournalStore, RowDraft, RowPhoto, RowState, SpendBy};
use effects_journal::SqliteJournal;
use rusqlite::Connection;

fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_task_id_of_four_kibibytes_is_there_at_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (id, cat) = ("long.id-".repeat(512), row("cat"));
    let journal = SqliteJournal::open(&path).unwrap();
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created(&id)).unwrap();
    drop((open, journal));
    let journal = SqliteJournal::open(&path).unwrap();
    let RowState::Created { task, .. } = look(&journal, &cat).state else { panic!() };
    assert_eq!((task.as_str(), task.as_str().len()), (id.as_str(), 4_096));
}

#[test]
fn a_folder_is_no_journal_and_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteJournal::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it is a folder: name the file of a journal in it"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made in it");
}

#[cfg(unix)]
#[test]
fn it_is_its_owners_alone_with_all_that_lies_beside_it() {
    use std::os::unix::fs::PermissionsExt;

    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("state/effects");
    let journal = SqliteJournal::open(folder.join("journal.db")).unwrap();
    let open = submit(&journal, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 2, "the log lies beside it: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[cfg(unix)]
#[test]
fn its_name_is_a_name_whatever_it_holds() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    let place = tempfile::tempdir().unwrap();
    let names: [&[u8]; 6] =
        [b"a?mode=memory.db", b"b#c.db", b"%41 b.db", b"file:c.db", b"no end", b"\xff\xfe.db"];
    for name in names {
        let path = place.path().join(std::ffi::OsStr::from_bytes(name));
        for intents in [1, 2] {
            let journal = SqliteJournal::open(&path).unwrap();
            let open = submit(&journal, &row(&format!("cat{intents}")));
            Journal::write(&*open, &intent(0)).unwrap();
            assert_eq!(journal.list(&Default::default()).unwrap().len(), intents);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // A link to where it is to be.
    let (link, path) = (place.path().join("link.db"), place.path().join("elsewhere.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    drop(SqliteJournal::open(&link).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_permission_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let url = "https://me:hunter2@bucket.example.com/cat.jpg?X-Amz-Signature=s3cret&v=1";
    let row = RowDraft {
        photo: RowPhoto::Url(url.parse().unwrap()),
        key: Some("the-key-of-the-row".to_owned()),
        ..draft("-")
    };
    let row = row.row(0).unwrap();
    let open = submit(&journal, &row);
    let mut signed = serde_json::to_value(intent(0)).unwrap();
    signed["fact"]["intent"]["request"]["image"]["url"] = url.into();
    Journal::write(&*open, &serde_json::from_value(signed).unwrap()).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    let end = RowOutcome::of(&Ok(effect("t1", "https://cdn.example.com/t1.png?sig=perm1ssion")));
    open.settle(&end).unwrap();
    journal.flush().unwrap();

    let bytes = bytes_of(folder.path());
    // What the log and the file hold is there to be found.
    for there in ["bucket.example.com/cat.jpg", "the-key-of-the-row", "cdn.example.com/t1.png"] {
        assert!(holds(&bytes, there), "{there}");
    }
    for secret in ["s3cret", "hunter2", "perm1ssion", "X-Amz", "sig="] {
        assert!(!holds(&bytes, secret), "{secret}");
    }
}

fn effect(task: &str, url: &str) -> effects_core::Effect {
    let json = serde_json::json!({
        "task_id": task,
        "pictures": [{"task_id": task, "url": url, "size": null, "job_id": null}],
        "usage": {"cost": "0.03", "discount": null},
        "metadata": null,
        "warning": null,
        "raw": {},
    });
    serde_json::from_str(&json.to_string()).unwrap()
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let database = Connection::open(&other).unwrap();
    database.execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1").unwrap();
    let error = SqliteJournal::open(&other).unwrap_err();
    assert!(error.to_string().contains("a database of something else"), "{error}");
    assert!(error.to_string().contains("other.db"), "{error}");

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be looked at as if it were one")
        .unwrap();
    assert!(matches!(SqliteJournal::open(&text), Err(JournalError::Unreadable(_))));
    assert!(matches!(SqliteJournal::open(folder.path()), Err(JournalError::Unreadable(_))));
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("not a database"));
}

#[test]
fn a_newer_file_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(SqliteJournal::open(&path).unwrap());
    let database = Connection::open(&path).unwrap();
    let known: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    database.pragma_update(None, "user_version", known + 1).unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert_eq!(error, JournalError::Newer { found: known + 1, known });
    assert!(error.to_string().contains("use the newer version, or another journal"), "{error}");
}

/// A file as the first version wrote it: its tables are copied here, and never change.
#[test]
fn an_older_file_becomes_one_of_today_with_all_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(FORMAT_1).unwrap();
    let (cat, dog) = (row("cat"), row("dog"));
    for (row, state, task) in [(&cat, "completed", Some(1)), (&dog, "doubtful", None)] {
        let sql = "INSERT INTO rows (identity, origin, template, image, likeness, tag, state,
                attempts, task, begun, changed)
            VALUES (?1, 'https://cloud.vtrix.ai', 'glass_ball', ?2, ?3, 'spring', ?4, ?5, ?6, 1, 2)";
        let attempts = r#"[{"request_id":"r1","idempotency_key":"k1","at":1}]"#;
        let (identity, likeness) = (row.identity.as_bytes(), row.likeness.as_bytes());
        let values = rusqlite::params![identity, row.image, likeness, state, attempts, task];
        database.execute(sql, values).unwrap();
    }
    database
        .execute_batch(
            "INSERT INTO tasks (row, id, submitted, finished, cost) VALUES (1, 't1', 1, 2, '0.03');
             INSERT INTO pictures VALUES (1, 0, 'https://example.com/t1.png', '/out/t1.png');",
        )
        .unwrap();
    drop(database);

    let journal = SqliteJournal::open(&path).unwrap();
    let record = look(&journal, &cat);
    assert_eq!(record.row, RowDraft { tag: Some("spring".into()), ..draft("cat") }.row(0).unwrap());
    let RowState::Completed { task, cost, pictures, .. } = record.state else { panic!() };
    assert_eq!((task.as_str(), cost.unwrap().to_string().as_str()), ("t1", "0.03"));
    assert_eq!(pictures[0].path.as_deref(), Some(Path::new("/out/t1.png")));
    let RowState::Doubtful { attempts, .. } = row_state(&journal, &dog) else { panic!() };
    assert_eq!(attempts[0].request_id, "r1");
    // And it goes on from there, also when it is opened again.
    let open = submit(&journal, &row("bird"));
    Journal::write(&*open, &intent(0)).unwrap();
    drop((open, journal));
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.list(&Default::default()).unwrap().len(), 3);
}

/// Earlier editions wrote down whatever the service said a picture cost.
#[test]
fn a_cost_that_no_picture_has_is_not_known_any_more_and_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(FORMAT_1).unwrap();
    for (number, cost) in
        ["0.03", "-0.02", "70000000000000000000000000000", "10000.01", "10000"].iter().enumerate()
    {
        let (row, number) = (row(&format!("cat{number}")), number + 1);
        let sql =
            "INSERT INTO rows (identity, origin, template, image, likeness, state, task, begun,
                changed)
            VALUES (?1, 'https://cloud.vtrix.ai', 'glass_ball', ?2, ?3, 'completed', ?4, 1, 2)";
        let (identity, likeness) = (row.identity.as_bytes(), row.likeness.as_bytes());
        database.execute(sql, rusqlite::params![identity, row.image, likeness, number]).unwrap();
        let sql =
            "INSERT INTO tasks (row, id, submitted, finished, cost) VALUES (?1, ?1, 1, 2, ?2)";
        database.execute(sql, rusqlite::params![number, cost]).unwrap();
    }
    drop(database);

    let journal = SqliteJournal::open(&path).unwrap();
    let spend = journal.spend(SpendBy::Template, None).unwrap();
    let [spend] = &spend[..] else { panic!("{spend:?}") };
    assert_eq!((spend.tasks, spend.unpriced, spend.cost.to_string().as_str()), (5, 3, "10000.03"));
    let known: Vec<_> = journal.list(&Default::default()).unwrap();
    let known: Vec<bool> = known.iter().map(|record| record.state.cost().is_some()).collect();
    assert_eq!(known, [true, false, false, false, true]);
    // A budget without a price is not kept by what is not known.
    let scope = journal.open_scope(None).unwrap();
    journal.add_to_scope(scope, &[row("cat0").identity, row("cat1").identity]).unwrap();
    let state = journal.scope(scope).unwrap();
    assert_eq!((state.paid.to_string().as_str(), state.unreadable), ("0.03", Some(RowNumber(2))));
}

#[test]
fn a_large_file_is_compacted_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let clock = Clock::new();
    let large = |journal: &SqliteJournal, names: std::ops::Range<u32>| {
        for name in names {
            let open = submit(journal, &row(&format!("cat{name}")));
            Journal::write(&*open, &intent(0)).unwrap();
            Journal::write(&*open, &created(&format!("t{name}"))).unwrap();
            let RowOutcome::Completed { task, cost, .. } = completed(&format!("t{name}"), "0.03")
            else {
                panic!()
            };
            let pictures = vec!["x".repeat(300_000)];
            open.settle(&RowOutcome::Completed { task, cost, pictures }).unwrap();
            open.picture_saved(0, Path::new("/out/cat.png"), None).unwrap();
        }
        journal.flush().unwrap();
    };
    large(&clock.builder().open(&path).unwrap(), 0..20);
    let size = || path.metadata().unwrap().len();
    let full = size();
    drop(clock.builder().open(&path).unwrap());
    assert_eq!(size(), full, "too young");
    clock.pass(Duration::from_secs(31 * 24 * 3600));
    drop(clock.builder().open(&path).unwrap());
    let compacted = size();
    assert!(compacted * 3 < full, "{full} -> {compacted}");
}

#[test]
fn what_was_not_written_is_tried_again_before_a_row_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let (cat, dog) = (row("cat"), row("dog"));
    let full = |table: &str, event: &str| {
        format!(
            "CREATE TRIGGER full BEFORE {event} ON {table}
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    };
    let database = Connection::open(&path).unwrap();
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();

    database.execute_batch(&full("tasks", "INSERT")).unwrap();
    let error = Journal::write(&*open, &created("t1")).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(!open.is_taken());
    database.execute_batch("DROP TRIGGER full").unwrap();
    // The run is over: its client could not go on without a record.
    open.settle(&RowOutcome::Abandoned).unwrap();
    assert_eq!(row_state(&journal, &cat).task().unwrap().as_str(), "t1");
    assert_eq!(opened(&journal, &cat), "watch");

    // An intent that was not written was never sent on, so the row is free again; not so if an
    // attempt before it may have arrived.
    let open = submit(&journal, &dog);
    database.execute_batch(&full("rows", "INSERT")).unwrap();
    Journal::write(&*open, &intent(0)).unwrap_err();
    database.execute_batch("DROP TRIGGER full").unwrap();
    open.settle(&RowOutcome::Abandoned).unwrap();
    assert_eq!(opened(&journal, &dog), "submit");
    let open = submit(&journal, &dog);
    Journal::write(&*open, &intent(0)).unwrap();
    database.execute_batch(&full("rows", "UPDATE")).unwrap();
    Journal::write(&*open, &intent(1)).unwrap_err();
    database.execute_batch("DROP TRIGGER full").unwrap();
    open.settle(&RowOutcome::Abandoned).unwrap();
    let RowState::Doubtful { attempts, .. } = row_state(&journal, &dog) else { panic!() };
    assert_eq!(attempts.len(), 1);
    journal.flush().unwrap();
}

#[test]
fn an_error_that_no_call_waited_for_is_told_at_the_next_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let open = submit(&journal, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON tasks
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .unwrap();
    open.settle(&completed("t1", "0.03")).unwrap();
    let error = journal.flush().unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    journal.flush().unwrap();
    // It is looked at again, which costs nothing.
    assert_eq!(row_state(&journal, &row("cat")).name(), "created");
}

#[test]
fn compaction_forgets_what_is_bulky_and_nothing_that_was_paid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let clock = Clock::new();
    let journal = clock.builder().open(&path).unwrap();
    let long = "x".repeat(20_000);
    for number in 0..80 {
        let row = RowDraft { tag: Some("spring".to_owned()), ..draft(&format!("cat{number}")) };
        let open = submit(&journal, &row.row(0).unwrap());
        let task = format!("t{number}");
        Journal::write(&*open, &intent(0)).unwrap();
        Journal::write(&*open, &created(&task)).unwrap();
        let RowOutcome::Completed { task, cost, .. } = completed(&task, "0.03") else { panic!() };
        let pictures = vec![format!("https://example.com/{long}")];
        open.settle(&RowOutcome::Completed { task, cost, pictures }).unwrap();
        open.picture_saved(0, Path::new("/out/cat.png"), None).unwrap();
    }
    let failing = submit(&journal, &row("dog"));
    Journal::write(&*failing, &intent(0)).unwrap();
    Journal::write(&*failing, &created("f1")).unwrap();
    failing.settle(&failed("f1", "3009095")).unwrap();
    journal.flush().unwrap();

    let before = journal.list(&Default::default()).unwrap();
    journal.compact(Duration::from_secs(1)).unwrap();
    assert_eq!(journal.list(&Default::default()).unwrap(), before, "too young");
    let size = path.metadata().unwrap().len();
    clock.pass(Duration::from_secs(2));
    journal.compact(Duration::from_secs(1)).unwrap();
    let after = path.metadata().unwrap().len();
    assert!(after * 3 < size, "{size} -> {after}");

    let rows = journal.list(&Default::default()).unwrap();
    assert_eq!(rows.len(), before.len());
    for (row, before) in rows.iter().zip(&before) {
        assert_eq!((&row.row, row.state.task()), (&before.row, before.state.task()));
        assert_eq!(row.state.cost(), before.state.cost());
        if let RowState::Completed { pictures, .. } = &row.state {
            assert_eq!(pictures[0].url, "");
            assert_eq!(pictures[0].path.as_deref(), Some(Path::new("/out/cat.png")));
        }
    }
    // What failed can still be told, and renewed.
    let RowState::Failed { message, .. } = row_state(&journal, &row("dog")) else { panic!() };
    assert_eq!(message, "it went wrong");
    journal.renew(RowNumber(81)).unwrap();
}

const FORMAT_1: &str = "
    PRAGMA application_id = 0x4546464a;
    PRAGMA user_version = 1;
    CREATE TABLE owners (
        id INTEGER PRIMARY KEY,
        host TEXT NOT NULL,
        place TEXT NOT NULL,
        process INTEGER NOT NULL,
        started TEXT NOT NULL,
        lease INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE rows (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        identity BLOB NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        image TEXT NOT NULL,
        likeness BLOB NOT NULL,
        key TEXT,
        tag TEXT,
        target ANY,
        state TEXT NOT NULL CHECK
            (state IN ('intent', 'doubtful', 'created', 'completed', 'failed', 'released')),
        attempts TEXT,
        reason TEXT,
        task INTEGER,
        former INTEGER,
        renewals INTEGER NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        owner INTEGER,
        claim INTEGER
    ) STRICT;
    CREATE INDEX rows_held ON rows (owner) WHERE owner IS NOT NULL;
    CREATE TABLE tasks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        row INTEGER NOT NULL REFERENCES rows (number),
        id TEXT NOT NULL,
        submitted INTEGER NOT NULL,
        finished INTEGER,
        cost TEXT,
        code TEXT,
        message TEXT
    ) STRICT;
    CREATE INDEX tasks_by_id ON tasks (id);
    CREATE TABLE pictures (
        task INTEGER NOT NULL REFERENCES tasks (number),
        place INTEGER NOT NULL,
        url TEXT NOT NULL,
        path ANY,
        PRIMARY KEY (task, place)
    ) STRICT, WITHOUT ROWID;
";
