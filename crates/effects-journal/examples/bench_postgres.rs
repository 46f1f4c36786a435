//! Rows a second through a journal in Postgres with 1, 4 and 16 hosts, beside SQLite, in one run:
//! `cargo run --release -p effects-journal --features postgres --example bench_postgres`.
//!
//! A row is an intent within one budget, its task, and its end. A host is a store of its own, with
//! eight rows in flight. Postgres is a server of this machine that waits for the disk, or the one of a URL
//! that is given, with the number of hosts: `-- postgres://… 4`. Its journal must be empty.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::journal::{Entry, Journal, RowOutcome};
use effects_core::{BaseUrl, Size, Template};
use effects_jobs::{Budget, JournalStore, Opened, RowDraft, RowPhoto};
use effects_journal::{PostgresStore, SqliteJournal};
use rust_decimal::Decimal;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Store = Box<dyn JournalStore>;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Error> {
    let given = std::env::args().nth(1);
    let server = match &given {
        Some(_) => None,
        None => Some(effects_testkit::postgres::TestServer::start(&["fsync=on"])?),
    };
    let folder = tempfile::tempdir()?;
    let hosts = match std::env::args().nth(2) {
        Some(hosts) => vec![hosts.parse()?],
        None => vec![1, 4, 16],
    };
    for hosts in hosts {
        let url = match (&given, &server) {
            (Some(url), _) => url.clone(),
            (None, Some(server)) => {
                server.sql("postgres", &format!("CREATE DATABASE hosts_{hosts}"))?;
                server.url(&format!("hosts_{hosts}"))
            }
            (None, None) => return Err("there is no server".into()),
        };
        let (mut stores, mut counted) = (Vec::<Store>::new(), Vec::new());
        for _ in 0..hosts {
            stores.push(Box::new(PostgresStore::connect(&url)?));
        }
        let rows = measure(&stores)?;
        drop(stores);
        counted.push(format!("Postgres {rows:5.0} rows/s"));
        let file = folder.path().join(format!("{hosts}.db"));
        let mut stores = Vec::<Store>::new();
        for _ in 0..hosts {
            stores.push(Box::new(SqliteJournal::open(&file)?));
        }
        let rows = measure(&stores)?;
        counted.push(format!("SQLite {rows:5.0} rows/s"));
        println!("{hosts:2} hosts: {}", counted.join(", "));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("it starts a server on Linux alone");
}

/// Rows a second that all hosts take to their ends together.
fn measure(stores: &[Store]) -> Result<f64, Error> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let price = Some(Decimal::new(3, 2));
    let limit = Decimal::from(1_000_000);
    let begun = Instant::now();
    let work = |store: &dyn JournalStore| -> Result<(), Error> {
        let scope = store.open_scope(Some("bench"))?;
        let budget = [Budget { scope, limit, price }];
        while begun.elapsed() < TIME {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Opened::Submit(open) = store.open(&draft(number)?.row(0)?)? else {
                return Err("a new row is there already".into());
            };
            open.charge_to(&budget);
            let task = format!("task-{number}");
            Journal::write(
                &*open,
                &entry(&serde_json::json!({"intent": {
                    "request": {
                        "image": {"url": "https://example.com/cat.jpg"}, "template_id": "glass_ball",
                    },
                    "attempt": 0,
                    "request_id": format!("request-{number}"),
                    "idempotency_key": "0d9c8b7a-6f5e-4d3c-8b2a-190817263544",
                }}))?,
            )?;
            Journal::write(&*open, &entry(&serde_json::json!({"created": {"task_id": task}}))?)?;
            let pictures = vec!["https://example.com/out.png".to_owned()];
            open.settle(&RowOutcome::Completed { task: task.parse()?, cost: price, pictures })?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(store.flush()?)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .flat_map(|store| (0..IN_FLIGHT).map(|_| scope.spawn(|| work(&**store))))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    #[allow(clippy::cast_precision_loss, reason = "counts of a short run")]
    let done = done.into_inner() as f64;
    Ok(done / begun.elapsed().as_secs_f64())
}

fn draft(number: usize) -> Result<RowDraft, Error> {
    Ok(RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(format!("https://example.com/cat{number}.jpg").parse()?),
        key: None,
        tag: None,
        target: None,
    })
}

fn entry(fact: &serde_json::Value) -> Result<Entry, Error> {
    let at = 1_764_000_000_000_u64;
    Ok(serde_json::from_value(serde_json::json!({"id": 1, "at": at, "fact": fact}))?)
}

const TIME: Duration = Duration::from_secs(5);
const IN_FLIGHT: usize = 8;
