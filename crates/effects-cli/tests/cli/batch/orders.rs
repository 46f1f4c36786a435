//! Which rows of two orders, or of one, are the same: scopes of keys, spellings of URLs, duplicates.

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::site::{Site, count, objects, rows_and_batch};

fn field(rows: &[Value], name: &str) -> Vec<Value> {
    rows.iter().map(|row| row[name].clone()).collect()
}

#[test]
fn two_orders_may_both_number_from_1_each_within_its_scope() {
    let site = Site::new();
    let order = |name: &str, photo: &str| {
        let image = |row| format!("https://example.com/{photo}{row}.jpg");
        let csv =
            format!("template,image,key\nglass_ball,{},1\nglass_ball,{},2\n", image(1), image(2));
        site.write(name, csv);
    };
    order("march.csv", "m");
    order("april.csv", "a");
    site.batch("march.csv", &["--scope", "march"]).exits(0);
    // Without a scope, and within another one, 1 is another row's name.
    for _ in 0..2 {
        site.batch("april.csv", &["--scope", "april"]).exits(0);
        site.batch("march.csv", &["--scope", "march"]).exits(0);
        assert_eq!(site.accepted_once(), 4);
    }
    let results = site.results();
    assert_eq!(field(&results, "scope"), ["march", "march", "april", "april"]);
    site.pictures_are_there();
    let mut pictures = field(&results, "path");
    pictures.dedup();
    assert_eq!(pictures.len(), 4, "{results:?}");
    // Within one scope a key still names one picture.
    let ran = site.batch("march.csv", &["--scope", "april"]).exits(2);
    for said in ["of the journal already, with another image", "within the order \"april\""] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    assert!(!ran.stderr.contains("--scope NAME"), "it is given: {ran:?}");
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn an_order_that_is_given_a_scope_later_pays_for_nothing_twice() {
    let site = Site::new();
    let csv = "template,image,key\nglass_ball,https://example.com/1.jpg,1\nglass_ball,2.png,2\n";
    site.photo("2.png", 2).write("rows.csv", csv);
    site.batch("rows.csv", &[]).exits(0);
    let before = field(&site.results(), "task_id");
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &["--scope", "march", "--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (2, 2));
    assert_eq!(field(&site.results(), "task_id"), before);
    // The same key for another picture is a row of the scope alone.
    site.write("rows.csv", csv.replace("1.jpg", "3.jpg"));
    site.batch("rows.csv", &["--scope", "march"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
    site.batch("rows.csv", &["--scope", "march"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
    // Where another journal has paid for them before they had a scope, too.
    site.write("rows.csv", csv);
    site.batch("rows.csv", &["--scope", "april", "--journal", "other.db"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn an_order_without_its_scope_or_with_another_spelling_stops_before_anything_is_paid_again() {
    let site = Site::new();
    let csv = "template,image,key\nglass_ball,https://example.com/1.jpg,1\nglass_ball,2.png,2\n";
    site.photo("2.png", 2).write("rows.csv", csv);
    site.batch("rows.csv", &["--scope", " Two  kings "]).exits(0);
    assert_eq!(field(&site.results(), "scope"), ["Two  kings", "Two  kings"]);
    let seen = site.emulator.requests().len();
    let stops = |more: &[&str], said: &str| {
        for plan in [&[][..], &["--plan"]] {
            let ran = site.batch("rows.csv", &[more, plan].concat()).exits(2);
            for said in [said, "2 rows with keys are paid for in the order", "--pay-again"] {
                assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
            }
        }
        assert_eq!((site.emulator.requests().len(), site.accepted_once()), (seen, 2));
    };
    let meant = r#"give --scope "Two  kings""#;
    for spelled in ["two kings", "TWO  KINGS", "Two kings"] {
        stops(&["--scope", spelled], &format!("--scope {spelled:?} is another order"));
        stops(&["--scope", spelled, "--journal", "other.db"], meant);
    }
    stops(&[], meant);
    stops(&[], "without --scope this is another order");
    // A photo that was renamed is the same.
    std::fs::rename(site.path("2.png"), site.path("b.png")).unwrap();
    site.write("rows.csv", csv.replace("2.png", "b.png"));
    stops(&[], meant);
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &["--scope", "Two  kings", "--json"]).exits(0));
    assert_eq!(field(&rows, "how"), ["kept", "kept"]);
    // Another name is another order on purpose, and so are other pictures without one.
    site.write("rows.csv", csv.replace("2.png", "b.png"));
    site.batch("rows.csv", &["--scope", "three", "--plan"]).exits(0);
    site.write("rows.csv", "template,image,key\nmy_world,https://example.com/1.jpg,1\n");
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 3);
    // What is insisted on is paid for, and known from then on.
    site.write("rows.csv", csv.replace("2.png", "b.png"));
    site.batch("rows.csv", &["--scope", "two kings", "--pay-again"]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 5);
    site.batch("rows.csv", &["--scope", "two kings"]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 5);
    assert!(site.batch("rows.csv", &["--scope", "  "]).exits(2).stderr.contains("give a name"));
}

#[test]
fn orders_of_one_scope_share_its_budget() {
    let site = Site::new();
    let budget = ["--scope", "march", "--budget", "0.09", "--price", "0.03"];
    site.rows("one.csv", 2).batch("one.csv", &budget).exits(0);
    site.write(
        "two.csv",
        "template,image\nmy_world,https://example.com/a.jpg\nmy_world,https://example.com/b.jpg\n",
    );
    let ran = site.batch("two.csv", &[&budget[..], &["--json"]].concat()).exits(6);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 1), "{ran:?}");
    site.batch("two.csv", &["--scope", "april", "--budget", "0.03", "--price", "0.03"]).exits(6);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_url_is_one_row_however_its_host_port_and_fragment_are_written() {
    let site = Site::new();
    let csv = |urls: [&str; 2]| {
        let row = |url: &str| format!("glass_ball,{url}\n");
        format!("template,image\n{}", urls.map(row).concat())
    };
    site.write("rows.csv", csv(["https://example.com/a.jpg", "http://example.com/b.jpg?v=1"]));
    site.batch("rows.csv", &[]).exits(0);
    let before = field(&site.results(), "task_id");
    let other = ["HTTPS://EXAMPLE.com:443/a.jpg#top", "http://Example.com:80/b.jpg?v=1"];
    site.write("rows.csv", csv(other));
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!(field(&rows, "how"), ["kept", "kept"]);
    assert_eq!((field(&site.results(), "task_id"), site.accepted_once()), (before, 2));
    // A path may be told apart by case, and another port is another server.
    site.write("rows.csv", csv(["https://example.com/A.jpg", "https://example.com:80/a.jpg"]));
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn a_row_with_a_key_has_its_lost_picture_again_after_its_photo_is_gone() {
    let site = Site::new();
    site.photo("cat.png", 1).photo("dog.png", 2);
    let csv = "template,image,key\nglass_ball,cat.png,cat\nglass_ball,dog.png,dog\n";
    site.write("rows.csv", csv).batch("rows.csv", &[]).exits(0);
    let before = site.results();
    std::fs::remove_file(site.path("cat.png")).unwrap();
    for more in [&[][..], &["--strict"], &["--budget", "0.06", "--price", "0.03"]] {
        std::fs::remove_file(before[0]["path"].as_str().unwrap()).unwrap();
        let plan = objects(&site.batch("rows.csv", &["--plan", "--json"]).exits(0).stdout);
        assert_eq!((&plan[0]["download"], &plan[0]["kept"]), (&json!(1), &json!(1)), "{plan:?}");
        let (rows, _) =
            rows_and_batch(&site.batch("rows.csv", &[more, &["--json"]].concat()).exits(0));
        assert_eq!(count(&rows, "completed"), 2);
        assert_eq!(field(&site.results(), "task_id"), field(&before, "task_id"));
        site.pictures_are_there();
    }
    // Also where the folder alone knows of it, and not where it asks for another look.
    std::fs::remove_file(before[0]["path"].as_str().unwrap()).unwrap();
    site.batch("rows.csv", &["--journal", "new.db"]).exits(0);
    site.pictures_are_there();
    site.write("rows.csv", csv.replace("glass_ball,cat", "my_world,cat"));
    let ran = site.batch("rows.csv", &[]).exits(2);
    assert!(ran.stderr.contains("with another template"), "{ran:?}");
    // A row that nothing was paid for needs its photo.
    site.write("rows.csv", "template,image,key\nglass_ball,cat.png,new\n");
    for more in [&[][..], &["--plan"], &["--strict"]] {
        let ran = site.batch("rows.csv", more).exits(2);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains("cannot be read"), "{ran:?}");
    }
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn tasks_of_photos_that_were_changed_since_are_told_of() {
    let site = Site::new();
    site.photo("cat.png", 1).write("rows.csv", "template,image\nglass_ball,cat.png\n");
    let refused = FaultRule::on(Endpoint::Task, Fault::status(401)).first(1);
    site.emulator.follow(FaultPlan::none().with(refused)).unwrap();
    site.batch("rows.csv", &[]).exits(3);
    let hint = "1 task of an earlier run for this folder";
    assert!(!site.batch("rows.csv", &["--plan"]).exits(0).stdout.contains(hint));
    site.photo("cat.png", 2);
    for (more, paid) in [(&["--plan"][..], 1), (&[], 2)] {
        let ran = site.batch("rows.csv", more).exits(0);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(hint) && said.contains("effects resume --journal"), "{ran:?}");
        assert_eq!(site.accepted_once(), paid);
    }
    site.run(&["resume", "--poll", "0.05"]).exits(0);
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(!ran.stderr.contains(hint), "{ran:?}");
}

fn hashed(kind: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&kind.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// By what earlier versions knew the row of a URL: by its letters.
fn former_identity(site: &Site, url: &str, before: u32) -> [u8; 32] {
    let origin = site.emulator.base_url();
    let texts = [origin, "glass_ball", "1328x1328", url].map(str::as_bytes);
    let likeness = hashed("effects url row 1", &texts);
    hashed("effects row 1", &[&likeness, &before.to_le_bytes()])
}

#[test]
fn a_row_that_an_earlier_version_knew_by_the_letters_of_its_url_is_known_again() {
    let site = Site::new();
    // The second is the first to an earlier version's eye another row.
    let urls =
        ["https://EXAMPLE.com/a.jpg", "https://example.com/a.jpg", "https://EXAMPLE.com/a.jpg"];
    let rows = |order: [usize; 3]| {
        let row = |place: usize| format!("glass_ball,{}\n", urls[place]);
        format!("template,image\n{}", order.map(row).concat())
    };
    site.write("rows.csv", rows([0, 1, 2]));
    site.batch("rows.csv", &[]).exits(0);
    let identity = site.results()[0]["identity"].as_str().unwrap().to_owned();
    let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(identity, hex(former_identity(&site, urls[1], 0)));
    // As an earlier version would have written them.
    let formers = [(0, urls[0], 0), (1, urls[1], 0), (2, urls[0], 1)];
    let tasks = field(&site.results(), "task_id");
    for (place, url, before) in formers {
        let (task, new) = (tasks[place].as_str().unwrap(), former_identity(&site, url, before));
        // Out of the way of the others first.
        let parked = Sha256::digest(new).to_vec();
        let sql =
            "UPDATE rows SET identity = ?1 WHERE task = (SELECT number FROM tasks WHERE id = ?2)";
        site.journal().execute(sql, (parked, task)).unwrap();
    }
    for (place, url, before) in formers {
        let (task, new) = (tasks[place].as_str().unwrap(), former_identity(&site, url, before));
        let sql =
            "UPDATE rows SET identity = ?1 WHERE task = (SELECT number FROM tasks WHERE id = ?2)";
        assert_eq!(site.journal().execute(sql, (new.to_vec(), task)).unwrap(), 1);
    }
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        site.write("rows.csv", rows(order));
        let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
        assert_eq!(
            (count(&rows, "completed"), site.emulator.counts().accepted),
            (3, 3),
            "{order:?}"
        );
        let mut seen = field(&rows, "task_id");
        seen.sort_by_key(ToString::to_string);
        seen.dedup();
        assert_eq!(seen.len(), 3, "{order:?}");
    }
}

#[test]
fn duplicates_are_told_before_they_are_paid_for_and_left_out_on_request() {
    let site = Site::new();
    site.photo("a.png", 1).photo("b.png", 1).photo("c.png", 2);
    let csv = "template,image,key\nglass_ball,a.png,\nglass_ball,a.png,\nglass_ball,b.png,\nmy_world,a.png,\n\
               glass_ball,https://example.com/a.jpg,\nglass_ball,https://EXAMPLE.com/a.jpg,\n\
               glass_ball,c.png,k\nglass_ball,c.png,l\n";
    site.write("rows.csv", csv);
    let line = ["--skip-duplicates", "--name", "{stem}-{template}-{row}.png", "--json"];
    let ran = site.batch("rows.csv", &[&line[..], &["--plan"]].concat()).exits(0);
    let plan = objects(&ran.stdout).pop().unwrap();
    assert_eq!((&plan["duplicates"], &plan["submit"]), (&json!([3, 4, 7]), &json!(5)));
    assert_eq!(plan["skipped"], 3);
    for _ in 0..2 {
        let ran = site.batch("rows.csv", &line).exits(0);
        let (rows, batch) = rows_and_batch(&ran);
        assert_eq!((count(&rows, "completed"), count(&rows, "skipped")), (5, 3), "{ran:?}");
        assert_eq!((&batch["skipped"], &batch["completed"]), (&json!(3), &json!(5)));
        let mut skipped: Vec<_> = rows.iter().filter(|row| row["status"] == "skipped").collect();
        skipped.sort_by_key(|row| row["line"].as_u64());
        let of = skipped.iter().map(|row| row["duplicate_of"].clone()).collect::<Vec<_>>();
        assert_eq!(of, [2, 2, 6]);
        // What is told without reading a photo is told before anything is sent.
        assert!(
            ran.stderr.contains(
                "2 rows ask for what an earlier one asks for, and are left out: lines 3, 7"
            ),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("3 skipped as duplicates"), "{ran:?}");
        assert_eq!(site.emulator.counts().accepted, 5);
    }
    // Without the option each is a picture, and the way to leave them out is named.
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), site.emulator.counts().accepted), (8, 8));
    assert!(
        ran.stderr.contains("are paid for as well (--skip-duplicates leaves them out): lines 3, 7"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("line 4: it asks for what line 2 asks for"), "{ran:?}");
}
