//! `effects reorder`: a row is bought once more, on purpose.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, objects, told};
use crate::world::Ran;

impl Site {
    fn reorder(&self, arguments: &[&str]) -> Ran {
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
        let (again, _) = told(&site.batch("rows.csv", &["--json"]).exits(0));
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
    let row = objects(&site.reorder(&["1"]).exits(2).stdout).pop().unwrap();
    assert_eq!((row["status"].as_str(), site.paid()), (Some("refused"), 1));
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
    let (rows, _) = told(&site.batch("rows.csv", &["--json"]).exits(0));
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
    assert!(ran.stderr.contains(&said) && ran.stderr.contains(failed), "{ran:?}");

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
        let (rows, _) = told(&site.batch("rows.csv", more).exits(0));
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
    let (rows, batch) = told(&site.batch("rows.csv", &["--json", "--budget", "0.09"]).exits(0));
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
