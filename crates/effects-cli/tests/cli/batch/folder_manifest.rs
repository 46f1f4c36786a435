//! The folder's own `manifest.jsonl`: what its lines tell of rows, and what stays in it.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, rows_and_batch};

/// What the first edition did not write.
const NEW_FIELDS: [&str; 7] =
    ["identity", "origin", "journal", "journal_id", "photo_hash", "submitted_ms", "earlier_cost"];

fn lines(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The lines as the first edition wrote them.
fn of_the_first_edition(site: &Site) -> Vec<String> {
    let bare = |mut line: Value| {
        for field in NEW_FIELDS {
            line.as_object_mut().unwrap().remove(field);
        }
        line.to_string()
    };
    let lines: Vec<String> = site.results().into_iter().map(bare).collect();
    site.write("out/manifest.jsonl", lines.join("\n") + "\n");
    lines
}

#[test]
fn a_line_tells_the_gateway_the_row_and_the_journal() {
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let (first, second) = (&site.results()[0], &site.results()[1]);
    let journal = site.state.path().join("journal.db");
    assert_eq!(first["origin"].as_str(), Some(site.emulator.base_url()));
    assert_eq!(first["journal"].as_str(), journal.to_str());
    for (field, length) in [("identity", 64), ("photo_hash", 64), ("journal_id", 32)] {
        assert_eq!(first[field].as_str().unwrap().len(), length, "{field}");
    }
    assert_eq!(first["journal_id"], second["journal_id"]);
    assert_ne!(first["identity"], second["identity"]);
    assert!(first["submitted_ms"].is_u64());
    // Another journal has another id.
    site.rows("more.csv", 3).batch("more.csv", &["--journal", "other.db"]).exits(0);
    assert_ne!(site.results()[2]["journal_id"], first["journal_id"]);
}

#[test]
fn rows_are_merged_and_the_manifests_own_come_first() {
    let site = Site::new();
    site.rows("one.csv", 2).batch("one.csv", &[]).exits(0);
    let of_one = lines(&site);
    site.write("two.csv", "template,image\nmy_world,https://example.com/9.jpg\nbad,\n");
    for _ in 0..2 {
        site.batch("two.csv", &[]).exits(2);
        let all = lines(&site);
        // Lines that this run has no row of are kept to the letter.
        assert_eq!(all[2..], of_one);
        let statuses = site.results().iter().map(|row| row["status"].clone()).collect::<Vec<_>>();
        assert_eq!(statuses, ["completed", "invalid", "completed", "completed"]);
    }
    // What cannot be sent is told by its own run alone: its row may be corrected by now.
    site.batch("one.csv", &[]).exits(0);
    assert_eq!(count(&site.results(), "invalid"), 0);
    assert_eq!(lines(&site).len(), 3);
}

#[test]
fn two_orders_that_end_at_once_lose_none_of_each_others_rows() {
    let site = Site::new();
    let orders: Vec<String> = (0..8).map(|order| format!("order{order}.csv")).collect();
    let started: Vec<_> = orders
        .iter()
        .map(|name| {
            let image = format!("template,image\nmy_world,https://example.com/{name}.jpg\n");
            site.write(name, image);
            let line = ["batch", name, "--out", "out", "--poll", "0.05"];
            crate::world::RunningCommand::new(site.command(&line))
        })
        .collect();
    for run in started {
        run.end().exits(0);
    }
    assert_eq!(lines(&site).len(), orders.len());
}

#[test]
fn lines_of_the_first_edition_stay_as_they_are_until_their_own_rows_are_told_anew() {
    let site = Site::new();
    site.rows("one.csv", 2).batch("one.csv", &[]).exits(0);
    let mut old = of_the_first_edition(&site);
    // Neither is what no version of this program wrote.
    old.push("a note of mine".to_owned());
    site.write("out/manifest.jsonl", old.join("\n"));
    site.write("two.csv", "template,image\nmy_world,https://example.com/9.jpg\n");
    site.batch("two.csv", &[]).exits(0);
    assert_eq!(lines(&site)[1..], old);
    // The journal knows the tasks, so its rows take the place of those lines.
    let (rows, _) = rows_and_batch(&site.batch("one.csv", &["--json"]).exits(0));
    assert_eq!(count(&rows, "completed"), 2);
    let all = lines(&site);
    assert_eq!((all.len(), all[3].as_str()), (4, "a note of mine"));
    assert!(all[..3].iter().all(|line| line.contains(r#""identity":""#)), "{all:?}");
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn paid_lines_of_the_first_edition_stop_a_journal_that_knows_nothing_of_them() {
    let site = Site::new();
    site.rows("one.csv", 2).batch("one.csv", &[]).exits(0);
    let old = of_the_first_edition(&site);
    let seen = site.emulator.requests().len();
    for more in [&[][..], &["--plan"]] {
        let line = [&["--journal", "new.db"][..], more].concat();
        let ran = site.batch("one.csv", &line).exits(2);
        for said in ["2 rows are paid for already", "--journal", "--pay-again", "nothing was sent"]
        {
            assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
        }
        // A line without an identity cannot be rebuilt from.
        assert!(!ran.stderr.contains("rebuild"), "{ran:?}");
    }
    assert_eq!((site.emulator.requests().len(), lines(&site)), (seen, old));
    // Rows of another order are none of those.
    site.write("two.csv", "template,image\nmy_world,https://example.com/9.jpg\n");
    site.batch("two.csv", &["--journal", "new.db"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_manifest_that_cannot_be_read_stops_the_batch_before_anything_is_sent() {
    let site = Site::new();
    fs::create_dir_all(site.path("out/manifest.jsonl")).unwrap();
    let ran = site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(2);
    assert!(ran.stderr.contains("manifest.jsonl cannot be read"), "{ran:?}");
    assert_eq!(site.emulator.requests().len(), 0);
}

#[test]
fn a_row_this_run_did_not_come_to_keeps_what_the_folder_knows_of_it() {
    let refused = FaultRule::on(Endpoint::Create, Fault::status(401));
    let site = Site::new();
    site.photo("a.png", 1).photo("b.png", 2);
    site.write("rows.csv", "template,image\nglass_ball,a.png\nglass_ball,b.png\n");
    site.batch("rows.csv", &[]).exits(0);
    let known = lines(&site);
    // The key is refused at the first of many new rows, so that the old ones are never come to.
    site.emulator.follow(FaultPlan::none().with(refused)).unwrap();
    let mut text = "template,image\n".to_owned();
    (0..80).for_each(|row| text.push_str(&format!("my_world,https://example.com/{row}.jpg\n")));
    text.push_str("glass_ball,a.png\nglass_ball,b.png\n");
    site.write("rows.csv", text);
    site.batch("rows.csv", &["--in-flight", "1"]).exits(3);
    let all = site.results();
    assert_eq!(all.len(), 82);
    for line in known {
        let known: Value = serde_json::from_str(&line).unwrap();
        let same = all.iter().filter(|row| row["task_id"] == known["task_id"]);
        let same: Vec<_> = same.collect();
        assert_eq!((same.len(), &same[0]["status"]), (1, &known["status"]));
        assert_eq!(same[0]["path"], known["path"]);
    }
}

/// A row that is refused for a file in its way was not paid again, and what it cost stays known.
#[test]
fn what_a_paid_row_cost_stays_where_a_later_run_sends_nothing_for_it() {
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let before = site.results();
    site.batch("rows.csv", &["--journal", "other.db", "--pay-again"]).exits(2);
    assert_eq!((site.results(), site.accepted_once()), (before, 2));
}
