//! Several processes on one file: racing for the same rows, and killed at any moment.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::*;
use effects_core::journal::{Journal, JournalError};
use effects_jobs::{Filter, JournalStore, Opened, Record, RowName, Which};
use effects_journal::SqliteJournal;

/// The steps that the children report, by row.
type ReportedSteps = BTreeMap<usize, Vec<String>>;

struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// A process of its own, ready to go.
fn start(path: &Path, role: &str) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FILE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "ready" {}
    Running { child, lines }
}

impl Running {
    fn go(&mut self) {
        self.say("go");
    }

    fn say(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads what it reports of rows, up to so many lines.
    fn read_steps(&mut self, most: usize, steps: &mut ReportedSteps) {
        let mut read = 0;
        while read < most
            && let Some(Ok(line)) = self.lines.next()
        {
            if let Some((what, row)) = line.rsplit_once(' ')
                && let (true, Ok(row)) = (WORDS.contains(&what), row.parse())
            {
                steps.entry(row).or_default().push(what.to_owned());
                read += 1;
            }
        }
    }

    fn kill(mut self, steps: &mut ReportedSteps) {
        self.child.kill().unwrap();
        // What it reported before it died counts as well.
        self.read_steps(usize::MAX, steps);
        self.child.wait().unwrap();
    }
}

fn record(journal: &SqliteJournal, number: usize) -> Option<Record> {
    journal.find(&RowName::Identity(row(&format!("cat{number}")).identity)).unwrap()
}

#[test]
fn two_processes_racing_for_the_same_rows_submit_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut racers = [start(&path, "race"), start(&path, "race")];
    racers.iter_mut().for_each(Running::go);
    let read: Vec<ReportedSteps> = racers
        .into_iter()
        .map(|mut racer| {
            thread::spawn(move || {
                let mut steps = ReportedSteps::new();
                racer.read_steps(usize::MAX, &mut steps);
                assert!(racer.child.wait().unwrap().success());
                steps
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|hearing| hearing.join().unwrap())
        .collect();
    let won = |steps: &ReportedSteps, row: usize| {
        steps.get(&row).is_some_and(|words| words.iter().any(|word| word == "intent"))
    };
    for row in 0..ROWS {
        let winners = read.iter().filter(|steps| won(steps, row)).count();
        assert_eq!(
            winners,
            1,
            "row {row}: {:?}",
            read.iter().map(|steps| steps.get(&row)).collect::<Vec<_>>()
        );
    }
    let journal = SqliteJournal::open(&path).unwrap();
    let all = effects_jobs::Filter { limit: usize::MAX, ..Default::default() };
    let rows = journal.list(&all).unwrap();
    assert_eq!(rows.len(), ROWS);
    assert!(rows.iter().all(|row| row.state.name() == "created"));
}

#[test]
fn whatever_was_confirmed_survives_a_kill_and_nothing_is_submitted_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut steps = ReportedSteps::new();
    let mut chance = 7_u64;
    for _ in 0..KILLS {
        let mut writer = start(&path, "writer");
        writer.go();
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writer.read_steps((chance >> 33) as usize % 120, &mut steps);
        writer.kill(&mut steps);

        let journal = SqliteJournal::open(&path).unwrap();
        for (number, words) in &steps {
            let record = record(&journal, *number).unwrap();
            let intents = words.iter().filter(|word| *word == "intent").count();
            assert!(intents <= 1, "row {number}: {words:?}");
            let state = record.state.name();
            match words.last().unwrap().as_str() {
                "intent" => assert!(["doubtful", "created", "completed"].contains(&state)),
                _ => assert!(["created", "completed"].contains(&state), "{state} {words:?}"),
            }
            if let Some(task) = record.state.task() {
                assert_eq!(task.as_str(), format!("t{number}"));
            }
        }
    }
    // Left in peace, the last one gets everything done but what a person has to find out.
    let mut writer = start(&path, "writer");
    writer.go();
    writer.read_steps(usize::MAX, &mut steps);
    assert!(writer.child.wait().unwrap().success());
    let journal = SqliteJournal::open(&path).unwrap();
    let doubtful =
        effects_jobs::Filter { which: Which::Doubtful, limit: usize::MAX, ..Default::default() };
    let doubtful = journal.list(&doubtful).unwrap().len();
    let completed = (0..ROWS)
        .filter(|row| record(&journal, *row).is_some_and(|row| row.state.name() == "completed"));
    assert_eq!(completed.count() + doubtful, ROWS);
    // A kill cuts at most what its writers were at.
    assert!(doubtful <= KILLS * WRITERS, "{doubtful}");
    let days = journal.spend(effects_jobs::SpendBy::Template, None).unwrap();
    assert_eq!(days[0].tasks as usize, ROWS - doubtful);
}

#[test]
fn processes_that_open_a_file_that_is_not_there_yet_at_once_all_get_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut openers: Vec<Running> = (0..OPENERS).map(|_| start(folder.path(), "opener")).collect();
    let mut failed = Vec::new();
    for round in 0..rounds() {
        openers.iter_mut().for_each(|opener| opener.say(&format!("{round}.db")));
        for opener in &mut openers {
            match opener.lines.next().unwrap().unwrap().as_str() {
                "opened" => {}
                why => failed.push(format!("round {round}: {why}")),
            }
        }
        let path = folder.path().join(format!("{round}.db"));
        let rows = SqliteJournal::open(&path).unwrap().list(&Filter::default()).unwrap();
        if rows.len() != OPENERS {
            failed.push(format!("round {round}: {} rows", rows.len()));
        }
        std::fs::remove_file(&path).unwrap();
    }
    assert!(failed.is_empty(), "{} of {} openings: {failed:#?}", failed.len(), rounds() * OPENERS);
    for mut opener in openers {
        drop(opener.child.stdin.take());
        assert!(opener.child.wait().unwrap().success());
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "they leave nothing beside it: {left:?}");
}

#[test]
fn threads_that_open_a_file_that_is_not_there_yet_at_once_all_get_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..rounds() {
        let path = &folder.path().join(format!("{round}.db"));
        let barrier = &Barrier::new(OPENERS);
        thread::scope(|scope| {
            for opener in 0..OPENERS {
                scope.spawn(move || {
                    barrier.wait();
                    begin(path, opener).unwrap();
                });
            }
        });
        let rows = SqliteJournal::open(path).unwrap().list(&Filter::default()).unwrap();
        assert_eq!(rows.len(), OPENERS, "round {round}");
    }
}

#[cfg(unix)]
#[test]
fn of_two_forks_of_one_process_each_is_an_owner_of_its_own_and_one_submits_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(SqliteJournal::open(&path).unwrap());
    let mut parent = start(&path, "forks");
    parent.go();
    let mut steps = ReportedSteps::new();
    parent.read_steps(2, &mut steps);
    // Both have the row in hand now, and each is sent on after the other.
    let database = rusqlite::Connection::open(&path).unwrap();
    let owners: u32 =
        database.query_row("SELECT count(*) FROM owners", [], |row| row.get(0)).unwrap();
    for turn in 0..2 {
        std::fs::write(path.with_extension(turn.to_string()), "").unwrap();
        parent.read_steps(1, &mut steps);
    }
    assert_eq!((owners, steps[&0].join(" ").as_str()), (2, "opened opened intent taken"));
    drop(parent.child.stdin.take());
    assert!(parent.child.wait().unwrap().success());
}

/// Two forks race for one row, and keep the file open until there is nothing more to read.
#[cfg(unix)]
fn fork_twice(path: &Path) {
    // A program like any: it has drawn lots before it is forked.
    drop(std::collections::HashMap::<u8, u8>::new());
    println!("\nready");
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    let forks = [0, 1].map(|turn| match fork::fork().unwrap() {
        fork::Fork::Parent(child) => child,
        fork::Fork::Child => {
            let journal = SqliteJournal::open(path).unwrap();
            let Opened::Submit(open) = journal.open(&row("cat0")).unwrap() else { panic!() };
            report("opened", 0);
            while !path.with_extension(turn.to_string()).exists() {
                thread::yield_now();
            }
            match Journal::write(&*open, &intent(0)) {
                Ok(_) => report("intent", 0),
                Err(JournalError::Taken { .. }) => report("taken", 0),
                Err(error) => panic!("{error}"),
            }
            // The one that was first is not gone before the other has tried.
            std::io::stdin().lock().read_line(&mut String::new()).unwrap();
            drop((open, journal));
            std::process::exit(0);
        }
    });
    for child in forks {
        assert_eq!(fork::waitpid(child).unwrap(), 0);
    }
}

/// Opens a journal and begins a row that is this opener's alone.
fn begin(path: &Path, opener: usize) -> Result<(), JournalError> {
    let journal = SqliteJournal::open(path)?;
    let Opened::Submit(open) = journal.open(&row(&format!("cat{opener}")))? else { panic!() };
    Journal::write(&*open, &intent(0)).map(drop)
}

/// Opens a journal in this folder for each line it reads.
fn open_each(folder: &Path) {
    println!("\nready");
    for name in std::io::stdin().lock().lines() {
        let opened = begin(&folder.join(name.unwrap()), std::process::id() as usize);
        let mut out = std::io::stdout().lock();
        match opened {
            Ok(()) => out.write_all(b"opened\n").unwrap(),
            Err(error) => out.write_all(format!("{error}\n").as_bytes()).unwrap(),
        }
        out.flush().unwrap();
    }
}

/// How often a first opening is raced for; `EFFECTS_JOURNAL_TEST_ROUNDS` asks for more.
fn rounds() -> usize {
    std::env::var("EFFECTS_JOURNAL_TEST_ROUNDS").map_or(60, |rounds| rounds.parse().unwrap())
}

#[test]
#[ignore = "it is what the other tests start as processes of their own"]
fn child() {
    let (role, path) = (std::env::var(ROLE).unwrap(), std::env::var(FILE).unwrap());
    match role.as_str() {
        "opener" => return open_each(Path::new(&path)),
        #[cfg(unix)]
        "forks" => return fork_twice(Path::new(&path)),
        _ => {}
    }
    let journal = SqliteJournal::open(&path).unwrap();
    println!("\nready");
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= ROWS {
                        return;
                    }
                    match role.as_str() {
                        "race" => race(&journal, number),
                        _ => write(&journal, number),
                    }
                }
            });
        }
    });
    journal.flush().unwrap();
}

fn race(journal: &SqliteJournal, number: usize) {
    let opened = journal.open(&row(&format!("cat{number}"))).unwrap();
    let Opened::Submit(open) = opened else { return };
    match Journal::write(&*open, &intent(0)) {
        Ok(_) => report("intent", number),
        Err(JournalError::Taken { .. }) => return report("taken", number),
        Err(error) => panic!("{error}"),
    }
    Journal::write(&*open, &created(&format!("t{number}"))).unwrap();
}

fn write(journal: &SqliteJournal, number: usize) {
    let task = format!("t{number}");
    match journal.open(&row(&format!("cat{number}"))).unwrap() {
        Opened::Submit(open) => {
            Journal::write(&*open, &intent(0)).unwrap();
            report("intent", number);
            Journal::write(&*open, &created(&task)).unwrap();
            report("created", number);
            open.settle(&completed(&task, "0.03")).unwrap();
        }
        Opened::Watch(_, open) => open.settle(&completed(&task, "0.03")).unwrap(),
        Opened::Finished(..) | Opened::Doubtful(_) => {}
        Opened::Elsewhere(record) => panic!("no other process is there: {record:?}"),
    }
}

/// One line, at once: what was reported is known even if the next moment is the last.
fn report(what: &str, number: usize) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what} {number}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

const ROLE: &str = "EFFECTS_JOURNAL_TEST_ROLE";
const FILE: &str = "EFFECTS_JOURNAL_TEST_FILE";
const WORDS: [&str; 4] = ["opened", "intent", "taken", "created"];
const ROWS: usize = 500;
const WRITERS: usize = 8;
const OPENERS: usize = 8;
const KILLS: usize = 12;
