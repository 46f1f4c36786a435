//! Reads the query plans of a journal in Postgres that has many rows:
//! `cargo run --release -p effects-journal --features postgres --example plans_postgres -- 100000 1000000`.
//!
//! For each size it fills a private server, does with the journal what its faces do with it, and lets the
//! server explain every statement (`auto_explain`). Of each statement it prints how many pages it touched at
//! each size: what grows with the journal is seen there, and so is what reads a whole table.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use effects_core::journal::{Entry, Journal, RowOutcome};
use effects_core::{BaseUrl, Size, Template};
use effects_jobs::{
    Budget, Filter, JournalStore, Opened, Resolution, RowDraft, RowName, RowPhoto, SpendBy, Which,
};
use effects_journal::PostgresStore;
use rust_decimal::Decimal;
use serde_json::Value;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Error> {
    let mut sizes: Vec<u64> =
        std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![100_000, 1_000_000];
    }
    let server = effects_testkit::postgres::TestServer::start(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_analyze=on",
        "auto_explain.log_buffers=on",
        "auto_explain.log_format=json",
        "shared_buffers=256MB",
        "max_wal_size=4GB",
    ])?;
    let log = server.folder().join("log");
    let mut plans = BTreeMap::<String, Vec<Option<Plan>>>::new();
    for (place, rows) in sizes.iter().enumerate() {
        let database = format!("rows_{rows}");
        server.sql("postgres", &format!("CREATE DATABASE {database}"))?;
        let begun = Instant::now();
        // It makes the schema, and leaves.
        drop(PostgresStore::connect(&server.url(&database))?);
        for step in FILL {
            server.sql(&database, &step.replace("ROWS", &rows.to_string()))?;
        }
        let size = server.sql(&database, SIZES)?;
        println!(
            "{rows} rows filled in {:.0} s: {}",
            begun.elapsed().as_secs_f64(),
            size.replace('\n', ", ")
        );
        let explain = "ALTER DATABASE %s SET auto_explain.log_min_duration = 0";
        server.sql("postgres", &explain.replace("%s", &database))?;
        let before = std::fs::read(&log)?.len();
        use_all(&server.url(&database))?;
        for (sql, plan) in explained(&log, before)? {
            let known = plans.entry(sql).or_insert_with(|| vec![None; sizes.len()]);
            if known[place].as_ref().is_none_or(|known| known.pages < plan.pages) {
                known[place] = Some(plan);
            }
        }
    }
    let heads: Vec<String> = sizes.iter().map(|size| format!("{size:>9} rows")).collect();
    println!("\npages touched at most by one execution, and ms\n{}  statement", heads.join(" "));
    for (sql, plans) in &plans {
        let cells = plans.iter().map(|plan| match plan {
            Some(plan) => format!("{:>7} {:>6.1}", plan.pages, plan.millis),
            None => format!("{:>14}", "-"),
        });
        let cells: Vec<String> = cells.collect();
        println!("{}  {sql}", cells.join(" "));
        if let Some(plan) = plans.iter().flatten().last()
            && !plan.scans.is_empty()
        {
            println!("{:width$}  {}", "", plan.scans.join(", "), width = cells.len() * 15 - 1);
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("it starts a server on Linux alone");
}

/// What the journal is used for: rows from their intents to their files, lists, sums, and pruning.
fn use_all(url: &str) -> Result<(), Error> {
    let store = PostgresStore::connect(url)?;
    let scope = store.open_scope(Some("season"))?;
    let price = Some(Decimal::new(3, 2));
    let budget = [Budget { scope, limit: Decimal::from(1_000_000), price }];
    let mut held = Vec::new();
    for number in 0..20 {
        let Opened::Submit(open) = store.open(&draft(number)?.row(0)?)? else {
            return Err("a new row is there already".into());
        };
        open.charge_to(&budget);
        let (task, request) = (format!("new-{number}"), format!("request-{number}"));
        Journal::write(
            &*open,
            &entry(&serde_json::json!({"intent": {
                "request": {
                    "image": {"url": "https://example.com/cat.jpg"}, "template_id": "glass_ball",
                },
                "attempt": 0,
                "request_id": request,
                "idempotency_key": "0d9c8b7a-6f5e-4d3c-8b2a-190817263544",
            }}))?,
        )?;
        match number % 5 {
            // Two that stay: one is under way, and one is in doubt.
            0 => {}
            1 => Journal::write(&*open, &created(&task)?).map(drop)?,
            2 => {
                Journal::write(&*open, &created(&task)?)?;
                let (code, message) = (Some("3009095".into()), "no face".to_owned());
                let task = task.parse()?;
                open.settle(&RowOutcome::Failed { task, code, message, cost: price })?;
            }
            _ => {
                Journal::write(&*open, &created(&task)?)?;
                let pictures = vec!["https://example.com/out.png".to_owned()];
                open.settle(&RowOutcome::Completed { task: task.parse()?, cost: price, pictures })?;
                open.picture_saved(0, Path::new(&format!("/out/new-{number}.png")), None)?;
            }
        }
        held.push(open);
    }
    store.flush()?;
    drop(held);
    let origin = BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone();
    store.find(&RowName::Task(origin, "task-500".parse()?))?;
    store.find(&RowName::Picture("/out/500.png".into()))?;
    store.open(&draft(3)?.row(0)?)?;
    store.list(&Filter { limit: 100, ..Filter::default() })?;
    for which in [Which::Doubtful, Which::Unfinished] {
        let found = store.list(&Filter { which, ..Filter::default() })?;
        if let Some(doubtful) = found.first().filter(|_| which == Which::Doubtful) {
            store.resolve(doubtful.number, &Resolution::NotBilled)?;
        }
    }
    for by in [SpendBy::Template, SpendBy::Tag, SpendBy::Day] {
        store.spend(by, None)?;
    }
    // Nothing is so old, and some is.
    store.prune(Duration::from_secs(20 * 365 * 24 * 3600))?;
    store.prune(Duration::from_secs(YEAR_OF_FILL))?;
    Ok(())
}

/// Pages that a statement touched, how long it took, and what it read tables by.
#[derive(Clone, Debug)]
struct Plan {
    pages: u64,
    millis: f64,
    scans: Vec<String>,
}

/// The plans that the server wrote into its log after this many bytes, by their statements.
fn explained(log: &Path, before: usize) -> Result<Vec<(String, Plan)>, Error> {
    let text = std::fs::read(log)?;
    let text = String::from_utf8_lossy(&text[before..]).into_owned();
    let mut found = Vec::new();
    for part in text.split("plan:\n").skip(1) {
        let Some(Ok(told)) = serde_json::Deserializer::from_str(part).into_iter::<Value>().next()
        else {
            continue;
        };
        let sql = told["Query Text"].as_str().unwrap_or_default();
        let sql = without_numbers(sql);
        let plan = &told["Plan"];
        let pages = ["Shared Hit Blocks", "Shared Read Blocks"].map(|kind| plan[kind].as_u64());
        let mut scans = Vec::new();
        collect_scans(plan, &mut scans);
        let millis = plan["Actual Total Time"].as_f64().unwrap_or_default();
        let pages = pages.iter().flatten().sum();
        found.push((sql, Plan { pages, millis, scans }));
    }
    Ok(found)
}

/// A statement on one line, with the numbers of owners and times taken out.
fn without_numbers(sql: &str) -> String {
    let words = sql.split_whitespace().map(|word| {
        let is_number =
            word.chars().all(|letter| letter.is_ascii_digit() || ",;()".contains(letter));
        if is_number && word.len() > 2 { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The tables that a plan reads, and by which index.
fn collect_scans(plan: &Value, scans: &mut Vec<String>) {
    let kind = plan["Node Type"].as_str().unwrap_or_default();
    let table = plan["Relation Name"].as_str();
    let index = plan["Index Name"].as_str();
    let told = match (table, index) {
        (Some(table), Some(index)) => Some(format!("{table} by {index}")),
        (None, Some(index)) => Some(format!("by {index}")),
        (Some(table), None) if kind == "Seq Scan" => Some(format!("ALL OF {table}")),
        _ => None,
    };
    scans.extend(told.filter(|told| !scans.contains(told)));
    for below in plan["Plans"].as_array().into_iter().flatten() {
        collect_scans(below, scans);
    }
}

fn draft(number: usize) -> Result<RowDraft, Error> {
    Ok(RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(format!("https://example.com/new{number}.jpg").parse()?),
        key: None,
        tag: None,
        target: Some(format!("/out/new-{number}.png").into()),
    })
}

fn created(task: &str) -> Result<Entry, Error> {
    entry(&serde_json::json!({"created": {"task_id": task}}))
}

fn entry(fact: &Value) -> Result<Entry, Error> {
    let at = 1_764_000_000_000_u64;
    Ok(serde_json::from_value(serde_json::json!({"id": 1, "at": at, "fact": fact}))?)
}

/// Rows that were completed over the year before the last thirty days, the oldest first; of every
/// thousandth the picture was never saved.
const FILL: [&str; 7] = [
    "INSERT INTO effects.scopes (name, paid, costs_seen, highest_seen)
        VALUES ('season', (ROWS * 0.03)::text, ROWS, '0.03')",
    "INSERT INTO effects.prices VALUES ('https://cloud.vtrix.ai', 'glass_ball', 0, 0, '0.03')",
    "INSERT INTO effects.rows (number, identity, origin, template, image, likeness, tag, target, state,
            task, begun, changed, reserved)
        SELECT n, sha256(('row ' || n)::bytea), 'https://cloud.vtrix.ai', 'glass_ball',
            'https://example.com/' || n || '.jpg', sha256(('photo ' || n)::bytea), 'tag ' || n % 20,
            ('/out/' || n || '.png')::bytea, 'completed', n, at, at + 20000, '0.03'
        FROM generate_series(1, ROWS) AS n, LATERAL (
            SELECT floor(extract(epoch FROM now() - interval '395 days'
                + interval '365 days' * (n / ROWS.0)) * 1000)::bigint AS at) AS began",
    "INSERT INTO effects.tasks (number, row, id, submitted, finished, cost)
        SELECT number, number, 'task-' || number, begun, changed, '0.03' FROM effects.rows",
    "INSERT INTO effects.pictures (task, place, url, path)
        SELECT number, 0, 'https://example.com/' || number || '.png',
            CASE WHEN number % 1000 > 0 THEN target END
        FROM effects.rows",
    "INSERT INTO effects.scope_rows
        SELECT identity, (SELECT number FROM effects.scopes WHERE name = 'season') FROM effects.rows",
    "SELECT setval(pg_get_serial_sequence('effects.rows', 'number'), ROWS),
        setval(pg_get_serial_sequence('effects.tasks', 'number'), ROWS); ANALYZE",
];

const SIZES: &str = "SELECT relname || ' ' || pg_size_pretty(pg_table_size(oid)) || ' + '
        || pg_size_pretty(pg_indexes_size(oid))
    FROM pg_class WHERE relnamespace = 'effects'::regnamespace AND relkind = 'r'
        AND pg_total_relation_size(oid) > 1000000 ORDER BY pg_total_relation_size(oid) DESC";

/// Of the filled rows, the oldest hundredth is older.
const YEAR_OF_FILL: u64 = 33_810_000;
