//! Where pictures go: no file of anybody else's is taken for a row's or replaced, and nothing is
//! paid for that could not be saved.

use std::fs::{self, File};
use std::io::Cursor;
use std::time::{Duration, SystemTime};

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

/// A manifest of rows whose pictures have these names, their photos called after `order`.
fn order(site: &Site, order: &str, names: &[&str]) -> String {
    let row = |name: &&str| format!("glass_ball,https://example.com/{order}/{name},{name}\n");
    let rows: String = names.iter().map(row).collect();
    site.write(&format!("{order}.csv"), format!("template,image,out\n{rows}"));
    format!("{order}.csv")
}

fn downloads(site: &Site) -> usize {
    site.emulator.requests().iter().filter(|seen| seen.endpoint == Endpoint::File).count()
}

/// The row of a batch that has one, which has its picture.
fn only(ran: &CommandOutput) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let objects = objects(&ran.stdout);
    assert_eq!((objects.len(), &objects[0]["status"]), (2, &Value::from("completed")), "{ran:?}");
    objects[0].clone()
}

fn only_path(ran: &CommandOutput) -> String {
    only(ran)["path"].as_str().unwrap().to_owned()
}

/// The first column of a row of the journal's database.
fn first<T: rusqlite::types::FromSql>(row: &rusqlite::Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

/// How many pictures are in a folder, which has the batch's own manifest too.
fn pictures_in(site: &Site, folder: &str) -> usize {
    fs::read_dir(site.path(folder)).unwrap().count() - 1
}

/// A photo that can be painted.
fn image_of(side: u32) -> Vec<u8> {
    let shade = |x: u32, y: u32| image::Rgb([(x * 3) as u8, (y * 3) as u8, 90]);
    let mut bytes = Cursor::new(Vec::new());
    let photo = image::RgbImage::from_fn(side, side, shade);
    photo.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn a_row_whose_picture_would_replace_another_orders_is_refused_before_it_is_paid() {
    let site = Site::new();
    let first = order(&site, "first", &["cat.png", "dog.png"]);
    let second = order(&site, "second", &["cat.png", "bird.png"]);
    site.batch(&first, &[]).exits(0);
    fs::write(site.path("out/cat.png"), "the picture of the first order").unwrap();
    let ran = site.batch(&second, &["--json"]);
    assert_eq!(site.accepted_once(), 3, "{ran:?}");
    let (rows, _) = rows_and_batch(&ran.exits(2));
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 1));
    let refused = rows.iter().find(|row| row["status"] == "refused").unwrap();
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("cat.png") && why.contains("--overwrite"), "{why}");
    let kept = fs::read_to_string(site.path("out/cat.png")).unwrap();
    assert_eq!(kept, "the picture of the first order");

    site.batch(&second, &["--overwrite"]).exits(0);
    assert_eq!(site.accepted_once(), 4);
    assert!(fs::read(site.path("out/cat.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn an_empty_file_is_no_picture() {
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let path = site.results()[0]["path"].as_str().unwrap().to_owned();
    fs::write(&path, "").unwrap();
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    let hows: Vec<&Value> = rows.iter().map(|row| &row["how"]).collect();
    assert!(hows.contains(&&Value::from("resumed")), "{rows:?}");
    assert!(fs::metadata(&path).unwrap().len() > 0);
    assert_eq!(site.accepted_once(), 2);
    // Nor is one that a folder was moved with.
    fs::write(&path, "").unwrap();
    fs::rename(site.path("out"), site.path("moved")).unwrap();
    let line = ["batch", "rows.csv", "--out", "moved", "--json", "--poll", "0.05"];
    let (rows, _) = rows_and_batch(&site.run(&line).exits(0));
    for row in rows {
        assert!(fs::metadata(row["path"].as_str().unwrap()).unwrap().len() > 0, "{row}");
    }
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn a_picture_that_is_paid_for_is_saved_beside_a_file_in_its_way() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(broken));
    let rows = order(&site, "order", &["cat.png"]);
    site.batch(&rows, &[]).exits(7);
    site.write("out/cat.png", "somebody's");
    let (row_objects, _) = rows_and_batch(&site.batch(&rows, &["--json"]).exits(0));
    assert_eq!(fs::read_to_string(site.path("out/cat.png")).unwrap(), "somebody's");
    let path = row_objects[0]["path"].as_str().unwrap();
    assert!(path.starts_with(site.path("out").to_str().unwrap()), "{path}");
    assert!(fs::read(path).unwrap().starts_with(b"\x89PNG"), "{path}");

    let before = downloads(&site);
    let (again, _) = rows_and_batch(&site.batch(&rows, &["--json"]).exits(0));
    assert_eq!((again[0]["how"].as_str(), again[0]["path"].as_str()), (Some("kept"), Some(path)));
    assert_eq!((downloads(&site), site.accepted_once()), (before, 1));
}

/// What a crash between the file's place and the journal's word for it leaves.
#[test]
fn a_file_in_the_way_that_is_the_very_picture_is_taken_for_it() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).nth(2);
    let site = Site::with(FaultPlan::none().with(broken));
    let rows = order(&site, "order", &["cat.png", "dog.png"]);
    site.batch(&rows, &["--in-flight", "1"]).exits(7);
    let names = ["out/cat.png", "out/dog.png"].map(|name| site.path(name));
    let [there, missing] =
        if names[0].exists() { names } else { [names[1].clone(), names[0].clone()] };
    fs::copy(there, &missing).unwrap();
    let (row_objects, _) = rows_and_batch(&site.batch(&rows, &["--json"]).exits(0));
    assert!(
        row_objects.iter().any(|row| row["path"].as_str() == missing.to_str()),
        "{row_objects:?}"
    );
    assert_eq!((fs::read_dir(site.path("out")).unwrap().count(), site.accepted_once()), (3, 2));
}

#[test]
fn two_photos_of_one_name_have_a_picture_each_in_one_folder() {
    let site = Site::new();
    for (folder, last) in [("one", 1), ("two", 2)] {
        site.photo(&format!("{folder}/cat.png"), last);
        site.write(&format!("{folder}/rows.csv"), "template,image\nglass_ball,cat.png\n");
    }
    site.batch("one/rows.csv", &[]).exits(0);
    site.batch("two/rows.csv", &[]).exits(0);
    assert_eq!((site.accepted_once(), fs::read_dir(site.path("out")).unwrap().count()), (2, 3));
}

#[test]
fn names_stay_theirs_between_runs() {
    let site = Site::new();
    for (folder, last) in [("one", 1), ("two", 2)] {
        site.photo(&format!("{folder}/cat.png"), last);
        site.write(&format!("{folder}/rows.csv"), "template,image\nglass_ball,cat.png\n");
    }
    let usual = only_path(&site.batch("one/rows.csv", &["--json"]));
    let other = only_path(&site.batch("two/rows.csv", &["--json"]));
    // The first has the usual name; the second has that name and eight digits more.
    let stem = usual.strip_suffix(".png").unwrap();
    let digits = other.strip_prefix(&format!("{stem}-")).unwrap().strip_suffix(".png").unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|it| it.is_ascii_hexdigit()), "{other}");
    let before = downloads(&site);
    for order in ["two/rows.csv", "one/rows.csv"] {
        assert_eq!(only(&site.batch(order, &["--json"]))["how"], "kept");
    }
    assert_eq!(downloads(&site), before);

    // Also where the name is free by now, or the photo of its row has another path.
    fs::remove_file(&usual).unwrap();
    fs::remove_file(&other).unwrap();
    fs::rename(site.path("two"), site.path("moved")).unwrap();
    site.write("moved/rows.csv", "template,image\nglass_ball,deep/tom.png\n");
    site.photo("moved/deep/tom.png", 2);
    assert_eq!(only_path(&site.batch("moved/rows.csv", &["--json"])), other);
    assert_eq!(only_path(&site.batch("one/rows.csv", &["--json"])), usual);
    assert_eq!((site.accepted_once(), pictures_in(&site, "out")), (2, 2));

    // And in another place.
    fs::rename(site.path("out"), site.path("elsewhere")).unwrap();
    let before = downloads(&site);
    for (order, path) in [("moved/rows.csv", other), ("one/rows.csv", usual)] {
        let line = ["batch", order, "--out", "elsewhere", "--json", "--poll", "0.05"];
        let row = only(&site.run(&line));
        let there = path.replace("/out/", "/elsewhere/");
        assert_eq!((row["how"].as_str(), row["path"].as_str()), (Some("kept"), Some(&*there)));
    }
    assert_eq!((downloads(&site), site.accepted_once()), (before, 2));
}

#[test]
fn rows_whose_names_differ_in_their_letters_case_alone_have_a_picture_each() {
    let site = Site::new();
    site.write(
        "rows.csv",
        "template,image,key\nglass_ball,https://example.com/a.jpg,Cat\n\
         glass_ball,https://example.com/b.jpg,cat\n",
    );
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    let mut names: Vec<String> =
        rows.iter().map(|row| row["path"].as_str().unwrap().to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), site.accepted_once()), (2, 2), "{rows:?}");
    assert!(site.path("out/Cat.png").exists());
    assert_eq!(site.batch("rows.csv", &["--plan", "--json"]).exits(0).object()["kept"], 2);
}

#[test]
fn a_file_that_the_journal_does_not_know_is_in_the_way_of_a_made_name_too() {
    let site = Site::new();
    site.write("rows.csv", "template,image,key\nglass_ball,https://example.com/a.jpg,cat\n");
    site.write("out/cat.png", "the user's own");
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(2));
    let why = rows[0]["error"]["message"].as_str().unwrap();
    assert!(why.contains("cat.png") && why.contains("--overwrite"), "{why}");
    assert_eq!(fs::read_to_string(site.path("out/cat.png")).unwrap(), "the user's own");
    assert_eq!(site.accepted_once(), 0);
}

#[test]
fn a_picture_that_was_changed_since_it_was_saved_is_kept_with_a_warning() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let path = site.results()[0]["path"].as_str().unwrap().to_owned();
    let saved = fs::read(&path).unwrap();
    let before = downloads(&site);
    // Longer or shorter, and of the same length.
    let same_length = vec![b'x'; saved.len()];
    for retouched in [&b"retouched"[..], &same_length] {
        fs::write(&path, retouched).unwrap();
        for _ in 0..2 {
            let ran = site.batch("rows.csv", &["--json"]).exits(0);
            let row = &rows_and_batch(&ran).0[0];
            assert_eq!(row["how"], "kept");
            assert!(ran.stderr.contains("changed since it was saved"), "{ran:?}");
            let warning = row["warning"].as_str().unwrap();
            assert!(warning.contains(&path) && warning.contains("--overwrite"), "{warning}");
            assert_eq!(fs::read(&path).unwrap(), retouched);
        }
        assert_eq!(site.batch("rows.csv", &["--plan", "--json"]).exits(0).object()["kept"], 1);
    }
    assert_eq!((downloads(&site), site.accepted_once()), (before, 1));

    let ran = site.batch("rows.csv", &["--json", "--overwrite"]).exits(0);
    assert_eq!(rows_and_batch(&ran).0[0]["path"].as_str(), Some(&*path));
    assert_eq!((fs::read(&path).unwrap(), site.accepted_once()), (saved, 1));
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    assert!(only(&ran)["warning"].is_null() && !ran.stderr.contains("changed"), "{ran:?}");
}

#[test]
fn a_copy_of_a_picture_is_the_picture() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let path = site.results()[0]["path"].as_str().unwrap().to_owned();
    let (saved, before) = (fs::read(&path).unwrap(), downloads(&site));
    let later = SystemTime::now() + Duration::from_secs(60);
    fs::remove_file(&path).unwrap();
    fs::write(&path, saved).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    assert_eq!(only(&ran)["how"], "kept");
    assert!(!ran.stderr.contains("changed"), "{ran:?}");
    assert_eq!(downloads(&site), before);
    let modified: i64 =
        site.journal().query_row("SELECT modified FROM pictures", [], first).unwrap();
    let later = later.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(
        i128::from(modified),
        i128::try_from(later).unwrap(),
        "the time it has now is noted"
    );
}

#[test]
fn what_an_earlier_version_saved_is_adopted() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let before = downloads(&site);
    let forget = "UPDATE pictures SET size = NULL, modified = NULL, digest = NULL";
    assert_eq!(site.journal().execute(forget, []).unwrap(), 1);
    assert_eq!(only(&site.batch("rows.csv", &["--json"]))["how"], "kept");
    assert_eq!((downloads(&site), site.accepted_once()), (before, 1));
    let path = site.results()[0]["path"].as_str().unwrap().to_owned();
    let size: u64 = site.journal().query_row("SELECT size FROM pictures", [], first).unwrap();
    assert_eq!(size, fs::metadata(&path).unwrap().len());
    // From now on it is known when it is changed.
    fs::write(&path, "retouched").unwrap();
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    assert!(ran.stderr.contains("changed since it was saved"), "{ran:?}");
}

/// What a crash leaves between the move of a file to its place and the journal's record of it.
#[test]
fn a_picture_that_the_journal_was_not_told_of_is_taken_up_where_it_is() {
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let forget = "UPDATE pictures SET path = NULL, size = NULL, modified = NULL, digest = NULL";
    assert_eq!(site.journal().execute(forget, []).unwrap(), 2);
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), pictures_in(&site, "out")), (2, 2));
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert!(rows.iter().all(|row| row["how"] == "kept"), "{rows:?}");
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn everything_odd_about_a_picture_is_in_its_rows_object() {
    let plan = "[[fault]]\non = \"create\"\nkind = \"wrong-size\"\n";
    let site = Site::with(plan.parse().unwrap());
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let path = site.results()[0]["path"].as_str().unwrap().to_owned();
    let forget = "UPDATE pictures SET path = NULL, size = NULL, modified = NULL, digest = NULL";
    assert_eq!(site.journal().execute(forget, []).unwrap(), 1);
    fs::write(&path, "another").unwrap();
    let row = only(&site.batch("rows.csv", &["--json"]));
    let warning = row["warning"].as_str().unwrap();
    let (length, place) = warning.rsplit_once("; ").unwrap_or_else(|| panic!("{warning}"));
    assert!(length.contains("bytes where the service said"), "{warning}");
    assert!(place.starts_with("saved as ") && place.contains(&path), "{warning}");
}

#[test]
fn another_orders_picture_is_not_taken_for_that_of_a_row() {
    let site = Site::painting();
    site.write("cat.png", image_of(64));
    for (order, template) in [("first", "glass_ball"), ("second", "felt_keychain")] {
        let row = format!("template,image,width,height,out\n{template},cat.png,512,512,cat.png\n");
        site.write(&format!("{order}.csv"), row);
    }
    let place = only_path(&site.batch("first.csv", &["--json"]));
    let first = fs::read(&place).unwrap();
    assert_eq!(only_path(&site.batch("second.csv", &["--json", "--overwrite"])), place);
    let second = fs::read(&place).unwrap();
    assert_ne!(first, second, "the pictures of the two orders differ");

    let plan = site.batch("first.csv", &["--plan", "--json"]).exits(0).object();
    assert_eq!((&plan["kept"], &plan["download"]), (&Value::from(0), &Value::from(1)));
    let row = only(&site.batch("first.csv", &["--json"]));
    let beside = row["path"].as_str().unwrap().to_owned();
    assert_eq!((row["how"].as_str(), beside == place), (Some("resumed"), false));
    assert_eq!((fs::read(&beside).unwrap(), fs::read(&place).unwrap()), (first, second));
    for (order, path) in [("first.csv", &beside), ("second.csv", &place)] {
        let row = only(&site.batch(order, &["--json"]));
        assert_eq!((row["how"].as_str(), row["path"].as_str()), (Some("kept"), Some(&**path)));
        assert!(row["warning"].is_null(), "{row}");
    }
    assert_eq!(site.accepted_once(), 2);
}

/// The paths of a folder that was moved do not tell whose its files are.
#[test]
fn a_file_that_is_not_the_rows_own_is_not_taken_up_from_a_folder_that_was_moved() {
    let site = Site::new();
    let rows = order(&site, "order", &["cat.png"]);
    site.batch(&rows, &[]).exits(0);
    fs::remove_file(site.path("out/cat.png")).unwrap();
    site.write("moved/cat.png", "the user's own");
    let line = ["batch", &rows, "--out", "moved", "--json", "--poll", "0.05"];
    let path = only_path(&site.run(&line));
    assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG"), "{path}");
    assert_eq!(fs::read_to_string(site.path("moved/cat.png")).unwrap(), "the user's own");
    assert_eq!(only_path(&site.run(&line)), path);
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn each_file_beside_stays_and_a_paid_picture_is_saved_all_the_same() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(broken));
    let rows = order(&site, "order", &["cat.png"]);
    let task = rows_and_batch(&site.batch(&rows, &["--json"]).exits(7)).0[0]["task_id"].clone();
    let beside = format!("out/cat-{}.png", task.as_str().unwrap());
    for name in ["out/cat.png", &beside] {
        site.write(name, "the user's own");
    }
    let path = only_path(&site.batch(&rows, &["--json"]));
    assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG"), "{path}");
    for name in ["out/cat.png", &beside] {
        assert_eq!(fs::read_to_string(site.path(name)).unwrap(), "the user's own", "{name}");
    }
    assert_eq!(only(&site.batch(&rows, &["--json"]))["how"], "kept");
    assert_eq!(site.accepted_once(), 1);
}

/// A pipe may never have a reader, and keeps nothing.
#[cfg(unix)]
#[test]
fn a_pipe_keeps_no_picture_and_holds_nothing_up() {
    let site = Site::new();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(site.path(name)).status();
        assert!(made.unwrap().success());
    };
    let orders = order(&site, "first", &["cat.png", "dog.png"]);
    fs::create_dir(site.path("out")).unwrap();
    pipe("out/cat.png");
    for more in [&[][..], &["--overwrite"]] {
        let line = [&["--json"][..], more].concat();
        let (rows, _) = rows_and_batch(&site.batch(&orders, &line).exits(2));
        let refused = rows.iter().find(|row| row["status"] == "refused").unwrap();
        let why = refused["error"]["message"].as_str().unwrap();
        assert!(why.contains("cat.png is no regular file") && why.contains("nothing was sent"));
        assert!(refused["how"].is_null(), "{refused}");
        assert_eq!((count(&rows, "completed"), site.accepted_once()), (1, 1), "{rows:?}");
    }
    // A paid row's picture goes beside it.
    fs::remove_file(site.path("out/dog.png")).unwrap();
    pipe("out/dog.png");
    let (rows, _) = rows_and_batch(&site.batch(&orders, &["--json"]).exits(2));
    let path = rows.iter().find_map(|row| row["path"].as_str()).unwrap();
    assert!(path.ends_with(".png") && fs::metadata(path).unwrap().is_file(), "{path}");

    // What the batch itself reads and writes is no pipe either.
    pipe("rows.csv");
    for (manifest, own) in [("rows.csv", None), (&*orders, Some("manifest.jsonl"))] {
        if let Some(own) = own {
            fs::remove_file(site.path("out").join(own)).unwrap();
            pipe(&format!("out/{own}"));
        }
        for more in [&["--plan"][..], &["--pilot", "1"]] {
            let ran = site.batch(manifest, more).exits(2);
            assert!(ran.stderr.contains("is no regular file"), "{ran:?}");
        }
    }
    fs::remove_file(site.path("out/manifest.jsonl")).unwrap();
    // A pipe on stdin is one, by any name.
    for manifest in ["-", "/dev/stdin"] {
        let mut command = site.command(&["batch", manifest, "--out", "out"]);
        let ran = CommandOutput::of(command.stdin(std::process::Stdio::piped()));
        assert!(ran.stderr.contains("goes on by the same line again"), "{ran:?}");
        ran.exits(2);
    }

    pipe("photo.jpg");
    site.write("photos.csv", "template,image\nglass_ball,photo.jpg\n");
    let (rows, _) = rows_and_batch(&site.batch("photos.csv", &["--json"]).exits(2));
    assert_eq!((count(&rows, "invalid"), site.accepted_once()), (1, 1));
    let why = rows[0]["error"]["message"].as_str().unwrap();
    assert!(why.contains("photo.jpg is no regular file"), "{why}");
}

#[test]
fn a_name_that_the_file_system_refuses_is_found_before_anything_is_paid() {
    let site = Site::new();
    // Each part is short enough, and all of them together are not.
    let deep = vec!["d".repeat(200); 25].join("/");
    let rows = format!(
        "template,image,out\nglass_ball,https://example.com/a.jpg,{deep}/cat.png\n\
         glass_ball,https://example.com/b.jpg,dog.png\n"
    );
    site.write("rows.csv", rows);
    let ran = site.batch("rows.csv", &["--json"]);
    assert_eq!(site.accepted_once(), 1, "{ran:?}");
    let (rows, _) = rows_and_batch(&ran.exits(2));
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 1));
}

#[cfg(target_os = "linux")]
mod nothing_can_be_saved {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;
    use crate::world::{RunningCommand, TIMEOUT};

    /// So many rows whose pictures go to a folder below that of `--out`.
    fn rows_below(site: &Site, folder: &str, count: usize) {
        let row = |row| format!("glass_ball,https://example.com/{row}.jpg,{folder}/{row}.png\n");
        let rows: String = (0..count).map(row).collect();
        site.write("rows.csv", format!("template,image,out\n{rows}"));
    }

    /// A folder that not even root can make a file in.
    const FORBIDDEN: &str = "/sys";

    #[test]
    fn where_it_is_forbidden_nothing_is_paid() {
        let site = Site::new();
        fs::create_dir(site.path("out")).unwrap();
        symlink(FORBIDDEN, site.path("out/sub")).unwrap();
        rows_below(&site, "sub", 200);
        let ran = site.batch("rows.csv", &["--json"]);
        assert_eq!(site.accepted_once(), 0, "{ran:?}");
        let (_, batch) = rows_and_batch(&ran.exits(2));
        assert_eq!(batch["completed"], 0);
    }

    #[test]
    fn where_it_becomes_forbidden_no_more_is_submitted() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 1.0 });
        let site = Site::with(FaultPlan::none().with(slow));
        fs::create_dir_all(site.path("out/sub")).unwrap();
        rows_below(&site, "sub", 200);
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
        let run = RunningCommand::new(site.command(&line));
        let begun = std::time::Instant::now();
        while site.emulator.counts().accepted == 0 {
            assert!(begun.elapsed() < TIMEOUT);
            std::thread::yield_now();
        }
        fs::rename(site.path("out/sub"), site.path("out/was")).unwrap();
        symlink(FORBIDDEN, site.path("out/sub")).unwrap();
        let ran = run.end().exits(7);
        // Those that were in flight, and those that took their place before the first was to be
        // saved.
        let accepted = site.accepted_once();
        assert!(accepted <= 32, "{accepted}");
        let (_, batch) = rows_and_batch(&ran);
        assert!(batch["error"].as_str().unwrap().contains("cannot be saved"), "{batch}");
        // Nothing is lost: once there is a place, they are fetched.
        fs::remove_file(site.path("out/sub")).unwrap();
        let fast = site.emulator.follow(FaultPlan::none());
        fast.unwrap();
        let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
        assert_eq!((count(&rows, "completed"), site.accepted_once()), (200, 200));
    }

    #[test]
    fn where_the_disk_is_full_no_more_is_submitted() {
        // A file system of its own, which is gone with the command.
        let unshare = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
            command
        };
        let mount = "mount -t tmpfs -o size=64k none out";
        let site = Site::new();
        fs::create_dir(site.path("out")).unwrap();
        let tried = unshare(mount).current_dir(site.folder.path()).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            eprintln!("no file system can be mounted here, so nothing was tested");
            return;
        }
        site.rows("rows.csv", 400);
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
        let command = site.command(&line);
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut shell = unshare(&format!("{mount} && exec {}", words.join(" ")));
        shell.current_dir(site.folder.path()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = CommandOutput::of(&mut shell).exits(7);
        let accepted = site.accepted_once();
        let (rows, batch) = rows_and_batch(&ran);
        let completed = count(&rows, "completed") as u64;
        assert!(completed > 0 && accepted < 400, "{accepted}: {}", ran.stderr);
        assert!(accepted <= completed + 64, "{accepted} paid, {completed} saved");
        assert_eq!(count(&rows, "not_downloaded") as u64, accepted - completed, "each is told of");
        assert!(batch["error"].as_str().unwrap().contains("cannot be saved"), "{batch}");
    }
}
