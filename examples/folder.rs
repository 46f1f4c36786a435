//! Every photo of a folder in a glass ball, paid once, with `Client::jobs` and an `SqliteJournal`. For
//! programs that may be killed: `cargo run --example folder PHOTOS OUT BUDGET`.
//!
//! Killed at any moment and started again, it goes on where it was, within the same budget. The key comes
//! from `EFFECTS_API_KEY`, the gateway from `EFFECTS_BASE_URL`.

use std::error::Error;
use std::{env, fs};

use effects_journal::SqliteJournal;
use effects_ureq::{Client, Job, JobNotice, Template};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [photos, out, budget] = &arguments[..] else {
        return Err("folder PHOTOS OUT BUDGET".into());
    };
    fs::create_dir_all(out)?;
    let entries = fs::read_dir(photos)?.collect::<Result<Vec<_>, _>>()?;
    let jobs = entries.into_iter().map(|photo| Job::photo(Template::GlassBall, photo.path()));
    let tell = |notice| {
        if let JobNotice::Outage { outage } = notice {
            eprintln!("warning: {outage}");
        }
    };
    // Beside the pictures, so that the next start finds what was paid for.
    let journal = SqliteJournal::open(format!("{out}/run.db"))?;
    let jobs_of_client = Client::from_env()?.jobs().journal(journal);
    let jobs_of_client = jobs_of_client.scope("folder").budget(budget.parse()?).save_to(out);
    let mut results = jobs_of_client.on_notice(tell).run(jobs)?;
    results.by_ref().for_each(|result| println!("{result}"));
    // An error that would be every other photo's ends it before all were begun.
    results.halted_by().map_or(Ok(()), |error| Err(error.into()))
}
