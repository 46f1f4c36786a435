//! Commits a second of 1, 16 and 256 writers, against one wait for the disk for each record:
//! `cargo run --release -p effects-journal --example bench_journal -- [FOLDER]`.
//!
//! All of it is measured in one run on one disk, so that the ratios mean something.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::journal::{Entry, Journal};
use effects_core::{BaseUrl, Size, Template};
use effects_jobs::{JournalStore, Opened, RowDraft, RowPhoto};
use effects_journal::SqliteJournal;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let place = tempfile::tempdir_in(folder)?;
    for writers in [1, 16, 256] {
        let path = place.path().join(format!("{writers}.db"));
        let journal = SqliteJournal::open(&path)?;
        // Others use the disk as well, so what it does is asked before and after.
        let before = one_sync_each(place.path())?;
        let records = measure(&journal, writers)?;
        let alone = f64::midpoint(before, one_sync_each(place.path())?);
        let stats = journal.stats();
        #[allow(clippy::cast_precision_loss, reason = "counts of a short run")]
        let group = stats.requests as f64 / stats.commits.max(1) as f64;
        println!(
            "{writers:3} writers: {records:6.0} records/s, {:5.1} times the {alone:4.0} of one \
             fsync each; {group:.1} requests a commit",
            records / alone
        );
    }
    Ok(())
}

/// What a record would cost without a journal: appended to a file and forced to the disk.
fn one_sync_each(folder: &Path) -> Result<f64> {
    use std::io::Write;

    let mut file = std::fs::File::create(folder.join("plain"))?;
    let (begun, mut records) = (Instant::now(), 0_u32);
    while begun.elapsed() < TIME {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        records += 1;
    }
    Ok(f64::from(records) / begun.elapsed().as_secs_f64())
}

/// Intents a second: each writer waits for its own before it begins the next.
fn measure(journal: &SqliteJournal, writers: usize) -> Result<f64> {
    let (next, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let entry = intent()?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let work = || -> std::result::Result<(), String> {
            while begun.elapsed() < TIME {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let row = draft(number).and_then(|draft| Ok(draft.row(0)?));
                let opened = journal.open(&row.map_err(|error| error.to_string())?);
                let Opened::Submit(open) = opened.map_err(|error| error.to_string())? else {
                    return Err("a new row is there already".to_owned());
                };
                Journal::write(&*open, &entry).map_err(|error| error.to_string())?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    #[allow(clippy::cast_precision_loss, reason = "counts of a short run")]
    let written = written.into_inner() as f64;
    Ok(written / begun.elapsed().as_secs_f64())
}

fn draft(number: usize) -> Result<RowDraft> {
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

fn intent() -> Result<Entry> {
    Ok(serde_json::from_value(serde_json::json!({
        "id": 1,
        "at": 1_764_000_000_000_u64,
        "fact": {"intent": {
            "request": {"image": {"url": "https://example.com/cat.jpg"}, "template_id": "glass_ball"},
            "attempt": 0,
            "request_id": "6b1f0c9e-2f1a-4b64-9d53-1f3a5b6c7d8e",
            "idempotency_key": "0d9c8b7a-6f5e-4d3c-8b2a-190817263544",
        }},
    }))?)
}

const TIME: Duration = Duration::from_secs(2);
