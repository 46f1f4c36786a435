//! A hundred jobs with `Client::jobs`, a journal and a budget that reaches for eighty. For programs with
//! many photos: `cargo run --example jobs`.
//!
//! It runs against a gateway on this machine, so it needs no key and costs nothing. Against the service it
//! is `Client::from_env()?` instead, and killed at any moment and started again it pays for no picture
//! twice: see `folder.rs`.

use std::error::Error;
use std::time::Duration;

use effects_emulator::{Emulator, Latency, Pictures};
use effects_journal::SqliteJournal;
use effects_ureq::{Client, Job, Template};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("effects-jobs-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let gateway = Emulator::builder()
        .pictures(Pictures::Stub)
        .latency(Latency::fixed(Duration::from_millis(20)))
        .start()?;
    let client =
        Client::builder().base_url(gateway.base_url()).api_key(gateway.api_key()).build()?;

    let jobs = (0..100).map(|number| {
        let url = format!("https://photos.example.com/{number}.jpg");
        // By its key a job is known again, whatever its place in the list.
        Job::url(Template::GlassBall, &url).map(|job| job.with_key(format!("photo-{number}")))
    });
    let results = client
        .jobs()
        .journal(SqliteJournal::open(folder.join("run.db"))?)
        .budget("2.40".parse()?) // USD: enough for eighty of them
        .in_flight(16)
        .save_to(folder.join("pictures"))
        .run(jobs.collect::<Result<Vec<_>, _>>()?)?;

    let (mut saved, mut refused) = (0, 0);
    for result in results {
        println!("{result}");
        if result.is_completed() { saved += 1 } else { refused += 1 }
    }
    println!("{saved} pictures, {refused} jobs that the budget did not reach");
    std::fs::remove_dir_all(&folder)?;
    assert_eq!((saved, refused), (80, 20));
    Ok(())
}
