//! `--plan` and `--pilot`: before the money is spent.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Once, OnceLock};

use effects_emulator::FaultPlan;
use serde_json::{Value, json};

use super::site::{Site, objects, rows_and_batch};
use crate::world::CommandOutput;

fn plan(ran: &CommandOutput) -> Value {
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
    let ran = CommandOutput::of(command.env_remove("EFFECTS_API_KEY")).exits(2);
    let plan_object = plan(&ran);
    assert_eq!(
        (
            plan_object["rows"].as_u64(),
            plan_object["invalid"].as_u64(),
            plan_object["submit"].as_u64()
        ),
        (Some(5), Some(2), Some(3)),
        "{ran:?}"
    );
    assert_eq!(plan_object["duplicates"], serde_json::json!([3]));
    assert_eq!((&plan_object["price"], &plan_object["cost"]), (&Value::Null, &Value::Null));
    assert!(site.emulator.requests().is_empty() && !site.path("out").exists());
    assert_eq!(fs::read_dir(site.state.path()).unwrap().count(), 0);

    let priced = ["--plan", "--price", "0.05", "--budget", "0.10", "--json"];
    let plan_object = plan(&site.batch("rows.csv", &priced).exits(2));
    assert_eq!(
        (plan_object["cost"].as_str(), plan_object["over_budget"].as_u64()),
        (Some("0.15"), Some(1))
    );
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
    let plan_object =
        plan(&site.rows("rows.csv", 6).batch("rows.csv", &["--plan", "--json"]).exits(0));
    for (field, number) in [("kept", 3), ("download", 1), ("submit", 2), ("wait", 0), ("failed", 0)]
    {
        assert_eq!(plan_object[field], number, "{field}: {plan_object}");
    }
    assert_eq!(
        (plan_object["price"].as_str(), plan_object["cost"].as_str()),
        (Some("0.03"), Some("0.06"))
    );
    let ran = site.batch("rows.csv", &["--plan"]).exits(0);
    for said in [
        "\n  3 have their picture\n",
        "\n  1 is paid for, and would be downloaded\n",
        "time: not known, since durations are not learnt at a gateway on this machine",
    ] {
        assert!(ran.stdout.contains(said), "{said:?} is missing: {ran:?}");
    }
    assert_eq!(site.emulator.requests().len(), seen);
}

#[test]
fn a_pilot_does_the_first_rows_and_shows_them_on_a_sheet() {
    let site = Site::new();
    site.rows("rows.csv", 30);
    let (rows, batch) =
        rows_and_batch(&site.batch("rows.csv", &["--pilot", "4", "--json"]).exits(0));
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

#[test]
fn a_row_that_a_plan_calls_bad_is_in_no_other_count() {
    let site = Site::new();
    // The picture of line 2 would replace the photo of line 3, which shows only as that is read.
    site.photo("out/cat.png", 1).photo("a.png", 2);
    site.write(
        "rows.csv",
        "template,image,out\nglass_ball,a.png,cat.png\nglass_ball,out/cat.png,b.png\n",
    );
    let plan_object = plan(&site.batch("rows.csv", &["--plan", "--json"]).exits(2));
    let number = |field: &str| plan_object[field].as_u64().unwrap();
    let counts = ["submit", "renew", "wait", "download", "kept", "failed", "doubtful", "invalid"];
    assert_eq!((number("submit"), number("invalid")), (1, 1), "{plan_object}");
    assert_eq!(
        counts.iter().map(|field| number(field)).sum::<u64>(),
        number("rows"),
        "{plan_object}"
    );
    // And so does the run.
    let (_, batch) = super::site::rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(2));
    assert_eq!((batch["invalid"].as_u64(), site.accepted_once()), (Some(1), 1), "{batch}");
}

#[test]
fn a_bad_row_whose_picture_would_replace_a_photo_is_bad_once() {
    let site = Site::new();
    site.photo("out/cat.png", 1).photo("a.png", 2);
    // Line 2 has no photo, and its picture would replace that of line 3.
    let bad = "template,image,out\nglass_ball,missing.png,cat.png\n";
    site.write("rows.csv", format!("{bad}glass_ball,out/cat.png,b.png\nglass_ball,a.png,c.png\n"));
    let plan_object = plan(&site.batch("rows.csv", &["--plan", "--json"]).exits(2));
    for (field, number) in [("rows", 3), ("submit", 2), ("invalid", 1)] {
        assert_eq!(plan_object[field], number, "{field}: {plan_object}");
    }
    let ran = site.batch("rows.csv", &["--strict"]).exits(2);
    assert!(ran.stderr.contains("1 of 3 rows is bad, so nothing was sent"), "{ran:?}");
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(2));
    assert_eq!((rows.len(), batch["rows"].as_u64()), (3, Some(3)), "{rows:?}");
    assert_eq!((batch["completed"].as_u64(), batch["invalid"].as_u64()), (Some(2), Some(1)));
    assert_eq!(site.accepted_once(), 2);
    // Line 3 is bad too, so that no row is good.
    site.write("bad.csv", format!("{bad}glass_ball,out/cat.png,cat.png\n"));
    let (_, batch) = rows_and_batch(&site.batch("bad.csv", &["--json"]).exits(2));
    assert_eq!((batch["rows"].as_u64(), batch["invalid"].as_u64()), (Some(2), Some(2)), "{batch}");
}

#[test]
fn a_photo_that_comes_or_goes_after_the_first_look_costs_no_other_row_its_turn() {
    const BEFORE: usize = 160;
    let (photo, gone) = (Arc::new(OnceLock::<(PathBuf, PathBuf)>::new()), Once::new());
    let paths = Arc::clone(&photo);
    // Far more rows come before than are read ahead, so that these two are read again only after the
    // first task has ended.
    let site = Site::billing(FaultPlan::none(), move |_| {
        gone.call_once(|| {
            let (missing, there) = paths.get().unwrap();
            fs::rename(there, missing).unwrap();
        });
        json!({"cost": "0.03"})
    });
    site.photo("there.png", 1);
    photo.set((site.path("missing.png"), site.path("there.png"))).unwrap();
    let urls = (0..BEFORE).map(|row| format!("glass_ball,https://example.com/{row}.jpg\n"));
    let last =
        "glass_ball,missing.png\nglass_ball,there.png\nglass_ball,https://example.com/z.jpg\n";
    site.write("rows.csv", format!("template,image\n{}{last}", urls.collect::<String>()));
    let ran = site.batch("rows.csv", &["--json", "--in-flight", "16"]).exits(2);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((rows.len(), batch["rows"].as_u64()), (BEFORE + 3, Some(BEFORE as u64 + 3)));
    assert_eq!(site.accepted_once(), BEFORE as u64 + 1, "{batch}");
    for image in ["missing.png", "there.png"] {
        let mut of_it = rows.iter().filter(|row| row["image"] == image);
        let row = of_it.next().unwrap();
        assert_eq!((&row["status"], of_it.next()), (&json!("invalid"), None), "{row}");
    }
    assert!(
        rows.iter()
            .any(|row| row["image"] == "https://example.com/z.jpg" && row["status"] == "completed")
    );
}

#[test]
fn a_photo_that_comes_after_the_first_look_counts_not_among_equal_ones() {
    const BEFORE: usize = 160;
    for more in [&[][..], &["--skip-duplicates"], &["--budget", "9", "--price", "0.03"]] {
        let (photo, come) = (Arc::new(OnceLock::<(PathBuf, PathBuf)>::new()), Once::new());
        let paths = Arc::clone(&photo);
        // Far more rows come before than are read ahead, as in the test before.
        let site = Site::billing(FaultPlan::none(), move |_| {
            if let Some((away, missing)) = paths.get() {
                come.call_once(|| fs::rename(away, missing).unwrap());
            }
            json!({"cost": "0.03"})
        });
        site.photo("away.png", 1).photo("there.png", 1);
        site.write("first.csv", "template,image\nglass_ball,there.png\n");
        site.batch("first.csv", &[]).exits(0);
        photo.set((site.path("away.png"), site.path("missing.png"))).unwrap();
        let urls = (0..BEFORE).map(|row| format!("glass_ball,https://example.com/{row}.jpg\n"));
        let last = "glass_ball,missing.png\nglass_ball,there.png\n";
        site.write("rows.csv", format!("template,image\n{}{last}", urls.collect::<String>()));
        let line = [&["--json", "--in-flight", "16"][..], more].concat();
        let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &line).exits(2));
        assert!(site.path("missing.png").exists());
        let of = |image: &str| rows.iter().find(|row| row["image"] == image).unwrap();
        assert_eq!(of("missing.png")["status"], "invalid");
        // It is the row that was paid for before, and no copy of one that is not sent.
        let there = of("there.png");
        assert_eq!((&there["status"], &there["duplicate_of"]), (&"completed".into(), &Value::Null));
        assert_eq!((&batch["kept"], site.accepted_once()), (&1.into(), BEFORE as u64 + 1));
    }
}

#[test]
fn a_manifest_without_rows_is_told_of_and_refused_under_strict() {
    let site = Site::new();
    site.write("rows.csv", "template,image\n").write("rows.jsonl", "\n");
    for manifest in ["rows.csv", "rows.jsonl"] {
        for more in [&["--plan"][..], &[], &["--json"]] {
            let ran = site.batch(manifest, more).exits(0);
            assert!(ran.stderr.contains(&format!("manifest {manifest} has no rows")), "{ran:?}");
        }
        let ran = site.batch(manifest, &["--strict"]).exits(2);
        assert!(ran.stderr.contains("has no rows"), "{ran:?}");
    }
    assert!(site.emulator.requests().is_empty());
}

#[test]
fn a_name_without_an_ending_or_in_a_home_folder_is_refused() {
    let site = Site::new();
    site.write("rows.csv", "template,image,key\nglass_ball,https://example.com/a.jpg,k\n");
    for (name, said) in [
        ("{stem}", "which has no ending: add .png"),
        ("{template}/{row}", "which has no ending: add .png"),
        ("~/pictures/{stem}.png", "only a shell takes for the home folder"),
        ("{key}", "\"k\", which has no ending: add .png"),
    ] {
        let ran = site.batch("rows.csv", &["--name", name]).exits(2);
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
    assert_eq!(site.emulator.counts().accepted, 0);
    site.write("keyed.csv", "template,image,key\nglass_ball,https://example.com/a.jpg,k.png\n");
    site.batch("keyed.csv", &["--name", "{key}"]).exits(0);
    assert!(site.path("out/k.png").exists());
}

#[test]
fn codes_that_this_command_foresaw_are_not_counted_as_the_services() {
    let site = Site::new();
    site.write("rows.csv", "template,image\nglas_ball,https://example.com/a.jpg\nglass_ball,\n");
    let ran = site.batch("rows.csv", &["--json"]).exits(2);
    let (rows, batch) = super::site::rows_and_batch(&ran);
    assert!(rows.iter().all(|row| row["error"]["code"].is_string()), "{ran:?}");
    assert_eq!(
        (&batch["codes"], &batch["errors"]["invalid_request"]),
        (&serde_json::json!({}), &2.into())
    );
    assert!(!ran.stderr.contains("by code"), "{ran:?}");
}
