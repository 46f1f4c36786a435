//! What a manifest may look like, and what is said of one that may not.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::site::{Site, count, told};

#[test]
fn a_csv_of_every_kind_of_row_becomes_pictures_and_a_manifest_with_cost() {
    let site = Site::new();
    site.photo("set/photos/cat.png", 1);
    let csv = "\u{feff}template,image,width,height,key,tag,out\r\n\
               glass_ball,https://example.com/a.jpg,,,,,\r\n\
               \"my_world\",\"photos/cat.png\",512,1024,cat,spring,\r\n\
               \r\n\
               felt_keychain,https://example.com/b.jpg,,,,,\"sub/b, quoted.png\"\r\n";
    site.write("set/rows.csv", csv);
    let ran = site.batch("set/rows.csv", &["--json", "--tag", "all"]).exits(0);
    let (rows, batch) = told(&ran);
    assert_eq!((rows.len(), batch["completed"].as_u64()), (3, Some(3)));
    assert_eq!((batch["spent"].as_str(), batch["exit_code"].as_u64()), (Some("0.09"), Some(0)));

    let results = site.results();
    let field = |name: &str| results.iter().map(|row| row[name].clone()).collect::<Vec<Value>>();
    assert_eq!(field("line"), [2, 3, 5]);
    assert_eq!(field("tag"), ["all", "spring", "all"]);
    assert_eq!(field("cost"), ["0.03", "0.03", "0.03"]);
    assert_eq!(field("how"), ["submitted", "submitted", "submitted"]);
    assert_eq!(results[1]["key"], "cat");
    site.pictures_are_there();
    assert!(site.path("out/cat.png").is_file() && site.path("out/sub/b, quoted.png").is_file());
    let first = results[0]["path"].as_str().unwrap();
    let name = first.rsplit('/').next().unwrap();
    assert!(name.starts_with("a-glass_ball-") && name.ends_with(".png"), "{first}");
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn json_lines_and_a_folder_do_as_well() {
    let site = Site::new();
    let lines = "{\"image\":\"https://example.com/a.jpg\",\"width\":600}\n\n\
                 {\"image\":\"https://example.com/b.jpg\",\"template\":\"my_world\",\"heigth\":9}\n";
    site.write("rows.jsonl", lines);
    let ran = site.batch("rows.jsonl", &["--template", "glass_ball"]).exits(0);
    assert!(ran.stderr.contains("did you mean \"height\"?"), "{ran:?}");
    let results = site.results();
    assert_eq!(results[0]["template"], "glass_ball");
    assert_eq!(
        (results[1]["template"].as_str(), results[1]["line"].as_u64()),
        (Some("my_world"), Some(3))
    );

    site.photo("photos/b.png", 1).photo("photos/a.png", 2).write("photos/notes.txt", "no photo");
    let ran = site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert!(ran.stderr.contains("1 files of the folder are left out"), "{ran:?}");
    let images: Vec<Value> = site.results().iter().map(|row| row["image"].clone()).collect();
    // The rows of the order before stay, after its own.
    assert_eq!((&images[..2], images.len()), (&["./a.png".into(), "./b.png".into()][..], 4));
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn bad_rows_are_told_with_everything_wrong_and_the_rest_goes_on() {
    let site = Site::new();
    let csv = "template,image,width,widht,out\n\
               glass_ball,https://example.com/a.jpg,,,\n\
               glas_ball,missing.jpg,4096,,../up.png\n\
               my_world,https://example.com/b.jpg\n\
               my_world,https://example.com/b.jpg,,,A.png\n\
               my_world,https://example.com/c.jpg,,,a.png\n\
               my_world,-,ten,,\n";
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--json"]).exits(2);
    let (rows, batch) = told(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "invalid")), (2, 4));
    assert_eq!(batch["invalid"], 4);
    let bad: Vec<&Value> = rows.iter().filter(|row| row["status"] == "invalid").collect();
    assert_eq!(
        bad.iter().map(|row| row["line"].as_u64().unwrap()).collect::<Vec<_>>(),
        [3, 4, 6, 7]
    );
    let problems = bad[0]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(problems[1]["suggestions"][0], "glass_ball");
    for said in [
        "column \"widht\" is not known and left out; did you mean \"width\"?",
        "line 3: ",
        "did you mean \"glass_ball\"?",
        "line 4: it has 2 columns, and the header has 5",
        "is that of line 5 too",
        "width \"ten\" is not a whole number",
        "\"-\" would be stdin",
        "leaves the folder",
    ] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {}", ran.stderr);
    }
    assert_eq!(site.accepted_once(), 2);
    assert!(!site.path("up.png").exists());
}

#[test]
fn under_strict_one_bad_row_keeps_everything_from_being_sent() {
    let site = Site::new();
    let csv =
        "template,image\nglass_ball,https://example.com/a.jpg\nnothing,https://example.com/b.jpg\n";
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--strict", "--json"]).exits(2);
    assert!(ran.stderr.contains("1 of 2 rows are bad, so nothing was sent"), "{ran:?}");
    assert_eq!(ran.object()["line"], 3);
    assert!(site.emulator.requests().is_empty());
    assert!(!site.path("out").exists());
    site.write("rows.csv", &csv[..csv.find("nothing").unwrap()]);
    site.batch("rows.csv", &["--strict"]).exits(0);
}

#[test]
fn what_no_row_can_be_read_of_is_refused_as_a_whole() {
    let site = Site::new();
    site.photo("photos/a.png", 1).write("empty/x.txt", "").write("rows.csv", "template,image\n");
    for (manifest, text) in [
        ("none.csv", None),
        ("a.csv", Some("template;image\n")),
        ("b.csv", Some("Template,image\nglass_ball,x\n")),
        ("c.csv", Some("template,image,image\n")),
        ("d.json", Some("[{\"image\":\"x\"}]")),
    ] {
        if let Some(text) = text {
            site.write(manifest, text);
        }
        let ran = site.batch(manifest, &["--json"]).exits(2);
        assert_eq!(ran.object()["schema"], "effects.error.v1", "{ran:?}");
    }
    for arguments in [
        &["batch", "photos", "--out", "out"][..],
        &["batch", "photos", "--template", "glas_ball", "--out", "out"],
        &["batch", "photos", "--template", "glass_ball", "--out", "photos"],
        &["batch", "empty", "--template", "glass_ball", "--out", "out"],
        &["batch", "-", "--out", "out"],
        &["batch", "rows.csv"],
        &["batch", "rows.csv", "--out", "rows.csv"],
        &["batch", "rows.csv", "--out", "out", "--budget", "-1"],
        &["batch", "rows.csv", "--out", "out", "--in-flight", "0"],
        &["batch", "rows.csv", "--out", "out", "--plan", "--pilot", "2"],
    ] {
        site.run(arguments).exits(2);
    }
    // A manifest without rows is nothing to do, and that is done.
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(ran.stderr.contains("0 of 0 rows"), "{ran:?}");
    assert!(site.emulator.requests().is_empty());
    fs::rename(site.path("rows.csv"), site.path("out/manifest.jsonl")).unwrap();
    site.run(&["batch", "out/manifest.jsonl", "--out", "out"]).exits(2);
}

#[test]
fn a_photo_is_never_replaced_by_a_picture() {
    let site = Site::new();
    site.photo("here/cat.png", 1).photo("here/dog.png", 2);
    site.write(
        "here/rows.csv",
        "template,image,out\nmy_world,cat.png,dog.png\nmy_world,dog.png,new.png\n",
    );
    let before = fs::read(site.path("here/dog.png")).unwrap();
    let ran = site.run(&["batch", "here/rows.csv", "--out", "here"]).exits(2);
    assert!(
        ran.stderr.contains("line 2: its picture would replace the photo of line 3"),
        "{ran:?}"
    );
    assert_eq!(site.accepted_once(), 1);
    assert_eq!(fs::read(site.path("here/dog.png")).unwrap(), before);
    assert!(site.path("here/new.png").is_file());
}

#[test]
fn a_reader_that_goes_away_misses_nothing() {
    let site = Site::new();
    site.rows("rows.csv", 40);
    let mut command =
        site.command(&["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((count(&site.results(), "completed"), site.accepted_once()), (40, 40));
}

#[cfg(unix)]
#[test]
fn no_link_leads_a_picture_to_a_photo() {
    let site = Site::new();
    site.photo("here/cat.png", 1).photo("here/dog.png", 2).photo("here/owl.png", 3);
    fs::create_dir(site.path("out")).unwrap();
    fs::hard_link(site.path("here/dog.png"), site.path("out/hard.png")).unwrap();
    std::os::unix::fs::symlink("../here/owl.png", site.path("out/soft.png")).unwrap();
    site.write(
        "here/rows.csv",
        "template,image,out\nmy_world,cat.png,hard.png\nmy_world,cat.png,soft.png\n\
         my_world,dog.png,new.png\nfelt_keychain,owl.png,newer.png\n",
    );
    let photo = |name: &str| fs::read(site.path(&format!("here/{name}"))).unwrap();
    let before = (photo("dog.png"), photo("owl.png"));
    let ran = site.batch("here/rows.csv", &[]).exits(2);
    for line in [2, 3] {
        let photo = line + 2;
        let told = format!("line {line}: its picture would replace the photo of line {photo}");
        assert!(ran.stderr.contains(&told), "{ran:?}");
    }
    assert_eq!(site.accepted_once(), 2);
    assert!((photo("dog.png"), photo("owl.png")) == before);
    assert!(site.path("out/new.png").is_file() && site.path("out/newer.png").is_file());
}

#[cfg(unix)]
#[test]
fn two_rows_whose_names_lead_to_one_file_are_told_apart() {
    let site = Site::new();
    site.write("out/a.png", "before");
    std::os::unix::fs::symlink("a.png", site.path("out/b.png")).unwrap();
    site.write(
        "rows.csv",
        "template,image,out\nmy_world,https://example.com/a.jpg,a.png\n\
         my_world,https://example.com/b.jpg,b.png\n",
    );
    let ran = site.batch("rows.csv", &["--overwrite"]).exits(2);
    assert!(ran.stderr.contains("\"b.png\" is that of line 2 too"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn the_batch_s_own_files_replace_no_photo_and_no_manifest() {
    let site = Site::new();
    site.photo("out/contact-sheet.png", 1).photo("cat.png", 2);
    site.write("rows.csv", "template,image\nmy_world,cat.png\nmy_world,out/contact-sheet.png\n");
    let before = fs::read(site.path("out/contact-sheet.png")).unwrap();
    let ran = site.batch("rows.csv", &["--pilot", "2"]).exits(2);
    assert!(ran.stderr.contains("the photo of line 3 is"), "{ran:?}");
    assert!(fs::read(site.path("out/contact-sheet.png")).unwrap() == before);
    assert_eq!(site.accepted_once(), 0);

    // The rows themselves, under the name of what the batch writes.
    fs::hard_link(site.path("rows.csv"), site.path("out/manifest.jsonl")).unwrap();
    let rows = fs::read(site.path("rows.csv")).unwrap();
    let ran = site.batch("rows.csv", &[]).exits(2);
    assert!(ran.stderr.contains("give another folder"), "{ran:?}");
    assert!(fs::read(site.path("rows.csv")).unwrap() == rows);
}

#[test]
fn a_picture_of_another_length_than_the_service_said_completes_its_row_with_a_warning() {
    let plan = "[[fault]]\non = \"create\"\nkind = \"wrong-size\"\n";
    let site = Site::with(plan.parse().unwrap());
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    let (rows, _) = told(&ran);
    assert!(ran.stderr.contains("line 2: "), "{ran:?}");
    let warning = rows[0]["warning"].as_str().unwrap();
    assert!(warning.contains("bytes where the service said"), "{warning}");
    assert!(ran.stderr.contains(warning), "{ran:?}");
    site.pictures_are_there();
}
