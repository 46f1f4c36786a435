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
    site.run(&["resolve", "1", "--not-billed"]).exits(0);
    assert_eq!(site.rows_of_the_journal()[0]["task_id"], before[0]["task_id"]);
    let (rows, _) = told(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((rows[0]["how"].as_str(), site.paid()), (Some("kept"), 1));
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
        (&["1", "--image", "https://example.com/b.jpg"], "row 1: it is of another photo than"),
        (&["2", "--image", "dog.png"], "row 2: it is of another photo than dog.png"),
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
