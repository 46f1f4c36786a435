//! What only a journal in Postgres can do: be reached from many machines, and lose its server.
//!
//! Where this machine has no server programs, each test says so and ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use effects_core::Time;
use effects_core::journal::{Admission, Journal, JournalError, RowNumber, RowOutcome};
use effects_jobs::{Budget, Filter, JournalStore, Opened, Resolution, Row, RowName, RowState};
use effects_journal::{Copied, PostgresBuilder, PostgresStore, Process, SqliteJournal};
use effects_testkit::postgres::{TestDatabase, TestServer};
use rust_decimal::Decimal;

/// What a test needs, or nothing where this machine has none of it.
fn there<T>(found: Result<T, String>) -> Option<T> {
    found.inspect_err(|why| println!("skipped: {why}")).ok()
}

fn on_host(host: &str) -> PostgresBuilder {
    let host = host.to_owned();
    let place = format!("a boot of {host}");
    PostgresStore::builder().process(Process { host, place, id: 7, started: "1".to_owned() })
}

/// Waits for something that another process does, a good while.
fn eventually(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "it never came");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn many_that_start_at_once_make_one_schema_and_one_journal() {
    let Some(database) = there(TestDatabase::create()) else { return };
    let url = database.url();
    let ids: Vec<_> = thread::scope(|scope| {
        let connect = || PostgresStore::connect(&url).unwrap().id().unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(connect)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| id.is_some() && *id == ids[0]), "{ids:?}");
    // Each that left in order is forgotten.
    assert_eq!(database.sql("SELECT count(*) FROM effects.owners").unwrap(), "0");
}

#[test]
fn what_one_host_holds_another_leaves_alone_until_its_lease_ends() {
    let Some(database) = there(TestDatabase::create()) else { return };
    let url = database.url();
    let lease = Duration::from_secs(2);
    let here = on_host("here").lease(lease).connect(&url).unwrap();
    let there = on_host("there").lease(lease).connect(&url).unwrap();
    let (cat, dog) = (submit(&there, &row("cat")), submit(&there, &row("dog")));
    Journal::write(&*cat, &intent(0)).unwrap();
    Journal::write(&*dog, &intent(0)).unwrap();
    Journal::write(&*cat, &created("t1")).unwrap();
    assert_eq!(
        (opened(&here, &row("cat")), opened(&here, &row("dog"))),
        ("elsewhere", "elsewhere")
    );
    // Longer than its lease, which it renews by itself.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(opened(&here, &row("cat")), "elsewhere");

    // Gone without a word: nothing of it runs any more, and it says nothing to the database.
    let stopped = there.fork_handle().close_for_fork().unwrap();
    eventually(|| opened(&here, &row("dog")) == "doubtful");
    let Opened::Watch(_, follow) = here.open(&row("cat")).unwrap() else { panic!() };
    follow.settle(&completed("t1", "0.03")).unwrap();
    // It comes back late, and its answer is its row's all the same.
    drop(stopped);
    Journal::write(&*dog, &created_by("t2", "request 0")).unwrap();
    here.flush().unwrap();
    assert!(matches!(row_state(&here, &row("dog")), RowState::Created { .. }));
}

#[test]
fn one_budget_holds_over_all_hosts() {
    let Some(database) = there(TestDatabase::create()) else { return };
    let admitted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for host in 0..4 {
            let (url, admitted) = (database.url(), &admitted);
            scope.spawn(move || {
                let store = on_host(&format!("host {host}")).connect(&url).unwrap();
                let scope = store.open_scope(Some("spring sale")).unwrap();
                let price = Some("0.03".parse().unwrap());
                let limit = [Budget { scope, limit: "0.60".parse().unwrap(), price }];
                for number in 0..20 {
                    let open = submit(&store, &row(&format!("{host}-{number}")));
                    open.charge_to(&limit);
                    let task = format!("t{host}-{number}");
                    if Journal::write(&*open, &intent(0)).unwrap() == Admission::Admitted {
                        admitted.fetch_add(1, Ordering::SeqCst);
                        Journal::write(&*open, &created(&task)).unwrap();
                        open.settle(&completed(&task, "0.03")).unwrap();
                    }
                }
                store.flush().unwrap();
            });
        }
    });
    let store = PostgresStore::connect(&database.url()).unwrap();
    let scope = store.open_scope(Some("spring sale")).unwrap();
    assert_eq!(admitted.into_inner(), 20);
    assert_eq!(store.scope(scope).unwrap().paid, "0.60".parse().unwrap());
}

/// Hands bytes on between a client and a server, and cuts the connection where it is told to.
struct Proxy {
    port: u16,
    /// The next commit reaches the server, and its answer does not reach the client.
    loses_answer: Arc<AtomicBool>,
    /// The next commit does not reach the server.
    loses_commit: Arc<AtomicBool>,
    /// No new connection is made.
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (loses_answer, loses_commit) = (Arc::default(), Arc::default());
        let proxy = Self { port, loses_answer, loses_commit, is_cut: Arc::default() };
        let is_cut = Arc::clone(&proxy.is_cut);
        let (answer, commit) = (Arc::clone(&proxy.loses_answer), Arc::clone(&proxy.loses_commit));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (answer, commit) = (Arc::clone(&answer), Arc::clone(&commit));
                thread::spawn(move || hand_on(client, server, &answer, &commit));
            }
        });
        proxy
    }
}

fn hand_on(client: TcpStream, server: TcpStream, answer: &AtomicBool, commit: &AtomicBool) {
    let cut = Arc::new(AtomicBool::new(false));
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let muted = Arc::clone(&cut);
    let back = thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if muted.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).is_err() {
                // The server has answered the commit: it is done.
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, server);
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let is_commit = buffer[..read].windows(6).any(|window| window == b"COMMIT");
        if is_commit && commit.swap(false, Ordering::SeqCst) {
            break;
        }
        if is_commit && answer.swap(false, Ordering::SeqCst) {
            cut.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    back.join().unwrap();
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_and_one_that_never_came_is_done_again() {
    let Some(server) = there(TestServer::start(&[])) else { return };
    let proxy = Proxy::to(server.port());
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port);
    let store = PostgresStore::connect(&url).unwrap();
    for loses in [&proxy.loses_answer, &proxy.loses_commit] {
        // A scope without a name is a new one each time: done twice, there would be two.
        let scopes = || server.sql("postgres", "SELECT count(*) FROM effects.scopes").unwrap();
        let before: u32 = scopes().parse().unwrap();
        loses.store(true, Ordering::SeqCst);
        store.open_scope(None).unwrap();
        assert!(!loses.load(Ordering::SeqCst), "the proxy saw no commit");
        assert_eq!(scopes().parse::<u32>().unwrap(), before + 1);

        let name = format!("cat{before}");
        let open = submit(&store, &row(&name));
        loses.store(true, Ordering::SeqCst);
        assert_eq!(Journal::write(&*open, &intent(0)), Ok(Admission::Admitted));
        let RowState::Intent { attempts } = row_state(&store, &row(&name)) else { panic!() };
        assert_eq!(attempts.len(), 1);
        loses.store(true, Ordering::SeqCst);
        let task = format!("t{before}");
        assert_eq!(Journal::write(&*open, &created(&task)), Ok(Admission::Admitted));
        loses.store(true, Ordering::SeqCst);
        open.settle(&completed(&task, "0.03")).unwrap();
        store.flush().unwrap();
        assert_eq!(look(&store, &row(&name)).paid, "0.03".parse().unwrap());
    }
    let tasks = server.sql("postgres", "SELECT count(*) FROM effects.tasks").unwrap();
    assert_eq!(tasks, "2");
}

/// The intent is in the database, and the host that wrote it learns so only after its lease has ended:
/// meanwhile a person has decided, and another host has submitted the row.
#[test]
fn a_commit_that_is_found_too_late_is_confirmed_to_no_one_who_lost_the_row() {
    let Some(server) = there(TestServer::start(&[])) else { return };
    let lease = Duration::from_secs(2);
    let other = on_host("there").lease(lease).connect(&server.url("postgres")).unwrap();
    let proxy = Proxy::to(server.port());
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port);
    let store = on_host("here").lease(lease).connect(&url).unwrap();
    for is_taken in [true, false] {
        let name = format!("cat{is_taken}");
        let open = submit(&store, &row(&name));
        proxy.is_cut.store(true, Ordering::SeqCst);
        proxy.loses_answer.store(true, Ordering::SeqCst);
        let confirmed = thread::scope(|scope| {
            let late = scope.spawn(|| Journal::write(&*open, &intent(0)));
            eventually(|| opened(&other, &row(&name)) == "doubtful");
            if is_taken {
                let number = look(&other, &row(&name)).number;
                other.resolve(number, &Resolution::NotBilled).unwrap();
                let again = submit(&other, &row(&name));
                assert_eq!(Journal::write(&*again, &intent(1)), Ok(Admission::Admitted));
                Journal::write(&*again, &created(&name)).unwrap();
            }
            proxy.is_cut.store(false, Ordering::SeqCst);
            late.join().unwrap()
        });
        if is_taken {
            assert!(matches!(confirmed, Err(JournalError::Taken { .. })), "{confirmed:?}");
        } else {
            assert_eq!(confirmed, Ok(Admission::Admitted));
            assert_eq!(opened(&other, &row(&name)), "elsewhere", "its lease is new");
            let RowState::Intent { attempts } = row_state(&other, &row(&name)) else { panic!() };
            assert_eq!(attempts.len(), 1);
        }
    }
}

#[test]
fn a_server_that_ends_connections_and_crashes_loses_nothing_that_was_confirmed() {
    let Some(server) = there(TestServer::start(&[])) else { return };
    let store = PostgresStore::connect(&server.url("postgres")).unwrap();
    let over = AtomicBool::new(false);
    let confirmed = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut confirmed = 0;
            while !over.load(Ordering::SeqCst) {
                let open = submit(&store, &row(&format!("cat{confirmed}")));
                let task = format!("t{confirmed}");
                assert_eq!(Journal::write(&*open, &intent(0)), Ok(Admission::Admitted));
                assert_eq!(Journal::write(&*open, &created(&task)), Ok(Admission::Admitted));
                open.settle(&completed(&task, "0.03")).unwrap();
                confirmed += 1;
            }
            confirmed
        });
        let count = || store.stats().commits;
        for turn in 0..6 {
            let before = count();
            eventually(|| count() > before + 20);
            if turn == 3 {
                server.stop().unwrap();
                server.start_again().unwrap();
            } else {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'effects'";
                server.sql("postgres", end).unwrap();
            }
        }
        over.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    store.flush().unwrap();
    let rows = store.list(&Filter { limit: usize::MAX, ..Filter::default() }).unwrap();
    assert_eq!(rows.len(), confirmed);
    assert!(rows.iter().all(|record| matches!(record.state, RowState::Completed { .. })));
    let tasks = server.sql("postgres", "SELECT count(*) FROM effects.tasks").unwrap();
    assert_eq!(tasks, confirmed.to_string());
    // While the server was away no lease could be renewed, and no one lost a row for it.
    let owners = server.sql("postgres", "SELECT count(*) FROM effects.owners").unwrap();
    assert_eq!(owners, "1");
}

#[test]
fn an_id_that_a_lost_database_does_not_take_is_kept_on_this_machine_until_it_does() {
    let Some(server) = there(TestServer::start(&[])) else { return };
    let folder = tempfile::tempdir().unwrap();
    let connect = || {
        let builder = PostgresStore::builder().patience(Duration::from_millis(300));
        builder.spill_folder(folder.path()).connect(&server.url("postgres")).unwrap()
    };
    let store = connect();
    let open = submit(&store, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    server.stop().unwrap();
    let lost = Journal::write(&*open, &created("t1")).unwrap_err().to_string();
    assert!(lost.contains("task t1 is kept in") && lost.contains("postgres://"), "{lost}");
    let unread = store.find(&RowName::Number(RowNumber(1)));
    assert!(matches!(unread, Err(JournalError::Unreadable(_))), "{unread:?}");
    drop((open, store));
    server.start_again().unwrap();
    let store = connect();
    assert!(matches!(row_state(&store, &row("cat")), RowState::Created { .. }));
    drop(store);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the spill file is gone");
}

#[test]
fn a_schema_of_something_else_or_of_a_newer_version_is_left_alone() {
    let Some(database) = there(TestDatabase::create()) else { return };
    database.sql("CREATE SCHEMA effects; CREATE TABLE effects.photos (id INTEGER)").unwrap();
    let refused = PostgresStore::connect(&database.url()).unwrap_err().to_string();
    assert!(refused.contains("of something else"), "{refused}");
    database.sql("DROP TABLE effects.photos").unwrap();
    drop(PostgresStore::connect(&database.url()).unwrap());
    database.sql("UPDATE effects.journal SET format = 99").unwrap();
    let refused = PostgresStore::connect(&database.url()).unwrap_err();
    assert_eq!(refused, JournalError::Newer { found: 99, known: 5 });
    let reader = format!("{}&user=reader", database.url());
    let _ = database.sql("CREATE ROLE reader LOGIN; DROP SCHEMA effects CASCADE");
    let refused = PostgresStore::connect(&reader).unwrap_err().to_string();
    assert!(refused.contains("GRANT CREATE"), "{refused}");
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = std::process::Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A server that lets no one in without a password and TLS.
#[test]
fn a_password_and_a_certificate_are_asked_for_and_no_password_is_told() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl here to make a certificate with");
        return;
    }
    let Some(server) = there(TestServer::start(&[])) else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["root", "other"] {
        openssl(
            folder.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
             -keyout {name}.key -out {name}.pem"
            ),
        );
    }
    openssl(
        folder.path(),
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout server.key -out server.csr",
    );
    openssl(
        folder.path(),
        "x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
        -copy_extensions copy -out server.crt",
    );
    for (file, mode) in [("server.key", 0o600), ("server.crt", 0o644)] {
        let target = server.folder().join(file);
        std::fs::copy(folder.path().join(file), &target).unwrap();
        server.give(&target, mode).unwrap();
    }
    server.sql("postgres", "CREATE ROLE studio LOGIN PASSWORD 's3cret-word'").unwrap();
    server.sql("postgres", "CREATE DATABASE photos OWNER studio").unwrap();
    server.sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(server.folder().join("pg_hba.conf"), rules).unwrap();
    server.stop().unwrap();
    server.start_again().unwrap();

    let (root, other) = (folder.path().join("root.pem"), folder.path().join("other.pem"));
    let url = |login: &str, host: &str, rest: &str| {
        format!("postgres://{login}@{host}:{}/photos?{rest}", server.port())
    };
    let verified = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let login = "studio:s3cret-word";
    let store = PostgresStore::connect(&url(login, "localhost", &verified)).unwrap();
    assert!(!format!("{store:?} {}", store.url()).contains("s3cret"));
    assert_eq!(opened(&store, &row("cat")), "submit");
    drop(store);
    let untrusted = format!("sslmode=require&sslrootcert={}", other.display());
    let refused = |url: String| {
        let why = PostgresStore::connect(&url).unwrap_err().to_string();
        assert!(!why.contains("s3cret-word") && why.contains("photos"), "{why}");
        why
    };
    let why = refused(url(login, "localhost", &untrusted));
    assert!(why.contains("certificate"), "{why}");
    let why = refused(url(login, "127.0.0.1", &verified));
    assert!(why.contains("certificate"), "its name is another: {why}");
    let why = refused(url(login, "localhost", "sslmode=disable"));
    assert!(why.contains("no encryption"), "{why}");
    let why = refused(url("studio:wr0ng", "localhost", &verified));
    assert!(why.contains("password authentication failed") && !why.contains("wr0ng"), "{why}");
}

#[test]
fn a_journal_is_copied_whole_from_its_file_into_an_empty_database() {
    let Some(database) = there(TestDatabase::create()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let file = SqliteJournal::open(&path).unwrap();
    let scope = file.open_scope(Some("spring sale")).unwrap();
    let limit = [Budget { scope, limit: "9".parse().unwrap(), price: None }];
    let buy = |name: &str, end: Option<RowOutcome>| {
        let open = submit(&file, &row(name));
        open.charge_to(&limit);
        assert_eq!(Journal::write(&*open, &intent(0)), Ok(Admission::Admitted));
        if let Some(end) = end {
            let task = format!("t-{name}");
            Journal::write(&*open, &created(&task)).unwrap();
            open.settle(&end).unwrap();
            let place = std::ffi::OsStr::from_bytes(b"/out/\xff.png");
            open.picture_saved(0, Path::new(place), None).unwrap();
        }
        open
    };
    drop(buy("cat", Some(completed("t-cat", "0.03"))));
    drop(buy("dog", Some(failed("t-dog", "3009095"))));
    let doubtful = buy("cow", None);
    drop(doubtful);
    file.flush().unwrap();
    let held = SqliteJournal::open(&path).unwrap();

    let connect = || PostgresStore::connect(&database.url()).unwrap();
    let busy = file.copy_to(connect()).unwrap_err();
    assert!(matches!(&busy, JournalError::NotCopied { .. }), "{busy}");
    assert!(busy.to_string().contains("another process uses the file"), "{busy}");
    drop(held);
    let copied = file.copy_to(connect()).unwrap();
    assert_eq!(copied, Copied { rows: 3, tasks: 2, pictures: 2 });
    let again = file.copy_to(connect()).unwrap_err().to_string();
    assert!(again.contains("has rows already"), "{again}");

    let copy = connect();
    let all = |store: &dyn JournalStore| store.list(&Filter::default()).unwrap();
    assert_eq!(all(&copy), all(&file));
    assert_eq!(copy.id().unwrap(), file.id().unwrap());
    let scope = copy.open_scope(Some("spring sale")).unwrap();
    assert_eq!(copy.scope(scope), file.scope(scope));
    // What comes next has a number of its own.
    let open = submit(&copy, &row("new"));
    Journal::write(&*open, &intent(0)).unwrap();
    assert_eq!(look(&copy, &row("new")).number, RowNumber(4));
}

#[test]
fn rows_that_ended_long_ago_are_forgotten_and_what_their_scope_paid_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteJournal::open(folder.path().join("journal.db")).unwrap();
    forgets(&file, &|age| file.prune(age).unwrap());
    let Some(database) = there(TestDatabase::create()) else { return };
    let store = PostgresStore::connect(&database.url()).unwrap();
    forgets(&store, &|age| store.prune(age).unwrap());
}

fn forgets(store: &dyn JournalStore, prune: &dyn Fn(Duration) -> u64) {
    let open = |name: &str| match store.open(&Row { target: Some("out".into()), ..row(name) }) {
        Ok(Opened::Submit(open)) => open,
        other => panic!("{other:?}"),
    };
    let scope = store.open_scope(Some("spring sale")).unwrap();
    let price = Some("0.03".parse().unwrap());
    let limit = [Budget { scope, limit: "9".parse().unwrap(), price }];
    let mut held = Vec::new();
    for name in ["saved", "unsaved", "failed", "unpriced", "running", "doubtful"] {
        let row = open(name);
        row.charge_to(&limit);
        assert_eq!(Journal::write(&*row, &intent(0)), Ok(Admission::Admitted));
        if name != "doubtful" {
            Journal::write(&*row, &created(name)).unwrap();
        }
        match name {
            "saved" | "unsaved" => row.settle(&completed(name, "0.03")).unwrap(),
            "failed" => row.settle(&failed(name, "3009095")).unwrap(),
            "unpriced" => {
                let (task, pictures) = (name.parse().unwrap(), Vec::new());
                row.settle(&RowOutcome::Completed { task, cost: None, pictures }).unwrap();
            }
            _ => {}
        }
        if name == "saved" {
            row.picture_saved(0, Path::new("/out/saved.png"), None).unwrap();
        }
        held.push(row);
    }
    drop(held);
    store.flush().unwrap();
    let before = store.scope(scope).unwrap();
    assert_eq!(prune(Duration::from_secs(3600)), 0, "none of them is an hour old");
    thread::sleep(Duration::from_millis(5));
    assert_eq!(prune(Duration::ZERO), 2);
    assert_eq!(prune(Duration::ZERO), 0);
    let known = |name: &str| {
        let found = store.find(&RowName::Identity(row(name).identity)).unwrap();
        found.is_some()
    };
    let names = ["saved", "failed", "unsaved", "unpriced", "running", "doubtful"];
    assert_eq!(names.map(known), [false, false, true, true, true, true]);
    assert_eq!(store.scope(scope).unwrap(), before);
    let counted = |name: &str| {
        let scopes = store.scopes_of(&row(name).identity).unwrap();
        scopes.first().map(|member| (member.scope, member.counted.to_string()))
    };
    assert_eq!(counted("saved"), Some((scope, "0.03".to_owned())));
    assert_eq!(counted("failed"), None, "it cost nothing");
    assert_eq!(store.find_scope("spring sale"), Ok(Some(scope)));
    assert_eq!(store.find_scope("summer sale"), Ok(None));
}

#[test]
fn what_was_forgotten_and_is_taken_in_again_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteJournal::open(folder.path().join("journal.db")).unwrap();
    counts_once(&file, &|age| file.prune(age).unwrap());
    let Some(database) = there(TestDatabase::create()) else { return };
    let store = PostgresStore::connect(&database.url()).unwrap();
    counts_once(&store, &|age| store.prune(age).unwrap());
}

fn counts_once(store: &dyn JournalStore, prune: &dyn Fn(Duration) -> u64) {
    let usd = |text: &str| -> Decimal { text.parse().unwrap() };
    let scopes = ["spring sale", "cards"].map(|name| store.open_scope(Some(name)).unwrap());
    let limits = scopes.map(|scope| Budget { scope, limit: usd("9"), price: Some(usd("0.03")) });
    let buy = |name: &str, task: &str| {
        let Ok(Opened::Submit(open)) = store.open(&row(name)) else { panic!("{name}") };
        open.charge_to(&limits);
        assert_eq!(Journal::write(&*open, &intent(0)), Ok(Admission::Admitted));
        Journal::write(&*open, &created(task)).unwrap();
        open.settle(&completed(task, "0.03")).unwrap();
    };
    let paid = || scopes.map(|scope| store.scope(scope).unwrap().paid.to_string());
    let forget = |rows| {
        thread::sleep(Duration::from_millis(5));
        assert_eq!(prune(Duration::ZERO), rows);
    };
    let at = Time::from_millis(START);
    let done = |task: &str| RowState::Completed {
        task: task.parse().unwrap(),
        submitted: at,
        finished: at,
        cost: Some(usd("0.03")),
        pictures: Vec::new(),
    };
    let names = ["completed", "earlier", "running", "anew"];
    names.iter().for_each(|name| buy(name, name));
    assert_eq!(paid(), ["0.12"; 2]);
    forget(4);
    assert_eq!(paid(), ["0.12"; 2]);
    // As a folder tells of it.
    assert_eq!(store.import(&row("completed"), &done("completed"), Decimal::ZERO), Ok(true));
    assert_eq!(paid(), ["0.12"; 2], "it was counted");
    // It is a member still.
    store.add_to_scope(scopes[0], &[row("completed").identity]).unwrap();
    assert_eq!(paid(), ["0.12"; 2]);
    // Another journal has paid once more for it: that is news.
    assert_eq!(store.import(&row("earlier"), &done("later"), usd("0.03")), Ok(true));
    assert_eq!(paid(), ["0.15"; 2]);
    // Its end is seen here.
    let task = "running".parse().unwrap();
    let running = RowState::Created { task, submitted: at };
    assert_eq!(store.import(&row("running"), &running, Decimal::ZERO), Ok(true));
    let Ok(Opened::Watch(_, open)) = store.open(&row("running")) else { panic!() };
    open.settle(&completed("running", "0.03")).unwrap();
    store.flush().unwrap();
    assert_eq!(paid(), ["0.15"; 2]);
    // Nothing tells of it: it is paid anew, and counts anew.
    buy("anew", "second");
    store.flush().unwrap();
    assert_eq!(paid(), ["0.18"; 2]);
    // And once more: what was counted twice by right is not counted a third time.
    drop(open);
    forget(4);
    assert_eq!(store.import(&row("anew"), &done("second"), Decimal::ZERO), Ok(true));
    assert_eq!(store.import(&row("earlier"), &done("later"), usd("0.03")), Ok(true));
    assert_eq!(paid(), ["0.18"; 2]);
}

#[test]
fn a_write_that_the_server_refuses_fails_its_row_alone() {
    let Some(database) = there(TestDatabase::create()) else { return };
    let store = PostgresStore::connect(&database.url()).unwrap();
    database
        .sql(
            "CREATE FUNCTION effects.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (SELECT id FROM effects.tasks WHERE number = NEW.task) = 't-pig' THEN
                    RAISE EXCEPTION 'no pig';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON effects.rows FOR EACH ROW
                EXECUTE FUNCTION effects.refuse()",
        )
        .unwrap();
    // All at once, so that they share transactions.
    let names = ["cat", "dog", "pig", "cow", "hen", "ewe", "elk", "owl"];
    let rows = names.map(|name| (name, submit(&store, &row(name))));
    thread::scope(|scope| {
        let write = |name: &'static str, row: &dyn Journal| {
            Journal::write(row, &intent(0)).unwrap();
            (name, Journal::write(row, &created(&format!("t-{name}"))))
        };
        let threads = rows.each_ref().map(|(name, row)| scope.spawn(move || write(name, &**row)));
        for (name, written) in threads.map(|thread| thread.join().unwrap()) {
            match written {
                Ok(_) => assert_ne!(name, "pig"),
                Err(error) => assert!(error.to_string().contains("no pig"), "{name}: {error}"),
            }
        }
    });
    for name in names {
        let created = matches!(row_state(&store, &row(name)), RowState::Created { .. });
        assert_eq!(created, name != "pig", "{name}");
    }
}
