//! Two journals that take turns at one folder, and a backup that stands in for its journal: what each paid
//! for stays in the folder's manifest, and the other one pays for none of it again.

use effects_emulator::FaultPlan;
use serde_json::{Value, json};

use super::site::Site;
use crate::world::CommandOutput;

const FIRST: [&str; 2] = ["--journal", "first.db"];
const SECOND: [&str; 2] = ["--journal", "second.db"];

/// Every task bills 0.03 USD, whatever comes of it.
fn billing(plan: FaultPlan) -> Site {
    let site = Site::billing(plan, |_| json!({"cost": "0.03"}));
    site.rows("rows.csv", 1);
    site
}

/// `effects batch rows.csv` with a journal and more.
fn batch(site: &Site, journal: [&str; 2], more: &[&str]) -> CommandOutput {
    site.batch("rows.csv", &[&journal[..], more].concat())
}

/// The tasks that the folder's manifest names.
fn tasks(site: &Site) -> Vec<Value> {
    let mut tasks: Vec<Value> = site.results().iter().map(|row| row["task_id"].clone()).collect();
    tasks.sort_by_key(Value::to_string);
    tasks
}

#[test]
fn what_is_paid_for_once_more_with_another_journal_stays_beside_what_was_paid_before() {
    let site = billing(FaultPlan::none());
    batch(&site, FIRST, &[]).exits(0);
    batch(&site, SECOND, &["--pay-again", "--overwrite"]).exits(0);
    let both = tasks(&site);
    assert_eq!((both.len(), site.emulator.counts().accepted), (2, 2));
    for journal in [FIRST, SECOND, FIRST] {
        let ran = batch(&site, journal, &[]).exits(0);
        assert_eq!(tasks(&site), both, "{ran:?}");
    }
    // A third journal goes on with one of them.
    batch(&site, ["--journal", "third.db"], &[]).exits(0);
    assert_eq!((tasks(&site), site.emulator.counts().accepted), (both, 2));
}
