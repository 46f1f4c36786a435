//! A gateway at which everything fails: a batch that pauses, probes and ends, and doubtful rows by
//! the hundred that a person resolves at once.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};

fn bad_gateway() -> FaultRule {
    FaultRule::on(Endpoint::Create, Fault::status(502))
}

fn doubtful(site: &Site) -> Vec<Value> {
    objects(&site.run(&["tasks", "--doubtful", "--json"]).exits(0).stdout)
}

#[test]
fn under_a_gateway_that_fails_a_batch_pauses_probes_once_and_ends() {
    let site = Site::with(FaultPlan::none().with(bad_gateway()));
    site.rows("rows.csv", 300);
    let ran = site.batch("rows.csv", &["--json"]).exits(8);
    let (rows, batch) = rows_and_batch(&ran);
    // Three in a row, those that were in flight by then (four at once), and the probe.
    let seen = usize::try_from(site.emulator.counts().creates_seen).unwrap();
    assert!((4..=7).contains(&seen), "{seen}");
    assert_eq!((count(&rows, "doubtful"), doubtful(&site).len()), (seen, seen));
    assert_eq!(batch["doubtful"].as_u64().unwrap() as usize, seen);
    let unsent = batch["refused"].as_u64().unwrap() + batch["not_submitted"].as_u64().unwrap();
    assert_eq!(unsent as usize, 300 - seen, "{batch}");
    for said in
        ["submissions in a row are unknown: none leaves for 30 s", "nothing more is submitted"]
    {
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    assert!(batch["error"].as_str().unwrap().contains("in a row"), "{batch}");
}

#[test]
fn a_gateway_that_recovers_in_the_pause_is_gone_on_with() {
    let site = Site::with(FaultPlan::none().with(bad_gateway().first(3)));
    site.rows("rows.csv", 20);
    // One submission at a time.
    let ran = site.batch("rows.csv", &["--json", "--in-flight", "4"]).exits(8);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "doubtful")), (17, 3), "{batch}");
    assert_eq!((site.accepted_once(), site.emulator.counts().creates_seen), (17, 20));
}

#[test]
fn refusals_for_now_are_one_pause_for_all_rows_and_one_probe_at_a_time() {
    let throttles = FaultRule::on(Endpoint::Create, Fault::status(429)).first(6);
    let site = Site::with(FaultPlan::none().with(throttles));
    site.rows("rows.csv", 6);
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert_eq!((site.accepted_once(), site.emulator.counts().creates_seen), (6, 12));
    assert!(ran.stderr.contains("refuses every submission for now"), "{ran:?}");
    // Four at once, then one after each pause: a probe that is early would be no pause.
    let seen = site.emulator.requests();
    let times: Vec<u64> =
        seen.iter().filter(|seen| seen.endpoint == Endpoint::Create).map(|seen| seen.at).collect();
    for (probe, pause) in [(4, 1_000), (5, 2_000), (6, 4_000)] {
        let waited = times[probe] - times[probe - 1];
        assert!(waited + 50 >= pause, "probe {probe} came after {waited} ms");
    }
}

#[test]
fn how_many_unknown_outcomes_in_a_row_are_too_many_is_an_option() {
    let site = Site::with(FaultPlan::none().with(bad_gateway().first(9)));
    site.rows("rows.csv", 12);
    let line = ["--json", "--in-flight", "4", "--unknown-in-a-row", "10"];
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &line).exits(8));
    assert_eq!((count(&rows, "completed"), count(&rows, "doubtful")), (3, 9));
    site.batch("rows.csv", &["--unknown-in-a-row", "0"]).exits(2);
}

#[test]
fn many_doubtful_rows_are_resolved_at_once() {
    let site = Site::with(FaultPlan::none().with(bad_gateway().first(6)));
    let row = |row: usize| {
        let template = if row < 4 { "glass_ball" } else { "my_world" };
        let tag = if row.is_multiple_of(2) { "even" } else { "odd" };
        format!("{template},https://example.com/{row}.jpg,{tag}\n")
    };
    let rows: String = (0..6).map(row).collect();
    site.write("rows.csv", format!("template,image,tag\n{rows}"));
    site.batch("rows.csv", &["--unknown-in-a-row", "99"]).exits(8);
    assert_eq!(doubtful(&site).len(), 6);

    // By a filter.
    let ran = site.run(&["resolve", "--all", "--tag", "odd", "--not-billed", "--json"]).exits(0);
    let resolved = objects(&ran.stdout);
    assert_eq!(resolved.len(), 3, "{ran:?}");
    assert!(resolved.iter().all(|row| row["standing"] == "released"), "{ran:?}");
    assert!(doubtful(&site).iter().all(|row| row["tag"] == "even"));
    let by_template = ["resolve", "--all", "--template", "my_world", "--not-billed"];
    site.run(&by_template).exits(0);
    let left = doubtful(&site);
    assert_eq!(left.len(), 2);

    // By a file: a row and what was found, a line each; by numbers, and all that are left.
    let rows: Vec<String> = left.iter().map(|row| row["row"].to_string()).collect();
    let made = ["submit", "glass_ball", "https://example.com/0.jpg", "--journal", "other.db"];
    let task = site.run(&made).exits(0).stdout.trim().to_owned();
    // With the mark that some editors begin a file with.
    let file =
        format!("\u{feff}# from the support\n{} {task}\n\n{} not-billed\n", rows[0], rows[1]);
    fs::write(site.path("found.txt"), file).unwrap();
    for wrong in [
        &["resolve", "--all"][..],
        &["resolve", "--all", "--task", "x"],
        &["resolve", &rows[0], "--all", "--not-billed"],
        &["resolve", &rows[0], &rows[1], "--task", "x"],
        &["resolve", "--from", "none.txt"],
        &["resolve", "--not-billed"],
    ] {
        site.run(wrong).exits(2);
    }
    assert_eq!(doubtful(&site).len(), 2);
    let ran = site.run(&["resolve", "--from", "found.txt", "--json"]).exits(0);
    let found = objects(&ran.stdout);
    assert_eq!(
        found.iter().map(|row| row["standing"].as_str().unwrap()).collect::<Vec<_>>(),
        ["created", "released"]
    );
    assert_eq!(found[0]["task_id"], task.as_str());
    let ran = site.run(&["resolve", "--all", "--not-billed"]).exits(0);
    assert!(
        ran.stdout.is_empty()
            && ran.stderr.contains("none of the rows that were meant is doubtful"),
        "{ran:?}"
    );
}

#[test]
fn one_row_that_cannot_be_resolved_keeps_no_other_from_it() {
    let site = Site::with(FaultPlan::none().with(bad_gateway().first(2)));
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(8);
    let ran = site.run(&["resolve", "1", "99", "2", "--not-billed"]).exits(2);
    assert!(ran.stderr.contains("no row 99"), "{ran:?}");
    assert!(doubtful(&site).is_empty());
}

#[test]
fn a_single_submission_of_unknown_outcome_names_the_way_out() {
    let site = Site::with(FaultPlan::none().with(bad_gateway()));
    for (nth, command) in ["run", "submit"].into_iter().enumerate() {
        let line = [command, "glass_ball", "https://example.com/cat.jpg", "--json"];
        let ran = site.run(&line).exits(8);
        let row = doubtful(&site)[nth]["row"].clone();
        let way_out = format!("effects resolve {row} --task ID");
        assert!(ran.stderr.contains(&way_out), "{ran:?}");
        assert!(ran.object()["message"].as_str().unwrap().contains(&way_out), "{ran:?}");
    }
    let line = ["run", "glass_ball", "https://example.com/cat.jpg", "--no-journal"];
    let ran = site.run(&line).exits(8);
    assert!(!ran.stderr.contains("effects resolve"), "no row is there to resolve: {ran:?}");
}
