//! `effects reorder`: a row is bought once more, on purpose.

use std::fs;
#[cfg(unix)]
use std::process::Command;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

impl Site {
    fn reorder(&self, arguments: &[&str]) -> CommandOutput {
        self.run(&[&["reorder", "--json", "--poll", "0.05"][..], arguments].concat())
    }

    /// What the journal has of its rows, by their numbers.
    fn rows_of_the_journal(&self) -> Vec<Value> {
        objects(&self.run(&["tasks", "--json"]).exits(0).stdout)
    }

    fn paid(&self) -> u64 {
        self.emulator.counts().accepted
    }
}

#[test]
fn a_row_that_is_reordered_has_a_new_picture_and_the_old_one_stays() {
    let site = Site::painting();
    site.photo("cat.png", 1);
    site.write("rows.csv", "template,image,out\nglass_ball,cat.png,\nmy_world,cat.png,world.png\n");
    site.batch("rows.csv", &["--in-flight", "1"]).exits(0);
    let before = site.results();
    // The local renderer paints the same picture each time, so the old ones are made to differ.
    for row in &before {
        let path = row["path"].as_str().unwrap();
        fs::write(path, [&fs::read(path).unwrap()[..], b"old"].concat()).unwrap();
    }
    let ran = site.reorder(&["1", "2", "1"]).exits(0);
    assert!(ran.stderr.contains("0.06 USD spent"), "{ran:?}");
    let rows = objects(&ran.stdout);
    assert_eq!((count(&rows, "completed"), site.paid()), (2, 4), "{ran:?}");
    for row in &rows {
        let before = before.iter().find(|before| before["row"] == row["row"]).unwrap();
        assert_ne!(row["task_id"], before["task_id"]);
        // What all its tasks cost.
        assert_eq!((&row["how"], &row["cost"]), (&"submitted".into(), &"0.06".into()));
        let (old, new) = (before["path"].as_str().unwrap(), row["path"].as_str().unwrap());
        assert!(new.contains(row["task_id"].as_str().unwrap()), "{row}");
        assert!(fs::read(old).unwrap().ends_with(b"old") && fs::metadata(new).unwrap().len() > 0);
    }
    // The new picture is the row's from now on.
    for _ in 0..2 {
        let (again, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
        assert_eq!(again.iter().filter(|row| row["how"] == "kept").count(), 2, "{again:?}");
        assert_eq!(site.paid(), 4);
    }
    for row in site.results() {
        let bought = rows.iter().find(|bought| bought["row"] == row["row"]).unwrap();
        assert_eq!(row["path"], bought["path"]);
    }
    // Once more, in place of the old file.
    let world = before[1]["row"].to_string();
    let again = site.reorder(&[&world, "--overwrite"]).exits(0);
    let row = objects(&again.stdout).pop().unwrap();
    assert_eq!((&row["path"], site.paid()), (&before[1]["path"], 5));
}

#[test]
fn where_nothing_is_billed_the_row_stays_as_it_was() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let before = site.rows_of_the_journal();
    let refused = FaultRule::on(Endpoint::Create, Fault::status(400));
    site.emulator.follow(FaultPlan::none().with(refused)).unwrap();
    let ran = site.reorder(&["1"]).exits(2);
    let row = objects(&ran.stdout).pop().unwrap();
    assert_eq!((row["status"].as_str(), site.paid()), (Some("refused"), 1));
    assert!(ran.stderr.contains("nothing is billed; the row keeps its picture of task"), "{ran:?}");
    let after = site.rows_of_the_journal();
    for field in ["standing", "task_id", "paths", "cost"] {
        assert_eq!(after[0][field], before[0][field], "{field}");
    }
    // The answer is lost: a person has to find out, and until then nothing is bought.
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).first(1);
    site.emulator.follow(FaultPlan::none().with(lost)).unwrap();
    site.reorder(&["1"]).exits(8);
    let ran = site.reorder(&["1"]).exits(2);
    assert!(ran.stderr.contains("row 1 of the journal is doubtful, not one"), "{ran:?}");
    assert!(ran.stderr.contains("`effects resolve 1 --task ID`"), "{ran:?}");
    site.run(&["resolve", "1", "--not-billed"]).exits(0);
    assert_eq!(site.rows_of_the_journal()[0]["task_id"], before[0]["task_id"]);
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((rows[0]["how"].as_str(), site.paid()), (Some("kept"), 1));
}

#[test]
fn an_order_that_fails_leaves_the_row_its_picture_and_is_told_of_everywhere() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let (before, kept) = (site.rows_of_the_journal().remove(0), site.results().remove(0));
    let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009099")).first(1);
    site.emulator.follow(FaultPlan::none().with(fails)).unwrap();
    let ran = site.reorder(&["1"]).exits(4);
    let row = objects(&ran.stdout).pop().unwrap();
    let failed = row["task_id"].as_str().unwrap();
    let said = format!("the row keeps its picture of task {}", before["task_id"].as_str().unwrap());
    assert_eq!((row["status"].as_str(), site.paid()), (Some("failed"), 2), "{ran:?}");
    assert!(row["warning"].as_str().unwrap().ends_with(&said), "{row}");
    assert!(ran.stderr.contains(&said), "{ran:?}");
    assert_eq!(ran.stderr.matches(failed).count(), 1, "one fact is told once: {ran:?}");

    let after = site.rows_of_the_journal().remove(0);
    for field in ["standing", "task_id", "paths", "cost"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["failed_order"]["task_id"], failed);
    assert_eq!(after["failed_order"]["code"], "3009099");
    let listed = site.run(&["tasks"]).exits(0).stdout;
    assert!(listed.contains(&format!("task {failed} failed")), "{listed}");

    // Nothing is paid for it again, and its folder tells of the picture that it has.
    for more in [&["--json", "--retry-failed", "3"][..], &["--json", "--budget", "9"]] {
        let (rows, _) = rows_and_batch(&site.batch("rows.csv", more).exits(0));
        assert_eq!((rows[0]["how"].as_str(), &rows[0]["path"]), (Some("kept"), &kept["path"]));
        assert_eq!((&rows[0]["task_id"], site.paid()), (&before["task_id"], 2));
        assert_eq!(site.results().remove(0)["task_id"], before["task_id"]);
    }
    // A new order that succeeds is the row's.
    let row = objects(&site.reorder(&["1"]).exits(0).stdout).pop().unwrap();
    let after = site.rows_of_the_journal().remove(0);
    assert_eq!((&after["task_id"], site.paid()), (&row["task_id"], 3));
    assert_eq!(after.get("failed_order"), None);
}

#[test]
fn an_order_that_another_command_sees_fail_leaves_the_row_its_picture() {
    for goes_on in [&["resume"][..], &["batch", "rows.csv", "--out", "out"]] {
        let site = Site::new();
        site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
        let before = site.rows_of_the_journal().remove(0);
        let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009099")).first(1);
        // The task is left on its way.
        let refused = FaultRule::on(Endpoint::Task, Fault::status(401)).first(1);
        site.emulator.follow(FaultPlan::none().with(fails).with(refused)).unwrap();
        let ran = site.reorder(&["1"]).exits(3);
        let made = objects(&ran.stdout).pop().unwrap()["task_id"].clone();
        assert_eq!(site.rows_of_the_journal()[0]["standing"], "created");
        let ran = site.run(&[goes_on, &["--json", "--poll", "0.05"]].concat()).exits(0);
        let row = &objects(&ran.stdout)[0];
        assert_eq!((row["how"].as_str(), &row["task_id"]), (Some("kept"), &before["task_id"]));
        let said = format!("a new order of it, task {}", made.as_str().unwrap());
        assert!(ran.stderr.contains(&said), "{ran:?}");
        assert_eq!(
            (site.results().remove(0)["task_id"].clone(), site.paid()),
            (before["task_id"].clone(), 2)
        );
    }
}

#[test]
fn a_lost_journal_is_made_again_with_what_was_ordered_anew() {
    let site = Site::new();
    site.photo("cat.png", 1);
    site.write(
        "rows.csv",
        "template,image,out\nglass_ball,cat.png,below/cat.png\nmy_world,cat.png,w.png\n",
    );
    site.batch("rows.csv", &[]).exits(0);
    let row = objects(&site.reorder(&["1"]).exits(0).stdout).pop().unwrap();
    let lost = |site: &Site| {
        for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(site.state.path().join(name));
        }
    };
    lost(&site);
    site.run(&["journal", "rebuild", "--from", "out/manifest.jsonl"]).exits(0);
    let bought = site.rows_of_the_journal().into_iter().find(|it| it["task_id"] == row["task_id"]);
    assert_eq!(bought.expect("the new task is known")["paths"][0], row["path"]);
    let cost = site.run(&["cost", "--json"]).exits(0).stdout;
    assert_eq!(objects(&cost)[0]["cost"], "0.09", "{cost}");
    // So does a batch with another journal, for as much as all tasks cost.
    lost(&site);
    let (rows, batch) =
        rows_and_batch(&site.batch("rows.csv", &["--json", "--budget", "0.09"]).exits(0));
    assert_eq!((count(&rows, "completed"), &batch["cost"], site.paid()), (2, &"0.09".into(), 3));
    assert_eq!(rows.iter().filter(|it| it["task_id"] == row["task_id"]).count(), 1);
}

#[test]
fn what_cannot_be_bought_again_is_refused_with_the_way_out_and_nothing_is_sent() {
    let site = Site::new();
    site.photo("cat.png", 1).photo("dog.png", 2);
    let signed = "https://example.com/a.jpg?X-Amz-Signature=1";
    for (name, row) in [("one.csv", format!("{signed},1")), ("two.csv", "cat.png,2".to_owned())] {
        site.write(name, format!("template,image,key\nglass_ball,{row}\n"));
        site.batch(name, &[]).exits(0);
    }
    let seen = site.emulator.requests().len();
    for (line, said) in [
        (&["7"][..], "the journal has no row 7"),
        (
            &["1"],
            "row 1: the journal does not keep https://example.com/a.jpg?… whole: give the photo with --image",
        ),
        (
            &["1", "--image", "https://example.com/b.jpg"],
            "row 1: https://example.com/b.jpg is another photo than",
        ),
        (
            &["2", "--image", "dog.png"],
            "row 2: dog.png is another photo than the row's, cat.png: give that one",
        ),
        (&["2", "--image", "no.png"], "cannot be read"),
        (&["1", "2", "--image", "cat.png"], "--image is the photo of one row"),
        (&["2", "--base-url", "http://127.0.0.1:9"], "row 2 is of http://127.0.0.1"),
    ] {
        let ran = site.reorder(line).exits(2);
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    assert_eq!((site.emulator.requests().len(), site.paid()), (seen, 2));
    site.reorder(&["1", "--image", "https://example.com/a.jpg?X-Amz-Signature=2"]).exits(0);
    site.reorder(&["2", "--image", "./cat.png"]).exits(0);
    assert_eq!(site.paid(), 4);
}

/// No command sends on to one that sends back.
#[test]
fn the_way_out_of_a_row_that_cannot_be_bought_leads_on() {
    let site = Site::new();
    site.photo("a.png", 1).photo("b.png", 2);
    site.write("rows.csv", "template,image\nglass_ball,a.png\n").batch("rows.csv", &[]).exits(0);
    // Another photo: to give "the photo" once more leads nowhere.
    let ran = site.reorder(&["1", "--image", "b.png"]).exits(2);
    assert!(ran.stderr.contains("b.png is another photo than the row's"), "{ran:?}");
    assert!(ran.stderr.contains("effects run") && !ran.stderr.contains("--image"), "{ran:?}");
    // A row that is not doubtful.
    let ran = site.run(&["resolve", "1", "--not-billed"]).exits(2);
    assert!(ran.stderr.contains("its task has ended, so nothing is open"), "{ran:?}");
    // A task on its way.
    let refused = FaultRule::on(Endpoint::Task, Fault::status(401)).first(1);
    site.emulator.follow(FaultPlan::none().with(refused)).unwrap();
    site.reorder(&["1"]).exits(3);
    for command in [&["reorder", "1"][..], &["resolve", "1", "--not-billed"]] {
        let ran = site.run(command).exits(2);
        assert!(ran.stderr.contains("`effects resume` waits for it"), "{ran:?}");
    }
    site.run(&["resume", "--poll", "0.05"]).exits(0);
    assert_eq!(site.paid(), 2);
}

/// A reordered row whose answer was lost: the folder, and the task of its picture.
fn with_a_lost_answer(rows: usize) -> (Site, Value) {
    let site = Site::new();
    site.rows("rows.csv", rows).batch("rows.csv", &["--in-flight", "1"]).exits(0);
    let before = site.rows_of_the_journal().remove(0);
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).first(1);
    site.emulator.follow(FaultPlan::none().with(lost)).unwrap();
    site.reorder(&["1"]).exits(8);
    site.emulator.follow(FaultPlan::none()).unwrap();
    (site, before)
}

/// The last line of a row in the folder's manifest.
fn last_line(site: &Site, task: &Value) -> Value {
    let is_of = |line: &Value| line["task_id"] == *task || line["paid_picture"]["task_id"] == *task;
    site.results().into_iter().rfind(is_of).unwrap()
}

#[test]
fn an_order_in_doubt_is_told_beside_the_picture_that_is_paid() {
    let (site, before) = with_a_lost_answer(1);
    let listed = site.rows_of_the_journal().remove(0);
    assert_eq!((&listed["standing"], &listed["task_id"]), (&"doubtful".into(), &Value::Null));
    let paid = &listed["paid_picture"];
    for field in ["task_id", "cost", "paths"] {
        assert_eq!(paid[field], before[field], "{field}");
    }
    let text = site.run(&["tasks"]).exits(0).stdout;
    let said = format!("its picture is of task {}", before["task_id"].as_str().unwrap());
    assert!(text.contains(&said), "{text}");

    let line = last_line(&site, &before["task_id"]);
    assert_eq!((&line["status"], &line["task_id"]), (&"doubtful".into(), &before["task_id"]));
    assert_eq!((&line["paid_picture"], &line["cost"]), (paid, &before["cost"]));
    assert_eq!(line.get("earlier_cost"), None, "no cost is told twice: {line}");
    assert_eq!(line["attempts"], listed["attempts"]);
    assert_eq!(line["attempts"][0]["request_id"], line["error"]["request_id"]);
    // So does a batch that tells of it once more.
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(8));
    assert_eq!((&rows[0]["status"], &rows[0]["paid_picture"]), (&"doubtful".into(), paid));
    assert_eq!((&batch["cost"], site.paid()), (&before["cost"], 1));
    let line = last_line(&site, &before["task_id"]);
    assert_eq!((&line["paid_picture"], line.get("earlier_cost")), (paid, None));
    assert_eq!(line["attempts"], listed["attempts"]);
    // A person finds out.
    site.run(&["resolve", "1", "--not-billed"]).exits(0);
    let line = last_line(&site, &before["task_id"]);
    assert_eq!((&line["status"], &line["path"]), (&"completed".into(), &before["paths"][0]));
    assert_eq!((line.get("paid_picture"), line.get("attempts")), (None, None));
}

#[test]
fn another_journal_doubts_an_order_that_a_folder_tells_of_and_counts_it() {
    let new = ["--journal", "new.db"];
    let from = ["journal", "rebuild", "--from", "out/manifest.jsonl"];
    for rebuilds in [true, false] {
        let (site, before) = with_a_lost_answer(1);
        let doubts = || {
            let line = ["tasks", "--doubtful", "--json"];
            objects(&site.run(&[&line[..], &new].concat()).exits(0).stdout)
        };
        if rebuilds {
            site.run(&[&from[..], &new].concat()).exits(0);
            site.run(&[&from[..], &new].concat()).exits(0);
        } else {
            site.batch("rows.csv", &new).exits(8);
        }
        let doubtful = doubts().pop().expect("it is in doubt");
        let known = site.rows_of_the_journal().remove(0);
        for field in ["paid_picture", "attempts"] {
            assert_eq!(doubtful[field], known[field], "{field}");
        }
        let cost = site.run(&[&["cost", "--json"][..], &new].concat()).exits(0).object();
        assert_eq!((&cost["cost"], &cost["tasks"]), (&before["cost"], &1.into()));
        // It may be billed, so that the budget has no room for a second picture.
        site.rows("rows.csv", 2);
        let tight = [&new[..], &["--json", "--budget", "0.08", "--price", "0.03"]].concat();
        let plan = site.batch("rows.csv", &[&tight[..], &["--plan"]].concat()).exits(0);
        assert_eq!(objects(&plan.stdout).pop().unwrap()["over_budget"], 1, "{plan:?}");
        let (rows, _) = rows_and_batch(&site.batch("rows.csv", &tight).exits(8));
        assert_eq!((count(&rows, "doubtful"), count(&rows, "refused")), (1, 1));
        // Once it is settled, the row has its picture, and nothing is paid for it again.
        let row = doubtful["row"].to_string();
        site.run(&[&["resolve", &row, "--not-billed"][..], &new].concat()).exits(0);
        let (rows, _) =
            rows_and_batch(&site.batch("rows.csv", &[&new[..], &["--json"]].concat()).exits(0));
        let kept = rows.iter().find(|row| row["how"] == "kept").expect("its picture is kept");
        assert_eq!((&kept["task_id"], &kept["path"]), (&before["task_id"], &before["paths"][0]));
        assert_eq!((doubts().len(), site.accepted_once()), (0, 2));
    }
}

#[test]
fn a_journal_that_knows_the_picture_doubts_another_journals_order_once() {
    let site = Site::new();
    let second = ["--journal", "second.db"];
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    site.batch("rows.csv", &second).exits(0);
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).first(1);
    site.emulator.follow(FaultPlan::none().with(lost)).unwrap();
    site.reorder(&["1"]).exits(8);
    site.batch("rows.csv", &[&second[..], &["--plan", "--json"]].concat()).exits(0);
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &[&second[..], &["--json"]].concat()).exits(8));
    assert_eq!(rows[0]["status"], "doubtful");
    // What a person settles is settled.
    site.run(&[&["resolve", "1", "--not-billed"][..], &second].concat()).exits(0);
    for _ in 0..2 {
        let line = [&second[..], &["--json"]].concat();
        let (rows, _) = rows_and_batch(&site.batch("rows.csv", &line).exits(0));
        assert_eq!(rows[0]["how"], "kept");
    }
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn what_orders_of_another_journal_cost_counts_in_one_that_knows_the_picture() {
    let second = ["--journal", "second.db"];
    let rebuild = ["journal", "rebuild", "--from", "out/manifest.jsonl"];
    for rebuilds in [false, true] {
        let site = Site::billing(FaultPlan::none(), |_| json!({"cost": "0.03"}));
        let of_second = |line: &[&str]| site.run(&[line, &second].concat());
        let cost = || of_second(&["cost", "--json"]).exits(0).object();
        site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
        site.batch("rows.csv", &second).exits(0);
        assert_eq!(cost()["cost"], "0.03");
        let before = site.rows_of_the_journal().remove(0);
        // One order fails and is billed.
        let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009099")).first(1);
        site.emulator.follow(FaultPlan::none().with(fails)).unwrap();
        site.reorder(&["1"]).exits(4);
        let line = last_line(&site, &before["task_id"]);
        assert_eq!((&line["status"], &line["cost"]), (&"completed".into(), &"0.06".into()));
        let is_as_it_was = || {
            let row = of_second(&["tasks", "--json"]).exits(0).object();
            for field in ["standing", "task_id", "paths"] {
                assert_eq!(row[field], before[field], "{field}");
            }
            assert_eq!((row.get("failed_order"), row.get("paid_picture")), (None, None), "{row}");
        };
        if rebuilds {
            for _ in 0..2 {
                of_second(&rebuild).exits(0);
                assert_eq!(cost()["cost"], "0.06");
                is_as_it_was();
            }
        }
        // Of the next one the answer is lost.
        let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
        site.emulator.follow(FaultPlan::none().with(lost)).unwrap();
        site.reorder(&["1"]).exits(8);
        let line = last_line(&site, &before["task_id"]);
        assert_eq!((&line["status"], &line["cost"]), (&"doubtful".into(), &"0.06".into()));
        // Beside what is paid and what the doubt may cost, the budget has no room for another row.
        site.rows("rows.csv", 2);
        let tight = [&second[..], &["--json", "--budget", "0.11", "--price", "0.03"]].concat();
        for _ in 0..2 {
            if rebuilds {
                of_second(&rebuild).exits(0);
            }
            let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &tight).exits(8));
            assert_eq!((count(&rows, "doubtful"), count(&rows, "refused")), (1, 1), "{rows:?}");
            assert_eq!((&batch["cost"], &cost()["cost"]), (&"0.06".into(), &"0.06".into()));
        }
        of_second(&["resolve", "1", "--not-billed"]).exits(0);
        is_as_it_was();
        assert_eq!((&cost()["cost"], &cost()["highest"]), (&"0.06".into(), &"0.03".into()));
    }
}

#[test]
fn an_order_that_is_refused_or_not_come_to_leaves_the_folder_as_it_was() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &["--in-flight", "1"]).exits(0);
    let before = site.results();
    for status in [400, 401] {
        let refused = FaultRule::on(Endpoint::Create, Fault::status(status));
        site.emulator.follow(FaultPlan::none().with(refused)).unwrap();
        let ran = site.reorder(&["1", "2", "3"]);
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
        for before in &before {
            let line = last_line(&site, &before["task_id"]);
            for field in ["status", "task_id", "path", "cost"] {
                assert_eq!(line[field], before[field], "{status}: {line}");
            }
        }
    }
    site.run(&["journal", "rebuild", "--from", "out/manifest.jsonl", "--journal", "new.db"])
        .exits(0);
    site.batch("rows.csv", &["--journal", "new.db"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_budget_holds_for_what_is_bought_once_more_and_counts_what_was_paid_before() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &["--in-flight", "1"]).exits(0);
    // 0.06 USD are paid for two rows: there is room for one more picture.
    let ran = site.reorder(&["1", "2", "--budget", "0.09"]).exits(6);
    let rows = objects(&ran.stdout);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused"), site.paid()), (1, 1, 4));
    let refused = rows.iter().find(|row| row["status"] == "refused").unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("0.09"), "{refused}");
    // The row that was refused is as it was, in its folder, too.
    let row = refused["row"].as_u64().unwrap();
    let standing = site.rows_of_the_journal().remove(row as usize - 1);
    assert_eq!((&standing["standing"], standing.get("paid_picture")), (&"completed".into(), None));
    assert_eq!(last_line(&site, &standing["task_id"])["status"], "completed");
    // A price that is given counts.
    site.reorder(&["3", "--budget", "0.10", "--price", "0.08"]).exits(6);
    site.reorder(&["3", "--budget", "0.10", "--price", "0.07"]).exits(0);
    assert_eq!(site.paid(), 5);
    for (line, said) in [
        (&["3", "--price", "0.03"][..], "--budget"),
        (&["3", "--scope", "march"], "--budget"),
        (&["3", "--budget", "9", "--scope", "march"], "1 of these rows is not of the order"),
        (&["3", "--budget", "much"], "--budget"),
    ] {
        let ran = site.reorder(line).exits(2);
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    assert_eq!(site.paid(), 5);
}

#[cfg(unix)]
#[test]
fn where_a_folder_cannot_be_told_of_an_order_no_folder_tells_of_one() {
    let site = Site::new();
    site.photo("photos/cat.png", 1);
    for (template, out) in [("glass_ball", "first"), ("my_world", "second")] {
        let line = ["batch", "photos", "--template", template, "--out", out, "--poll", "0.05"];
        site.run(&line).exits(0);
    }
    // Longer than files may become: its next line cannot be written.
    let second = site.path("second/manifest.jsonl");
    let full = [fs::read(&second).unwrap(), vec![b' '; 4 << 20], b"\n".to_vec()].concat();
    fs::write(&second, full).unwrap();
    let before = fs::read_to_string(site.path("first/manifest.jsonl")).unwrap();
    let reorder = site.command(&["reorder", "1", "2"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]);
    limited.arg(reorder.get_program()).args(reorder.get_args());
    limited.current_dir(reorder.get_current_dir().unwrap());
    limited.envs(reorder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = limited.output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success() && said.contains("cannot be written"), "{said}");
    let after = fs::read_to_string(site.path("first/manifest.jsonl")).unwrap();
    let last =
        |lines: &str| -> Value { serde_json::from_str(lines.lines().last().unwrap()).unwrap() };
    assert_eq!((&last(&after)["status"], after == before), (&"completed".into(), false));
    assert_eq!(site.paid(), 2);
}

#[test]
fn a_reorder_says_what_its_order_has_spent_and_keeps_the_orders_budget_on_request() {
    let site = Site::new();
    let march = ["--scope", "march", "--budget", "0.12", "--price", "0.03"];
    site.rows("rows.csv", 3).batch("rows.csv", &march).exits(0);
    let ran = site.reorder(&["1"]).exits(0);
    assert!(ran.stderr.contains("the order \"march\" has spent 0.09 USD;"), "{ran:?}");
    // It counted, so the order's budget is used up.
    let ran = site.reorder(&["2", "--scope", "march", "--budget", "0.12"]).exits(6);
    assert!(!ran.stderr.contains("has spent"), "{ran:?}");
    let row = objects(&ran.stdout).pop().unwrap();
    assert_eq!((&row["status"], site.paid()), (&"refused".into(), 4));
    site.reorder(&["2", "--scope", "march", "--budget", "0.15"]).exits(0);
    assert_eq!(site.paid(), 5);
    // A budget of the row alone does not ask the order's.
    let ran = site.reorder(&["3", "--budget", "0.06"]).exits(0);
    assert!(ran.stderr.contains("the order \"march\" has spent 0.15 USD;"), "{ran:?}");
}

#[test]
fn nothing_is_bought_once_more_after_the_deadline() {
    let takes = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 6.0 });
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &["--in-flight", "1"]).exits(0);
    site.emulator.follow(FaultPlan::none().with(takes)).unwrap();
    let ran = site.reorder(&["1", "--deadline", "3s"]);
    let row = objects(&ran.stdout).pop().unwrap();
    assert_eq!((&row["status"], site.paid()), (&"running".into(), 3), "{ran:?}");
    assert!(row["task_id"].is_string() && row["paid_picture"]["task_id"].is_string(), "{row}");
    let task = row["task_id"].as_str().unwrap();
    assert!(ran.stderr.contains(&format!("task {task} is still running")), "{ran:?}");
    let said = "0 USD spent, and 1 task without an end may cost about 0.03 USD";
    assert!(ran.stderr.contains(said), "{ran:?}");
    let line =
        ran.stderr.lines().find_map(|line| line.split_once("wait on with: effects ")).unwrap();
    assert!(line.0.contains("the same line again would buy once more"), "{ran:?}");
    // The line that is told goes on with the task.
    let words: Vec<_> = line.1.split(' ').collect();
    assert!(words.contains(&"--journal") && words.contains(&"--base-url"), "{words:?}");
    let resumed = site.run(&words).exits(0);
    assert_eq!(resumed.stdout.lines().count(), 1, "{resumed:?}");
    // No time at all is a slip, of every command.
    for line in [
        &["reorder", "2", "--deadline", "0"][..],
        &["batch", "rows.csv", "--out", "out", "--deadline", "0s"],
        &["run", "glass_ball", "http://127.0.0.1:9/cat.jpg", "--deadline", "0"],
        &["wait", task, "--deadline", "0"],
    ] {
        let ran = site.run(line).exits(2);
        assert!(
            ran.stderr.contains("no time is left") && ran.stderr.contains("leave it out"),
            "{ran:?}"
        );
    }
    assert_eq!(site.paid(), 3);
}

#[test]
fn a_row_that_is_named_twice_is_bought_once() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let ran = site.reorder(&["1", "1"]).exits(0);
    assert_eq!((objects(&ran.stdout).len(), site.paid()), (1, 2), "{ran:?}");
    assert!(ran.stderr.contains("named more than once is bought once"), "{ran:?}");
}

/// A kill on the way of an order, whose folder tells how it stood then.
#[cfg(unix)]
mod a_kill_of_an_order {
    use std::time::{Duration, Instant};

    use super::{Endpoint, Fault, FaultPlan, FaultRule, Site, Value, last_line, objects};
    use crate::world::{RunningCommand, TIMEOUT};

    /// A row that is ordered anew, killed once `done` says so; what the row was.
    fn killed(fault: FaultRule, done: impl Fn(&Site) -> bool) -> (Site, Value) {
        let site = Site::new();
        site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
        let before = site.rows_of_the_journal().remove(0);
        site.emulator.follow(FaultPlan::none().with(fault)).unwrap();
        let run = RunningCommand::new(site.command(&["reorder", "1", "--poll", "0.05"]));
        let begun = Instant::now();
        while !done(&site) {
            assert!(begun.elapsed() < TIMEOUT, "it does nothing: {:?}", site.results());
            std::thread::sleep(Duration::from_millis(5));
        }
        run.signal("KILL");
        run.end();
        site.emulator.follow(FaultPlan::none()).unwrap();
        (site, before)
    }

    const NEW: [&str; 2] = ["--journal", "new.db"];

    fn rebuilt(site: &Site) -> Value {
        let line = ["journal", "rebuild", "--from", "out/manifest.jsonl"];
        site.run(&[&line[..], &NEW].concat()).exits(0);
        objects(&site.run(&[&["tasks", "--json"][..], &NEW].concat()).exits(0).stdout).remove(0)
    }

    #[test]
    fn before_its_answer_is_told_as_a_doubt() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Slow { seconds: 60.0 });
        let (site, before) = killed(slow, |site| site.paid() == 2);
        let line = last_line(&site, &before["task_id"]);
        assert_eq!(line["status"], "doubtful", "{line}");
        assert_eq!(line["paid_picture"]["paths"], before["paths"]);
        let row = rebuilt(&site);
        assert_eq!(
            (&row["standing"], row["attempts"].as_array().unwrap().len()),
            (&"doubtful".into(), 1)
        );
        assert_eq!(row["paid_picture"]["task_id"], before["task_id"]);
        // Its own journal knows the names of the submission.
        let own = site.rows_of_the_journal().remove(0);
        assert_eq!(
            (&own["standing"], &own["paid_picture"]),
            (&"doubtful".into(), &row["paid_picture"])
        );
        assert!(!own["attempts"][0]["request_id"].as_str().unwrap().is_empty());
    }

    #[test]
    fn on_the_way_of_its_task_is_told_with_the_task() {
        let takes = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 600.0 });
        let (site, before) =
            killed(takes, |site| site.results().iter().any(|line| line["status"] == "running"));
        let line = last_line(&site, &before["task_id"]);
        assert_ne!(line["task_id"], before["task_id"]);
        let row = rebuilt(&site);
        assert_eq!((&row["standing"], &row["task_id"]), (&"created".into(), &line["task_id"]));
        assert_eq!(row["paid_picture"]["task_id"], before["task_id"]);
        let cost = site.run(&[&["cost", "--json"][..], &NEW].concat()).exits(0).object();
        assert_eq!((&cost["cost"], &cost["tasks"]), (&before["cost"], &2.into()));
    }
}
