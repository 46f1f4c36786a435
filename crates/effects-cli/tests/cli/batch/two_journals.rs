//! Two journals that take turns at one folder, and a backup that stands in for its journal: what each paid
//! for stays in the folder's manifest, and the other one pays for none of it again.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

const FIRST: [&str; 2] = ["--journal", "first.db"];
const SECOND: [&str; 2] = ["--journal", "second.db"];

/// Every task bills 0.03 USD, whatever comes of it.
fn billing(plan: FaultPlan) -> Site {
    let site = Site::billing(plan, |_| json!({"cost": "0.03"}));
    site.rows("rows.csv", 1);
    site
}

fn follow(site: &Site, rules: impl IntoIterator<Item = FaultRule>) {
    let plan = rules.into_iter().fold(FaultPlan::none(), FaultPlan::with);
    site.emulator.follow(plan).unwrap();
}

fn failing() -> FaultRule {
    FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1)
}

fn lost() -> FaultRule {
    FaultRule::on(Endpoint::Create, Fault::lost()).first(1)
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
        let plan = objects(&batch(&site, journal, &["--plan", "--json"]).exits(0).stdout).remove(0);
        assert_eq!((&plan["kept"], &plan["spent"]), (&json!(1), &json!("0.03")), "{plan}");
        let ran = batch(&site, journal, &[]).exits(0);
        assert_eq!(tasks(&site), both, "{ran:?}");
    }
    // A third journal goes on with one of them.
    batch(&site, ["--journal", "third.db"], &[]).exits(0);
    assert_eq!((tasks(&site), site.emulator.counts().accepted), (both, 2));
}

#[test]
fn a_doubt_of_another_journal_stops_one_that_released_the_row_before() {
    let out_of_credit = || FaultRule::on(Endpoint::Create, Fault::status(402));
    let site = billing(FaultPlan::none().with(out_of_credit()));
    batch(&site, FIRST, &[]);
    follow(&site, [lost()]);
    batch(&site, SECOND, &[]).exits(8);
    follow(&site, []);
    for journal in [FIRST, ["--journal", "third.db"], FIRST] {
        let ran = batch(&site, journal, &[]).exits(2);
        assert!(ran.stderr.contains("second.db"), "{ran:?}");
    }
    let [line] = &site.results()[..] else { panic!("{:?}", site.results()) };
    assert_eq!((&line["status"], site.accepted_once()), (&json!("doubtful"), 1));
    // A person settles it where it was made, or takes it in and settles it here.
    let rebuild = ["journal", "rebuild", "--from", "out/manifest.jsonl", FIRST[0], FIRST[1]];
    site.run(&rebuild).exits(0);
    batch(&site, FIRST, &[]).exits(8);
    site.run(&["resolve", "--all", "--not-billed", FIRST[0], FIRST[1]]).exits(0);
    batch(&site, FIRST, &[]).exits(0);
    assert_eq!((count(&site.results(), "completed"), site.results().len()), (1, 1));
}

#[test]
fn a_row_that_failed_here_and_was_bought_with_another_journal_is_not_bought_again() {
    let site = billing(FaultPlan::none().with(failing()));
    batch(&site, FIRST, &[]).exits(4);
    batch(&site, SECOND, &["--retry-failed", "1"]).exits(0);
    let bought = site.results().pop().unwrap();
    for more in [&[][..], &["--retry-failed", "1"], &["--plan"]] {
        let ran = batch(&site, FIRST, more).exits(2);
        assert!(ran.stderr.contains("second.db does; give that one"), "{ran:?}");
        assert!(!ran.stderr.contains("rebuild"), "{ran:?}");
    }
    assert_eq!((site.results(), site.emulator.counts().accepted), (vec![bought], 2));
    batch(&site, SECOND, &[]).exits(0);
    // Failed in both, what the other journal paid counts.
    let site = billing(FaultPlan::none().with(failing()));
    batch(&site, FIRST, &[]).exits(4);
    follow(&site, [failing()]);
    batch(&site, SECOND, &["--retry-failed", "1"]).exits(4);
    batch(&site, FIRST, &[]).exits(4);
    let cost = objects(&site.run(&["cost", "--json", FIRST[0], FIRST[1]]).stdout);
    assert_eq!((&cost[0]["cost"], site.emulator.counts().accepted), (&json!("0.06"), 2));
}

#[test]
fn a_backup_follows_what_its_journal_has_submitted_since() {
    let out_of_credit = FaultRule::on(Endpoint::Create, Fault::status(402));
    let site = billing(FaultPlan::none().with(out_of_credit));
    site.rows("rows.csv", 2);
    batch(&site, FIRST, &[]);
    site.run(&["journal", "backup", "backup.db", FIRST[0], FIRST[1]]).exits(0);
    // Both tasks are made, and no look at them is answered.
    follow(&site, [FaultRule::on(Endpoint::Task, Fault::status(401))]);
    batch(&site, FIRST, &[]).exits(3);
    assert_eq!(count(&site.results(), "running"), 2);
    let both = tasks(&site);
    for name in ["first.db", "first.db-wal", "first.db-shm"] {
        let _ = fs::remove_file(site.path(name));
    }
    fs::rename(site.path("backup.db"), site.path("first.db")).unwrap();
    follow(&site, []);
    let (rows, _) = rows_and_batch(&batch(&site, FIRST, &["--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (2, 2));
    assert_eq!(tasks(&site), both);
}

#[test]
fn a_backup_loses_no_task_that_its_journal_paid_for_since() {
    let site = billing(FaultPlan::none());
    batch(&site, FIRST, &[]).exits(0);
    site.run(&["journal", "backup", "backup.db", FIRST[0], FIRST[1]]).exits(0);
    for _ in 0..2 {
        site.run(&["reorder", "1", FIRST[0], FIRST[1]]).exits(0);
    }
    let newest = site.results().pop().unwrap();
    assert_eq!(newest["cost"], "0.09");
    for _ in 0..2 {
        let (_, ended) =
            rows_and_batch(&batch(&site, ["--journal", "backup.db"], &["--json"]).exits(0));
        assert_eq!(ended["cost"], "0.09");
        let same = site.results().into_iter().find(|row| row["task_id"] == newest["task_id"]);
        assert_eq!(same.map(|row| row["cost"].clone()), Some(json!("0.09")));
    }
    assert_eq!(site.emulator.counts().accepted, 3);
}
