//! Nothing is paid twice, and nothing beyond the budget.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, rows_and_batch};
use crate::world::{CommandOutput, RunningCommand};

/// How each row came by its picture.
fn hows(ran: &CommandOutput, how: &str) -> usize {
    rows_and_batch(ran).0.iter().filter(|row| row["how"] == how).count()
}

#[test]
fn the_same_batch_again_submits_only_what_is_missing() {
    let site = Site::new();
    site.rows("rows.csv", 10);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 10);

    let lost = site.results()[3]["path"].as_str().unwrap().to_owned();
    fs::remove_file(&lost).unwrap();
    let before = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    let ran = site.rows("rows.csv", 12).batch("rows.csv", &["--json"]).exits(0);
    assert_eq!(["kept", "resumed", "submitted"].map(|how| hows(&ran, how)), [9, 1, 2]);
    assert!(fs::metadata(&lost).is_ok());
    assert_eq!(
        (rows_and_batch(&ran).1["spent"].as_str(), rows_and_batch(&ran).1["cost"].as_str()),
        (Some("0.06"), Some("0.36"))
    );
    assert_eq!(site.accepted_once(), 12);
    assert_eq!(before.lines().count() + 2, site.results().len());

    // Another folder: the pictures are paid for, so they are downloaded there.
    let ran = site.run(&["batch", "rows.csv", "--out", "other", "--json"]).exits(0);
    assert_eq!((hows(&ran, "resumed"), site.accepted_once()), (12, 12));
    // A folder that was moved: they are there.
    fs::rename(site.path("other"), site.path("third")).unwrap();
    let ran = site.run(&["batch", "rows.csv", "--out", "third", "--json"]).exits(0);
    assert_eq!((hows(&ran, "kept"), site.accepted_once()), (12, 12));
}

#[test]
fn rows_are_known_by_key_or_content_and_two_equal_rows_are_two_pictures() {
    let site = Site::new();
    site.photo("a.png", 1).photo("renamed.png", 1);
    let csv = "template,image,key\nglass_ball,a.png,\nglass_ball,a.png,\nmy_world,a.png,k\n";
    site.write("rows.csv", csv);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 3);
    let uploads = |site: &Site| {
        site.emulator.requests().iter().filter(|seen| seen.endpoint == Endpoint::Upload).count()
    };
    assert_eq!(uploads(&site), 1, "one photo is one upload");

    // Elsewhere, in another order, the second time: the same rows.
    let csv = "key,image,template\nk,a.png,my_world\n,renamed.png,glass_ball\n,a.png,glass_ball\n";
    let ran = site.write("rows.csv", csv).batch("rows.csv", &["--json"]).exits(0);
    assert_eq!((site.emulator.counts().accepted, hows(&ran, "submitted")), (3, 0));
    assert_eq!(uploads(&site), 1, "what is paid for needs no upload");

    // A key that asks for something else is a mistake.
    let csv = "key,image,template\nk,a.png,glass_ball\n,a.png,glass_ball\n";
    let ran = site.write("rows.csv", csv).batch("rows.csv", &["--json"]).exits(2);
    assert_eq!(count(&rows_and_batch(&ran).0, "invalid"), 1);
    assert!(ran.stderr.contains("with another template"), "{ran:?}");
    assert_eq!(site.emulator.counts().accepted, 3);
}

#[test]
fn a_link_that_is_made_anew_each_time_needs_a_key() {
    let site = Site::new();
    let link = |signature: &str| format!("https://example.com/a.jpg?X-Amz-Signature={signature}");
    site.write(
        "rows.csv",
        format!("template,image,key\nglass_ball,{},\nglass_ball,{},b\n", link("one"), link("two")),
    );
    let ran = site.batch("rows.csv", &["--json"]).exits(2);
    assert_eq!(count(&rows_and_batch(&ran).0, "completed"), 1);
    assert!(ran.stderr.contains("looks signed"), "{ran:?}");
    let rerun = format!("template,image,key\nglass_ball,{},b\n", link("three"));
    site.write("rows.csv", rerun).batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 1);
    let written = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    assert!(!written.contains("three"), "a link can be a permission: {written}");
}

#[test]
fn the_budget_is_for_the_rows_whenever_they_were_paid() {
    let site = Site::new();
    site.rows("rows.csv", 20);
    // No price is known: one task finds it out, the rest goes by it.
    let ran = site.batch("rows.csv", &["--json", "--budget", "0.30"]).exits(6);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (10, 10));
    assert_eq!(batch["spent"], "0.30");
    assert!(batch["resume"].is_null() && !ran.stderr.contains("the same line goes on"), "{batch}");
    let refused: Vec<&Value> = rows.iter().filter(|row| row["status"] == "refused").collect();
    assert!(refused.iter().all(|row| row["error"]["kind"] == "budget_exceeded"));
    assert!(refused.iter().all(|row| row["how"].is_null()));
    assert!(refused.iter().all(|row| row["image"].is_string() && row["line"].is_number()));
    // A person reads the first one at once, and how many more there are at the end.
    let first = refused[0]["line"].as_u64().unwrap();
    let at_once = format!("line {first}: the budget does not allow it");
    let at_end = format!("9 more rows are refused for the same reason as line {first}\n");
    for said in [&at_once, &at_end, "the budget does not allow it"] {
        assert_eq!(ran.stderr.matches(said).count(), 1, "{said}: {}", ran.stderr);
    }
    assert!(ran.stderr.find(&at_once) < ran.stderr.find(&at_end), "{}", ran.stderr);

    // The same line again has nothing left to spend.
    site.batch("rows.csv", &["--budget", "0.30"]).exits(6);
    assert_eq!(site.accepted_once(), 10);
    site.batch("rows.csv", &["--budget", "0.45"]).exits(6);
    assert_eq!(site.accepted_once(), 15);
    site.batch("rows.csv", &["--budget", "0.60"]).exits(0);
    assert_eq!((site.accepted_once(), site.emulator.spent().to_string().as_str()), (20, "0.60"));
}

/// Nothing is sent meanwhile, so a person must know what it waits for.
#[test]
#[cfg(unix)]
fn the_wait_for_a_price_is_told() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--progress-every", "0.05"];
    let mut first = RunningCommand::new(site.rows("rows.csv", 2).command(&line));
    first.wait_for_text("2 running");
    first.signal("INT");
    first.end().exits(130);
    let with_budget = [&line[..], &["--budget", "5"]].concat();
    let mut ran = RunningCommand::new(site.rows("rows.csv", 3).command(&with_budget));
    ran.wait_for_text(
        "waiting for a task of an earlier run to tell it; --price USD spares the wait",
    );
    ran.signal("INT");
    ran.end();
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn a_price_that_is_given_is_reserved_from_the_first_row_on() {
    let site = Site::new();
    site.rows("rows.csv", 5);
    site.batch("rows.csv", &["--budget", "0.10", "--price", "0.20"]).exits(6);
    assert_eq!(site.accepted_once(), 0);
    site.batch("rows.csv", &["--budget", "0", "--price", "0.01"]).exits(6);
    assert_eq!(site.accepted_once(), 0);
}

#[test]
fn a_failed_row_is_paid_anew_only_where_it_may_help_and_an_option_says_so() {
    let plan = FaultPlan::none()
        .with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1))
        .with(FaultRule::on(Endpoint::Create, Fault::fail("3009003")).first(1));
    let site = Site::with(plan);
    site.rows("rows.csv", 3);
    let ran = site.batch("rows.csv", &["--json", "--in-flight", "1"]).exits(4);
    assert_eq!(count(&rows_and_batch(&ran).0, "failed"), 2);
    let way_out = "1 row failed for a reason that may pass: the same line with --retry-failed 1 pays for a new task";
    assert!(ran.stderr.contains(way_out), "{ran:?}");
    let ran = site.batch("rows.csv", &["--json"]).exits(4);
    assert_eq!(site.emulator.counts().accepted, 3, "by itself nothing is paid anew: {ran:?}");

    let ran = site.batch("rows.csv", &["--json", "--retry-failed", "1"]).exits(4);
    assert!(!ran.stderr.contains("may pass"), "{ran:?}");
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "failed")), (2, 1));
    assert_eq!(site.emulator.counts().accepted, 4);
    let failed = rows.iter().find(|row| row["status"] == "failed").unwrap();
    assert_eq!(failed["error"]["code"], "3009003");
}

#[test]
fn within_one_run_a_row_fails_and_is_tried_again_as_often_as_allowed() {
    let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009099"));
    let site = Site::with(FaultPlan::none().with(fails.first(5)));
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--json", "--retry-failed", "2"]).exits(4);
    assert_eq!((site.emulator.counts().accepted, count(&rows_and_batch(&ran).0, "failed")), (3, 1));
    assert!(ran.stderr.contains("with --retry-failed 3"), "{ran:?}");
    site.batch("rows.csv", &["--retry-failed", "2"]).exits(4);
    assert_eq!(site.emulator.counts().accepted, 3, "earlier runs count");
    site.batch("rows.csv", &["--retry-failed", "5"]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 6);
}

#[test]
fn a_gateway_inside_the_command_journals_nothing_unless_told_to() {
    let site = Site::new();
    site.photo("a.png", 1)
        .write("rows.csv", "template,image,width,height\nglass_ball,a.png,512,512\n");
    let line = ["batch", "rows.csv", "--out", "out", "--emulator", "--json"];
    let ran = site.run(&line).exits(0);
    assert_eq!(rows_and_batch(&ran).0[0]["row"], Value::Null);
    assert!(!site.state.path().join("journal.db").exists());
    // The picture of the first run is one that this journal knows nothing of.
    let journaled = ["--journal", "own.db", "--overwrite"];
    let ran = site.run(&[&line[..], &journaled].concat()).exits(0);
    assert_eq!(rows_and_batch(&ran).0[0]["row"], 1);
    assert!(site.path("own.db").exists() && site.emulator.requests().is_empty());
}
