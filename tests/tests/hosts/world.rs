//! [`HostsWorld`]: the gateway, the database and the hosts of a test, and what must be true at its end.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use effects_client::Job;
use effects_core::Template;
use effects_emulator::{Emulator, Latency, Pictures};
use effects_jobs::{Filter, JournalStore, RowState};
use effects_journal::{PostgresStore, Process};
use effects_testkit::postgres::TestServer;
use effects_ureq::Client;
use rust_decimal::Decimal;

use crate::relay::Relay;

pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// The variable with what a host is started with: `URL HOST HOSTS ROWS BUDGET PATIENCE`. Host 0 takes
/// all rows, the others their share; PATIENCE is for a lost database, in seconds.
pub(crate) const SHARE: &str = "EFFECTS_TEST_HOST";
/// Where a host in a network of its own reaches the gateway.
const GATEWAY: &str = "EFFECTS_TEST_HOST_GATEWAY";

/// How many rows a test has, unless the full size is wanted.
pub(crate) fn rows(few: usize) -> usize {
    std::env::var("EFFECTS_TEST_HOSTS_ROWS").map_or(few, |rows| rows.parse().unwrap())
}

pub(crate) fn faketime() -> Option<&'static str> {
    let program = "/usr/bin/faketime";
    Path::new(program).exists().then_some(program)
}

/// Does a host's share of the rows.
pub(crate) fn run_share(share: &str) {
    let share: Vec<&str> = share.split(' ').collect();
    let [url, host, hosts, rows, budget, database_patience] = share[..] else {
        panic!("{share:?}")
    };
    let number = |text: &str| text.parse::<usize>().unwrap();
    let (host, hosts) = (number(host), number(hosts));
    if let Ok(gateway) = std::env::var(GATEWAY) {
        let base_url = std::env::var("EFFECTS_BASE_URL").unwrap();
        Relay::to(gateway).listen(base_url.trim_start_matches("http://"));
    }
    let here = Process::current();
    let process = Process {
        host: format!("host-{host}"),
        // Another place, so that the hosts cannot see each other's processes and go by
        // leases alone.
        place: format!("{} of host {host}", here.place),
        ..here
    };
    let state = std::env::var_os("EFFECTS_STATE_DIR").unwrap();
    let store = PostgresStore::builder()
        .process(process)
        .lease(LEASE)
        .patience(Duration::from_secs(number(database_patience) as u64))
        .spill_folder(state)
        .connect(url)
        .unwrap();
    let own_rows = (0..number(rows)).filter(|row| host == 0 || row % hosts + 1 == host);
    let jobs = own_rows.map(|row| {
        Job::url(Template::GlassBall, &format!("https://example.com/{row}.jpg")).unwrap()
    });
    let jobs: Vec<Job> = jobs.collect();
    let mut results = Client::from_env()
        .unwrap()
        .jobs()
        .journal(store)
        .budget(budget.parse().unwrap())
        .scope("hosts")
        .price(PRICE)
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
        std::process::exit(STOPPED_EARLY);
    }
}

/// The exit code of a host that stopped before its rows were done.
pub(crate) const STOPPED_EARLY: i32 = 3;

/// How a host is started.
pub(crate) struct Host<'a> {
    /// Where it reaches the database.
    pub(crate) database: (&'a str, u16),
    /// Where it reaches the gateway, if not where that is.
    pub(crate) gateway: Option<String>,
    /// A program and its arguments that run the host.
    pub(crate) program: Vec<&'a str>,
    /// For how many seconds it waits for a lost database.
    pub(crate) database_patience: u64,
}

impl Default for Host<'_> {
    fn default() -> Self {
        Self {
            database: ("127.0.0.1", 5432),
            gateway: None,
            program: Vec::new(),
            database_patience: 60,
        }
    }
}

pub(crate) struct HostsWorld {
    pub(crate) emulator: Emulator,
    pub(crate) server: TestServer,
    state: tempfile::TempDir,
    hosts: usize,
    rows: usize,
    budget: Decimal,
}

impl HostsWorld {
    /// A gateway beside this database, and a budget for nine rows of ten.
    pub(crate) fn new(server: TestServer, hosts: usize, rows: usize) -> Self {
        let emulator = Emulator::builder()
            .pictures(Pictures::Stub)
            .latency(Latency::fixed(Duration::from_millis(300)))
            .options(|options| options.limits.requests = 1_000_000);
        // Too little for all rows, so that the hosts compete for the last of it.
        let budget = PRICE * Decimal::from(rows * 9 / 10);
        let state = tempfile::tempdir().unwrap();
        Self { emulator: emulator.start().unwrap(), server, state, hosts, rows, budget }
    }

    pub(crate) fn start(&self, host: usize, how: &Host<'_>) -> Child {
        let Host { database: (address, port), gateway, program, database_patience } = how;
        let url = format!("postgres://postgres@{address}:{port}/postgres?sslmode=disable");
        let this = std::env::current_exe().unwrap();
        let mut command = match &program[..] {
            [] => Command::new(this),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                // The wall clock alone is off: the monotonic one, by which time is waited, is right
                // on any machine.
                command.args(arguments).arg(this).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command.env("DONT_FAKE_MONOTONIC", "1");
                command
            }
        };
        let folder = self.state.path().join(host.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let (hosts, rows, budget) = (self.hosts, self.rows, self.budget);
        command
            .args(["--exact", "host", "--nocapture"])
            .env(SHARE, format!("{url} {host} {hosts} {rows} {budget} {database_patience}"))
            .env("EFFECTS_BASE_URL", self.emulator.base_url())
            .env("EFFECTS_API_KEY", self.emulator.api_key())
            .env("EFFECTS_STATE_DIR", folder)
            .stdin(Stdio::null());
        if let Some(gateway) = gateway {
            command.env(GATEWAY, gateway);
        }
        if std::env::var_os("EFFECTS_TEST_HOSTS_SAY").is_none() {
            command.stdout(Stdio::null());
        }
        command.spawn().unwrap()
    }

    /// Creates that the gateway accepted.
    pub(crate) fn accepted(&self) -> usize {
        usize::try_from(self.emulator.counts().accepted).unwrap()
    }

    /// Ids of tasks that wait in files for the database to take them.
    pub(crate) fn spilled(&self, host: usize) -> usize {
        let folder = std::fs::read_dir(self.state.path().join(host.to_string())).unwrap();
        let spills = folder.map(|file| file.unwrap().path());
        let spills = spills.filter(|file| file.to_string_lossy().ends_with("-spill"));
        spills.map(|file| std::fs::read_to_string(file).unwrap().matches("task_id").count()).sum()
    }

    /// Starts a last host, which finishes the rows of the others once their leases are over.
    pub(crate) fn run_last_host(&self) {
        thread::sleep(LEASE);
        let database = ("127.0.0.1", self.server.port());
        let last = self.start(0, &Host { database, ..Host::default() }).wait().unwrap();
        assert!(last.success());
    }

    /// What must be true at the end: each row was paid once, all within one budget, and every row came to
    /// its end. Of `max_doubtful` rows the answers were lost with their hosts.
    pub(crate) fn check(&self, what: &str, took: Duration, max_doubtful: usize) {
        let (counts, rows) = (self.emulator.counts(), self.rows);
        let store =
            PostgresStore::builder().lease(LEASE).connect(&self.server.url("postgres")).unwrap();
        let records = store.list(&Filter { limit: usize::MAX, ..Filter::default() }).unwrap();
        let stand = |is: fn(&RowState) -> bool| records.iter().filter(|it| is(&it.state)).count();
        let completed = stand(|it| matches!(it, RowState::Completed { .. }));
        let doubtful = stand(|it| matches!(it, RowState::Doubtful { .. }));
        let released = stand(|it| matches!(it, RowState::Released { .. }));
        let scope = store.open_scope(Some("hosts")).unwrap();
        let scope = store.scope(scope).unwrap();
        println!(
            "{rows} rows on {} hosts, {what}, in {:.0} s: {} creates accepted, {completed} completed, \
             {doubtful} doubtful, {released} released; {} USD paid and {} reserved of {}",
            self.hosts,
            took.as_secs_f64(),
            counts.accepted,
            scope.paid,
            scope.reserved,
            self.budget
        );
        let over = [completed, doubtful, released].iter().sum::<usize>();
        let open = records.iter().filter(|it| {
            !matches!(
                it.state,
                RowState::Completed { .. } | RowState::Doubtful { .. } | RowState::Released { .. }
            )
        });
        let open: Vec<_> = open.collect();
        assert_eq!(over, records.len(), "{open:#?}");
        // Each row at most once, and each accepted create is a task of the journal or a doubt in it.
        let twice: Vec<_> = counts.by_body.values().filter(|count| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let accepted = self.accepted();
        assert!((completed..=completed + doubtful).contains(&accepted), "{accepted}");
        // Every row came to its end, and the budget is kept to the cent.
        assert_eq!(scope.paid, PRICE * Decimal::from(completed));
        assert_eq!(scope.reserved, PRICE * Decimal::from(doubtful));
        let spent = PRICE * Decimal::from(accepted);
        assert!(spent <= self.budget && scope.paid + scope.reserved <= self.budget);
        let left = scope.paid + scope.reserved + PRICE > self.budget;
        // A budget that is never reached would prove nothing about it.
        assert!(left, "there was money for another row");
        assert!(doubtful <= max_doubtful, "{doubtful}");
        let hour = Duration::from_secs(3000);
        let (first, last) = (
            records.iter().filter_map(|it| it.state.submitted()).min().unwrap(),
            records.iter().filter_map(|it| it.state.submitted()).max().unwrap(),
        );
        assert!(last.since(first) < hour, "a host's clock is in the journal: {first} to {last}");
    }
}

const PRICE: Decimal = Decimal::from_parts(3, 0, 0, false, 2);

/// Runs a test of this program again, within what `line` sets up; why it cannot be had here, if it cannot
/// be.
pub(crate) fn run_again(test: &str, line: &[&str]) -> Result<(), String> {
    let ([program, arguments @ ..], this) = (line, std::env::current_exe().unwrap()) else {
        panic!("no program runs {test}");
    };
    let tried = Command::new(program).args(arguments).arg("true").output();
    let tried = tried.map_err(|error| format!("{program}: {error}"))?;
    if !tried.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&tried.stderr).trim()));
    }
    let mut command = Command::new(program);
    command.args(arguments).arg(this).args(["--exact", test, "--nocapture"]).env(INSIDE, test);
    assert!(command.status().unwrap().success(), "{test} failed inside {program}");
    Ok(())
}

/// Whether this is the run of a test that [`run_again`] began.
pub(crate) fn is_inside(test: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == test)
}

const INSIDE: &str = "EFFECTS_TEST_HOSTS_INSIDE";
