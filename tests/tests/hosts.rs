//! Several hosts over one journal in Postgres: killed, cut off, with a clock an hour off, and with a
//! database that ends connections and crashes. Each row is paid once, all within one budget, and every
//! row comes to its end. Counted by the gateway.
//!
//! `EFFECTS_TEST_HOSTS_ROWS=2000 cargo nextest run -p effects-tests --test hosts --no-capture` is the full
//! size. A host is a process with a name of its own, which the others cannot look at.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use effects_client::Job;
use effects_core::Template;
use effects_emulator::{Emulator, Latency, Pictures};
use effects_jobs::{Filter, JournalStore, Standing};
use effects_journal::{PostgresStore, Process};
use effects_testkit::postgres::TestServer;
use effects_ureq::Client;
use rust_decimal::Decimal;

const HOSTS: usize = 4;
const LEASE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(240);

/// What a host is started with: `URL HOST ROWS BUDGET`. Host 0 takes all rows, the others their share.
const WORK: &str = "EFFECTS_TEST_HOST";

/// One host's share of the work, in a process of its own.
#[test]
fn host() {
    let Ok(work) = std::env::var(WORK) else { return };
    let work: Vec<&str> = work.split(' ').collect();
    let [url, host, rows, budget] = work[..] else { panic!("{work:?}") };
    let (host, rows): (usize, usize) = (host.parse().unwrap(), rows.parse().unwrap());
    let here = Process::current();
    let process = Process {
        host: format!("host-{host}"),
        place: format!("{} of host {host}", here.place),
        ..here
    };
    let state = std::env::var_os("EFFECTS_STATE_DIR").unwrap();
    let store = PostgresStore::builder().process(process).lease(LEASE).spill_folder(state);
    let store = store.connect(url).unwrap();
    let share = (0..rows).filter(|row| host == 0 || row % HOSTS + 1 == host);
    let jobs = share.map(|row| {
        Job::url(Template::GlassBall, &format!("https://example.com/{row}.jpg")).unwrap()
    });
    let jobs: Vec<Job> = jobs.collect();
    let mut results = Client::from_env()
        .unwrap()
        .jobs()
        .journal(store)
        .budget(budget.parse().unwrap())
        .scope("hosts")
        .price("0.03".parse().unwrap())
        .in_flight(8)
        .run(jobs)
        .unwrap();
    for result in results.by_ref() {
        if let Some(error) = result.error() {
            println!("host {host}: {error}");
        }
    }
    if let Some(error) = results.halted_by() {
        println!("host {host} stopped: {error}");
    }
}

struct World {
    emulator: Emulator,
    server: TestServer,
    state: tempfile::TempDir,
    rows: usize,
    budget: Decimal,
}

impl World {
    fn start(&self, host: usize, port: u16) -> Child {
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let this = std::env::current_exe().unwrap();
        let mut command = match faketime().filter(|_| host == 2) {
            // Its clock is an hour ahead of all others.
            Some(program) => {
                let mut command = Command::new(program);
                command.args(["-f", "+1h"]).arg(this).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command.env("DONT_FAKE_MONOTONIC", "1");
                command
            }
            None => Command::new(this),
        };
        let folder = self.state.path().join(host.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        command
            .args(["--exact", "host", "--nocapture"])
            .env(WORK, format!("{url} {host} {} {}", self.rows, self.budget))
            .env("EFFECTS_BASE_URL", self.emulator.base_url())
            .env("EFFECTS_API_KEY", self.emulator.api_key())
            .env("EFFECTS_STATE_DIR", folder)
            .stdin(Stdio::null());
        if std::env::var_os("EFFECTS_TEST_HOSTS_SAY").is_none() {
            command.stdout(Stdio::null());
        }
        command.spawn().unwrap()
    }

    fn accepted(&self) -> usize {
        usize::try_from(self.emulator.counts().accepted).unwrap()
    }
}

fn faketime() -> Option<&'static Path> {
    let program = Path::new("/usr/bin/faketime");
    program.exists().then_some(program)
}

/// Hands bytes on to the database, unless the line is cut: then they wait, as packets do.
fn line_to(server: u16, is_cut: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_cut = Arc::clone(is_cut);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            let ends =
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
            for (mut from, mut to) in ends {
                let is_cut = Arc::clone(&is_cut);
                thread::spawn(move || {
                    let mut buffer = [0; 8192];
                    while let Ok(read @ 1..) = from.read(&mut buffer) {
                        while is_cut.load(Ordering::SeqCst) {
                            thread::sleep(Duration::from_millis(20));
                        }
                        if to.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                });
            }
        }
    });
    port
}

#[test]
fn hosts_that_die_share_one_journal_and_one_budget() {
    let rows: usize =
        std::env::var("EFFECTS_TEST_HOSTS_ROWS").map_or(160, |rows| rows.parse().unwrap());
    let kills = (rows / 200).clamp(4, 10);
    let server = match TestServer::start(&["max_connections=50"]) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    if faketime().is_none() {
        println!("no clock is an hour off: there is no faketime here");
    }
    let emulator = Emulator::builder()
        .pictures(Pictures::Stub)
        .latency(Latency::fixed(Duration::from_millis(300)))
        .options(|options| options.limits.requests = 1_000_000);
    // For nine rows of ten.
    let budget = Decimal::new(3, 2) * Decimal::from(rows * 9 / 10);
    let state = tempfile::tempdir().unwrap();
    let world = World { emulator: emulator.start().unwrap(), server, state, rows, budget };
    let is_cut = Arc::new(AtomicBool::new(false));
    let line = line_to(world.server.port(), &is_cut);
    let port = |host: usize| if host == 1 { line } else { world.server.port() };

    let mut hosts: Vec<Child> = (1..=HOSTS).map(|host| world.start(host, port(host))).collect();
    // What goes wrong, each after so many more rows were paid.
    let mut troubles: Vec<&str> = vec!["kill"; kills];
    troubles.insert(1, "end connections");
    troubles.insert(2, "cut the line");
    troubles.insert(kills.div_ceil(2) + 2, "crash the database");
    let (every, mut done) = ((rows * 8 / 10) / (troubles.len() + 1), 0);
    let begun = Instant::now();
    let mut mended = None;
    while hosts.iter_mut().any(|host| host.try_wait().unwrap().is_none()) || done < troubles.len() {
        assert!(begun.elapsed() < PATIENCE, "it took too long: {} paid", world.accepted());
        thread::sleep(Duration::from_millis(5));
        if mended.is_some_and(|at| Instant::now() > at) {
            is_cut.store(false, Ordering::SeqCst);
            mended = None;
        }
        let all_ended = hosts.iter_mut().all(|host| host.try_wait().unwrap().is_some());
        if done < troubles.len() && (world.accepted() >= every * (done + 1) || all_ended) {
            match troubles[done] {
                "kill" => {
                    let host = done % HOSTS;
                    // SIGKILL: it says nothing to anyone any more.
                    hosts[host].kill().unwrap();
                    hosts[host].wait().unwrap();
                    hosts[host] = world.start(host + 1, port(host + 1));
                }
                "end connections" => {
                    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE application_name = 'effects'";
                    world.server.sql("postgres", sql).unwrap();
                }
                "cut the line" => {
                    is_cut.store(true, Ordering::SeqCst);
                    mended = Some(Instant::now() + LEASE + Duration::from_secs(2));
                }
                _ => {
                    world.server.stop().unwrap();
                    world.server.start_again().unwrap();
                }
            }
            done += 1;
        }
    }
    // The last one looks after what the dead left behind, once their leases are over.
    is_cut.store(false, Ordering::SeqCst);
    thread::sleep(LEASE);
    assert!(world.start(0, world.server.port()).wait().unwrap().success());
    let took = begun.elapsed();

    let counts = world.emulator.counts();
    let store =
        PostgresStore::builder().lease(LEASE).connect(&world.server.url("postgres")).unwrap();
    let records = store.list(&Filter { limit: usize::MAX, ..Filter::default() }).unwrap();
    let stand = |is: fn(&Standing) -> bool| records.iter().filter(|it| is(&it.standing)).count();
    let completed = stand(|it| matches!(it, Standing::Completed { .. }));
    let doubtful = stand(|it| matches!(it, Standing::Doubtful { .. }));
    let released = stand(|it| matches!(it, Standing::Released { .. }));
    let scope = store.open_scope(Some("hosts")).unwrap();
    let scope = store.scope(scope).unwrap();
    println!(
        "{rows} rows on {HOSTS} hosts, {kills} kills, one crash of the database, one cut line, in {:.0} s: \
         {} creates accepted, {completed} completed, {doubtful} doubtful, {released} released; {} USD \
         paid and {} reserved of {}",
        took.as_secs_f64(),
        counts.accepted,
        scope.paid,
        scope.reserved,
        world.budget
    );
    let over = [completed, doubtful, released].iter().sum::<usize>();
    let open = records.iter().filter(|it| {
        !matches!(
            it.standing,
            Standing::Completed { .. } | Standing::Doubtful { .. } | Standing::Released { .. }
        )
    });
    let open: Vec<_> = open.collect();
    assert_eq!(over, records.len(), "{open:#?}");
    // Each row at most once, and each accepted create is a task of the journal or a doubt in it.
    let twice: Vec<_> = counts.by_body.values().filter(|count| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let accepted = world.accepted();
    assert!((completed..=completed + doubtful).contains(&accepted), "{accepted}");
    // Every row came to its end, and the budget is kept to the cent.
    let price = Decimal::new(3, 2);
    assert_eq!(scope.paid, price * Decimal::from(completed));
    assert_eq!(scope.reserved, price * Decimal::from(doubtful));
    let spent = price * Decimal::from(accepted);
    assert!(spent <= world.budget && scope.paid + scope.reserved <= world.budget);
    assert!(scope.paid + scope.reserved + price > world.budget, "there was money for another row");
    assert!(doubtful <= 8 * (kills + 1), "{doubtful}");
    let hour = Duration::from_secs(3000);
    let (first, last) = (
        records.iter().filter_map(|it| it.standing.submitted()).min().unwrap(),
        records.iter().filter_map(|it| it.standing.submitted()).max().unwrap(),
    );
    assert!(last.since(first) < hour, "a host's clock is in the journal: {first} to {last}");
}
