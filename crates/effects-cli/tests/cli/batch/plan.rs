//! `--plan` and `--pilot`: before the money is spent.

use std::fs;

use serde_json::Value;

use super::site::{Site, objects, told};
use crate::world::Ran;

fn plan(ran: &Ran) -> Value {
    let plan = objects(&ran.stdout).pop().unwrap();
    assert_eq!(plan["schema"], "effects.plan.v1", "{ran:?}");
    plan
}

#[test]
fn a_plan_needs_no_network_and_no_key_and_leaves_nothing_behind() {
    let site = Site::new();
    site.photo("a.png", 1);
    let csv = "template,image\nglass_ball,a.png\nglass_ball,a.png\nglas_ball,a.png\n\
               my_world,https://example.com/a.jpg\nmy_world,https://example.com/a.jpg?sig=1\n";
    site.write("rows.csv", csv);
    let mut command = site.command(&["batch", "rows.csv", "--out", "out", "--plan", "--json"]);
    let ran = Ran::of(command.env_remove("EFFECTS_API_KEY")).exits(2);
    let told = plan(&ran);
    assert_eq!(
        (told["rows"].as_u64(), told["invalid"].as_u64(), told["submit"].as_u64()),
        (Some(5), Some(2), Some(3)),
        "{ran:?}"
    );
    assert_eq!(told["duplicates"], serde_json::json!([3]));
    assert_eq!((&told["price"], &told["cost"]), (&Value::Null, &Value::Null));
    assert!(site.emulator.requests().is_empty() && !site.path("out").exists());
    assert_eq!(fs::read_dir(site.state.path()).unwrap().count(), 0);

    let priced = ["--plan", "--price", "0.05", "--budget", "0.10", "--json"];
    let told = plan(&site.batch("rows.csv", &priced).exits(2));
    assert_eq!((told["cost"].as_str(), told["over_budget"].as_u64()), (Some("0.15"), Some(1)));
    let ran = site.batch("rows.csv", &["--plan"]).exits(2);
    assert!(
        ran.stdout.contains("line 4: ") && ran.stdout.contains("3 would be submitted"),
        "{ran:?}"
    );
}

#[test]
fn a_plan_knows_what_the_journal_knows() {
    let site = Site::new();
    site.rows("rows.csv", 4).batch("rows.csv", &[]).exits(0);
    fs::remove_file(site.results()[1]["path"].as_str().unwrap()).unwrap();
    let seen = site.emulator.requests().len();
    let told = plan(&site.rows("rows.csv", 6).batch("rows.csv", &["--plan", "--json"]).exits(0));
    for (field, number) in [("kept", 3), ("download", 1), ("submit", 2), ("wait", 0), ("failed", 0)]
    {
        assert_eq!(told[field], number, "{field}: {told}");
    }
    assert_eq!((told["price"].as_str(), told["cost"].as_str()), (Some("0.03"), Some("0.06")));
    assert_eq!(site.emulator.requests().len(), seen);
}

#[test]
fn a_pilot_does_the_first_rows_and_shows_them_on_a_sheet() {
    let site = Site::new();
    site.rows("rows.csv", 30);
    let (rows, batch) = told(&site.batch("rows.csv", &["--pilot", "4", "--json"]).exits(0));
    assert_eq!((rows.len(), batch["rows"].as_u64()), (4, Some(4)));
    let sheet = batch["contact_sheet"].as_str().unwrap();
    let sheet = image::load_from_memory(&fs::read(sheet).unwrap()).unwrap();
    assert_eq!(sheet.width(), 4 * 340 + 20);
    assert_eq!(site.accepted_once(), 4);
    // The same four, for nothing.
    site.batch("rows.csv", &["--pilot", "4"]).exits(0);
    assert_eq!(site.accepted_once(), 4);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 30);
}
