//! Folders of photos, and what the pictures of rows are called.

use std::fs;

use serde_json::Value;

use super::site::{Site, count, rows_and_batch};
use crate::world::{CommandOutput, PHOTO};

/// The paths of the pictures, from the folder they go to, in their order.
fn pictures(site: &Site) -> Vec<String> {
    let out = fs::canonicalize(site.folder.path()).unwrap();
    let below = |row: &Value| {
        let path = fs::canonicalize(row["path"].as_str()?).unwrap();
        Some(path.strip_prefix(&out).unwrap().to_str().unwrap().to_owned())
    };
    site.results().iter().filter_map(below).collect()
}

#[test]
fn folders_in_a_folder_are_taken_on_request_and_their_pictures_lie_as_they_do() {
    let site = Site::new();
    for (name, last) in
        [("a.png", 1), ("b/a.JFIF", 2), ("b/c/ö.jpe", 3), (".thumbs/a.png", 4), ("out/x.png", 5)]
    {
        site.photo(&format!("photos/{name}"), last);
    }
    let line = ["--template", "glass_ball", "--name", "{stem}.png"];
    let ran = site.batch("photos", &line).exits(0);
    assert!(ran.stderr.contains("2 folders are left out: --recursive takes"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
    let line = [&line[..], &["--recursive", "--out", "photos/out", "--poll", "0.05"]].concat();
    for _ in 0..2 {
        let ran = site.run(&[&["batch", "photos"][..], &line].concat()).exits(0);
        assert!(!ran.stderr.contains("left out"), "{ran:?}");
        assert_eq!(site.accepted_once(), 3);
    }
    for name in ["a.png", "b/a.png", "b/c/ö.png"] {
        assert!(site.path(&format!("photos/out/{name}")).is_file(), "{name}");
    }
    // A table has no folders in it.
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--recursive"]).exits(2);
    assert!(ran.stderr.contains("it is no folder"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_back_ends_nothing() {
    let site = Site::new();
    site.photo("photos/b/a.png", 1);
    std::os::unix::fs::symlink("..", site.path("photos/b/up")).unwrap();
    site.batch("photos", &["--template", "glass_ball", "--recursive"]).exits(0);
    assert_eq!(site.accepted_once(), 1);
}

/// `effects batch` over `manifest`, whose key's program, which runs once the rows were looked through, does
/// what `script` says first.
#[cfg(unix)]
fn batch_after(site: &Site, script: &str, manifest: &str) -> CommandOutput {
    site.write("key.sh", format!("{script}\necho {}\n", site.emulator.api_key()));
    let line = ["batch", manifest, "--out", "out", "--poll", "0.05", "--template", "glass_ball"];
    let mut command = site.command(&[&line[..], &["--api-key-command", "sh key.sh"]].concat());
    CommandOutput::of(command.env_remove("EFFECTS_API_KEY"))
}

#[cfg(unix)]
#[test]
fn a_photo_that_comes_or_goes_while_a_batch_begins_stands_for_no_other() {
    let site = Site::new();
    site.photo("photos/b.png", 1).write("photos/c.png", "no photo");
    site.photo("photos/d.png", 2).photo("photos/e.png", 3).photo("new.png", 4);
    let ran = batch_after(&site, "mv new.png photos/a.png; rm photos/d.png", "photos");
    let ran = ran.exits(2);
    let results = site.results();
    let ended: Vec<_> = results.iter().map(|row| (&row["image"], &row["status"])).collect();
    let wanted = [
        ("./b.png", "completed"),
        ("./c.png", "invalid"),
        ("./d.png", "invalid"),
        ("./e.png", "completed"),
    ];
    let wanted = wanted.map(|(image, status)| (Value::from(image), Value::from(status)));
    assert_eq!(ended, wanted.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>(), "{ran:?}");
    assert_eq!(site.accepted_once(), 2);
    // The next run takes it.
    site.batch("photos", &["--template", "glass_ball"]).exits(2);
    assert_eq!(site.accepted_once(), 3);
}

#[cfg(unix)]
#[test]
fn a_table_that_is_written_anew_while_a_batch_runs_is_of_the_next_one() {
    let site = Site::new();
    site.rows("new.csv", 3).rows("rows.csv", 1);
    // Another row on top: each row that was there has another place.
    let table = fs::read_to_string(site.path("rows.csv")).unwrap();
    let old = table.replace("/0.jpg", "/1.jpg") + "glass_ball,https://example.com/2.jpg\n";
    site.write("rows.csv", old);
    batch_after(&site, "cat new.csv > rows.csv", "rows.csv").exits(0);
    let mut images: Vec<_> = site.results().iter().map(|row| row["image"].to_string()).collect();
    images.sort();
    assert_eq!(images, ["\"https://example.com/1.jpg\"", "\"https://example.com/2.jpg\""]);
    assert_eq!(site.accepted_once(), 2);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn what_is_left_out_is_told_by_kind_with_the_way_out() {
    let site = Site::new();
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    site.photo("photos/a.png", 1).photo("photos/b", 2);
    site.write("photos/1.HEIC", heic).write("photos/2.heic", heic);
    site.write("photos/scan.pdf", "%PDF-1.7").write("photos/notes.txt", "notes");
    let ran = site.batch("photos", &["--template", "glass_ball"]).exits(0);
    for said in [
        "2 HEIC files are left out (1.HEIC, for one): convert it, for example with `heif-convert",
        "1 PNG file is left out (b): give it a name that ends in .png",
        "1 file is left out (scan.pdf): it is a PDF document",
        "1 file is left out (notes.txt): it is no picture",
    ] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    // Where nothing else is there, too.
    fs::remove_file(site.path("photos/a.png")).unwrap();
    let ran = site.batch("photos", &["--template", "glass_ball"]).exits(2);
    assert!(ran.stderr.contains("has no photos") && ran.stderr.contains("2 HEIC files"), "{ran:?}");
}

#[test]
fn a_photo_whose_pixels_are_not_all_there_is_found_before_it_is_paid_for() {
    let site = Site::new();
    // The end of the file is there, so that it looks whole; its middle never arrived.
    let mut half = PHOTO.to_vec();
    let (from, to) = (half.len() / 3, half.len() - 64);
    half[from..to].fill(0);
    site.write("photos/half.png", &half).photo("photos/whole.png", 1);
    let line = ["--template", "glass_ball", "--json"];
    let ran = site.batch("photos", &[&line[..], &["--plan"]].concat()).exits(2);
    assert!(ran.stdout.contains("the file is damaged or cut short"), "{ran:?}");
    let plan: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&plan["submit"], &plan["invalid"]), (&1.into(), &1.into()));
    let ran = site.batch("photos", &[&line[..], &["--strict"]].concat()).exits(2);
    assert!(ran.stderr.contains("half.png: the photo cannot be decoded"), "{ran:?}");
    assert_eq!(site.emulator.requests().len(), 0);

    let ran = site.batch("photos", &line).exits(2);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 1), "{ran:?}");
    let refused = rows.iter().find(|row| row["status"] == "refused").unwrap();
    let why = refused["error"]["message"].as_str().unwrap();
    for said in ["half.png", "damaged or cut short", "--no-photo-check", "nothing was sent"] {
        assert!(why.contains(said), "{said:?} is missing: {why}");
    }
    assert_eq!(site.accepted_once(), 1);
    site.batch("photos", &[&line[..], &["--no-photo-check"]].concat());
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn pictures_are_called_as_the_template_of_names_says() {
    let site = Site::new();
    site.photo("Zoë 1.png", 1).photo("猫.png", 2);
    let csv = "template,image,key,out\nglass_ball,Zoë 1.png,k/1,\nmy_world,猫.png,,own.png\n";
    site.write("rows.csv", csv);
    site.batch("rows.csv", &["--name", "{template}/{row}-{stem}.png"]).exits(0);
    // A row's own `out` wins.
    assert_eq!(pictures(&site), ["out/glass_ball/1-Zoë 1.png", "out/own.png"]);
    // A key that is not there is told, and paid rows are only fetched again.
    site.write("rows.csv", format!("{csv}my_world,https://example.com/1.jpg,,\n"));
    let ran = site.batch("rows.csv", &["--name", "{key}.png"]).exits(2);
    assert!(ran.stderr.contains("line 4: the row has no key, which --name"), "{ran:?}");
    assert_eq!(
        (pictures(&site), site.accepted_once()),
        (vec!["out/k_1.png".to_owned(), "out/own.png".to_owned()], 2)
    );
    let ran = site.batch("rows.csv", &["--name", "{what}.png"]).exits(2);
    assert!(ran.stderr.contains("{stem}, {key}, {template} and {row}"), "{ran:?}");
}

#[test]
fn names_that_some_file_system_takes_for_one_are_found_before_they_are_paid_for() {
    let site = Site::new();
    let stems = ["Zo\u{eb}", "zoe\u{308}", "ZO\u{cb}", "cat"];
    let mut csv = "template,image\n".to_owned();
    for stem in stems {
        csv.push_str(&format!("glass_ball,https://example.com/{stem}.jpg\n"));
    }
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--name", "{stem}.png", "--strict"]).exits(2);
    assert_eq!(ran.stderr.matches("is that of line 2 too: tell them apart").count(), 2, "{ran:?}");
    assert_eq!(site.emulator.requests().len(), 0);
    // Without a template of names each has its own, with its letters.
    site.batch("rows.csv", &["--strict"]).exits(0);
    let pictures = pictures(&site);
    assert!(pictures[1].starts_with("out/zo\u{eb}-glass_ball-"), "{pictures:?}");
    assert_eq!(pictures.len(), 4);
}
