//! The spill file: ids of tasks that the database does not take.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use effects_core::journal::{Journal, JournalError, RowOutcome};
use effects_jobs::{Filter, JournalStore, Record, Resolution};
use effects_journal::SqliteJournal;
use rusqlite::Connection;

/// The database takes no task any more, until it is told otherwise.
fn fill(path: &Path) {
    let full = "CREATE TRIGGER full BEFORE INSERT ON tasks
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    Connection::open(path).unwrap().execute_batch(full).unwrap();
}

fn clear(path: &Path) {
    Connection::open(path).unwrap().execute_batch("DROP TRIGGER full").unwrap();
}

fn spill(path: &Path) -> PathBuf {
    path.with_file_name("journal.db-spill")
}

/// The lines of the spill file that hold something.
fn spilled(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(spill(path)).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Submits a row, and loses the id of its task but for the spill file.
fn submit_and_spill(journal: &SqliteJournal, row: &effects_jobs::Row, task: &str) -> JournalError {
    let open = submit(journal, row);
    Journal::write(&*open, &intent(0)).unwrap();
    let error = Journal::write(&*open, &created(task)).unwrap_err();
    open.settle(&RowOutcome::Abandoned).unwrap();
    error
}

fn tasks(journal: &SqliteJournal) -> Vec<String> {
    let task = |record: Record| record.state.task().map(ToString::to_string);
    journal.list(&Filter::default()).unwrap().into_iter().filter_map(task).collect()
}

#[test]
fn an_id_that_the_database_does_not_take_is_in_it_at_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (cat, dog) = (row("cat"), row("dog"));
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&path);
    let error = submit_and_spill(&journal, &cat, "t1").to_string();
    for told in ["the disk is full", "the id of task t1 is kept in", "journal.db-spill"] {
        assert!(error.contains(told), "{error}");
    }
    submit_and_spill(&journal, &dog, "t2");
    drop(journal);
    assert_eq!(spilled(&path).len(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(spill(&path).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    clear(&path);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(tasks(&journal), ["t1", "t2"]);
    assert_eq!(opened(&journal, &cat), "watch", "no run follows it, and none pays for it again");
    assert!(spilled(&path).is_empty());
    let record = look(&journal, &dog);
    assert_eq!(record.state.name(), "created");
    drop(journal);
    assert!(!spill(&path).exists(), "the last to leave takes it along");
}

#[test]
fn an_id_that_comes_again_changes_nothing_and_one_whose_row_was_settled_gets_a_row_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (cat, dog) = (row("cat"), row("dog"));
    let watching = SqliteJournal::open(&path).unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&path);
    submit_and_spill(&journal, &cat, "t1");
    submit_and_spill(&journal, &dog, "t2");
    drop(journal);
    clear(&path);
    // While the file is away, a person is told that there is none: of one row the truth, of the other
    // an error.
    let away = path.with_extension("away");
    fs::rename(spill(&path), &away).unwrap();
    let resolve = |row, found| watching.resolve(look(&watching, row).number, &found);
    resolve(&cat, Resolution::Task("t1".parse().unwrap())).unwrap();
    resolve(&dog, Resolution::NotBilled).unwrap();
    assert_eq!(tasks(&watching), ["t1"]);

    for _ in 0..2 {
        fs::copy(&away, spill(&path)).unwrap();
        let journal = SqliteJournal::open(&path).unwrap();
        assert_eq!(tasks(&journal), ["t1", "t2"]);
        assert_eq!(row_state(&journal, &dog).name(), "released");
        assert_eq!(journal.list(&Filter::default()).unwrap().len(), 3);
    }
}

#[test]
fn no_call_resolves_a_row_whose_id_is_there_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let watching = SqliteJournal::open(&path).unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&path);
    submit_and_spill(&journal, &row("cat"), "t1");
    drop(journal);
    let number = look(&watching, &row("cat")).number;
    assert_eq!(row_state(&watching, &row("cat")).name(), "doubtful", "no run looked yet");
    let error = watching.resolve(number, &Resolution::NotBilled).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    clear(&path);
    let error = watching.resolve(number, &Resolution::NotBilled).unwrap_err();
    assert!(matches!(error, JournalError::WrongRowState { state: "created", .. }), "{error}");
    assert_eq!(opened(&watching, &row("cat")), "watch");
}

#[test]
fn a_journal_that_stays_open_takes_it_in_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let clock = Clock::new();
    let journal = clock.builder().lease(LEASE).open(&path).unwrap();
    let other = clock.builder().lease(LEASE).open(&path).unwrap();
    fill(&path);
    submit_and_spill(&journal, &row("cat"), "t1");
    other.flush().unwrap();
    assert!(tasks(&other).is_empty());
    clear(&path);
    clock.pass(LEASE / 2);
    other.flush().unwrap();
    assert_eq!(tasks(&other), ["t1"]);
    assert!(spilled(&path).is_empty());
}

#[test]
fn what_it_cannot_place_stays_and_is_in_no_row_s_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&path);
    submit_and_spill(&journal, &row("cat"), "t1");
    drop(journal);
    let foreign = spilled(&path).remove(0);
    fs::remove_file(&path).unwrap();
    let torn = foreign.replace('}', "");
    fs::write(spill(&path), format!("{torn}\n{foreign}")).unwrap();

    // Another journal of the same name: it has no such row.
    for task in ["t2", "t3"] {
        let journal = SqliteJournal::open(&path).unwrap();
        let open = submit(&journal, &row(task));
        Journal::write(&*open, &intent(0)).unwrap();
        fill(&path);
        Journal::write(&*open, &created(task)).unwrap_err();
        clear(&path);
        drop((open, journal));
    }
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(tasks(&journal), ["t2", "t3"]);
    assert_eq!(spilled(&path), [torn, foreign]);
    drop(journal);
    assert!(spill(&path).exists());
}

#[test]
fn ids_of_any_length_and_number_find_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    fill(&path);
    // More than there is room for.
    let ids: Vec<String> = (0..200).map(|n| format!("{n:-<240}")).collect();
    for id in &ids {
        submit_and_spill(&journal, &row(id), id);
    }
    drop(journal);
    clear(&path);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(tasks(&journal), ids);
}

/// A file system of one megabyte.
#[cfg(target_os = "linux")]
struct Disk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Disk {
    /// `None`, and a word, where this user mounts nothing.
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(place.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(place));
        }
        eprintln!("skipped: this user may not mount a small file system");
        None
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("journal.db")
    }

    /// Fills it but for so many bytes.
    fn fill(&self, left: u64) {
        let path = self.0.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while std::io::Write::write(&mut file, &[b'x'; 4096]).is_ok_and(|wrote| wrote > 0) {}
        let length = file.metadata().unwrap().len();
        file.set_len(length - left).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_while_submissions_are_out_loses_no_id() {
    let Some(disk) = Disk::mount() else { return };
    let path = disk.path();
    let journal = SqliteJournal::open(&path).unwrap();
    let rows: Vec<_> = (0..16).map(|n| row(&format!("cat{n}"))).collect();
    let open: Vec<_> = rows.iter().map(|row| submit(&journal, row)).collect();
    for open in &open {
        Journal::write(&**open, &intent(0)).unwrap();
    }
    disk.fill(0);
    let mut unwritten = 0;
    for (n, open) in open.iter().enumerate() {
        // The log may have room for the first of them.
        if let Err(error) = Journal::write(&**open, &created(&format!("t{n}"))) {
            assert!(error.to_string().contains("is kept in"), "{error}");
            unwritten += 1;
        }
    }
    assert!(unwritten > 8, "{unwritten}");
    Journal::write(&*submit(&journal, &row("dog")), &intent(0)).unwrap_err();
    drop((open, journal));
    disk.empty();

    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(tasks(&journal).len(), 16);
    for row in &rows {
        assert_eq!(opened(&journal, row), "watch");
    }
    assert_eq!(opened(&journal, &row("dog")), "submit");
}

#[cfg(target_os = "linux")]
#[test]
fn without_room_for_an_id_nothing_is_submitted() {
    let Some(disk) = Disk::mount() else { return };
    let journal = SqliteJournal::open(disk.path()).unwrap();
    disk.fill(32 * 1024);
    let open = submit(&journal, &row("cat"));
    let error = Journal::write(&*open, &intent(0)).unwrap_err().to_string();
    assert!(error.contains("no room") && error.contains("journal.db-spill"), "{error}");
    assert!(journal.list(&Filter::default()).unwrap().is_empty(), "it is read all the same");
    disk.empty();
    Journal::write(&*open, &intent(0)).unwrap();
    drop((open, journal));
}
