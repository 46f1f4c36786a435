//! `effects watch`: photos that come to a folder are ordered, each once.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule, Moment};
use effects_testkit::http::{Response, ScriptedServer};
use serde_json::Value;

use super::proxy::Finished;
use super::site::{Site, count};
use crate::world::{PHOTO, RunningCommand, TIMEOUT, World};

/// `effects watch photos` as it runs: what it prints goes to files, which are read meanwhile.
struct Watching<'a> {
    site: &'a Site,
    child: Child,
}

/// How one ended.
#[derive(Debug)]
struct Watched {
    code: Option<i32>,
    rows: Vec<Value>,
    batch: Value,
    stderr: String,
}

impl<'a> Watching<'a> {
    fn start(site: &'a Site, more: &[&str]) -> Self {
        Self::saving_to("out", site, more)
    }

    fn saving_to(out: &str, site: &'a Site, more: &[&str]) -> Self {
        let more = [&["--price", "0.03", "--out", out][..], more].concat();
        Self::with_options(site, &more)
    }

    fn without_price(site: &'a Site, more: &[&str]) -> Self {
        Self::with_options(site, &[&["--out", "out"][..], more].concat())
    }

    fn with_options(site: &'a Site, more: &[&str]) -> Self {
        let line = ["watch", "photos", "--template", "glass_ball"];
        let settle: &[_] = if more.contains(&"--settle") { &[] } else { &["--settle", "0.2"] };
        let mut command = site.command(&[&line[..], &["--poll", "0.05"], settle, more].concat());
        command.env("EFFECTS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        fs::create_dir_all(site.path("photos")).unwrap();
        let output = |name: &str| Stdio::from(File::create(site.path(name)).unwrap());
        let child = command.stdout(output("stdout")).stderr(output("stderr")).spawn().unwrap();
        Self { site, child }
    }

    fn objects(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.site.path("stdout")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until so many rows have been told with this status.
    fn has(&self, rows: usize, status: &str) -> Vec<Value> {
        self.until(status, || {
            let objects = self.objects();
            (count(&objects, status) >= rows).then_some(objects)
        })
    }

    /// Waits until it has said this on stderr.
    fn wait_for_text(&self, text: &str) {
        self.until(text, || self.stderr().contains(text).then_some(()));
    }

    fn until<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = done() {
                return found;
            }
            let (objects, said) = (self.objects(), self.stderr());
            assert!(begun.elapsed() < TIMEOUT, "never {what}: {objects:?} {said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.site.path("stderr")).unwrap()
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// Ends it with this signal.
    fn ended_by(self, signal: &str) -> Watched {
        self.signal(signal);
        self.end()
    }

    /// Waits until it ends.
    fn end(mut self) -> Watched {
        let code = self.child.wait().unwrap().code();
        let mut rows = self.objects();
        let batch = rows.pop_if(|last| last["schema"] == "effects.batch.v1").unwrap_or_default();
        Watched { code, rows, batch, stderr: self.stderr() }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and one of a test that failed is.
        let _ = self.child.kill();
    }
}

impl Watched {
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

const BUDGET: [&str; 2] = ["--budget", "5"];

#[test]
fn photos_that_are_there_and_photos_that_come_are_each_ordered_once() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    // As most programs put a file in its place.
    site.photo("photos/.b.png.part", 2);
    fs::rename(site.path("photos/.b.png.part"), site.path("photos/b.png")).unwrap();
    watch.has(2, "completed");
    let ended = watch.ended_by("INT").exits(0);
    let again = "nothing is paid twice: effects watch photos --template glass_ball";
    assert!(ended.stderr.contains(again), "{ended:?}");
    assert_eq!((&ended.batch["completed"], &ended.batch["cost"]), (&2.into(), &"0.06".into()));
    site.pictures_are_there();
    assert_eq!((site.results().len(), site.accepted_once()), (2, 2));
    // The same line finds what it has done, and `batch` too.
    let watch = Watching::start(&site, &BUDGET);
    let rows = watch.has(2, "completed");
    assert!(rows.iter().all(|row| row["how"] == "kept"), "{rows:?}");
    let ended = watch.ended_by("TERM").exits(0);
    assert_eq!(ended.batch["spent"], "0");
    site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert_eq!((site.results().len(), site.accepted_once()), (2, 2));
}

#[test]
fn a_photo_that_was_copied_by_half_is_paid_for_once_it_is_whole() {
    let site = Site::new();
    site.write("photos/a.png", &PHOTO[..PHOTO.len() / 2]).write("photos/empty.png", "");
    let watch = Watching::start(&site, &BUDGET);
    let rows = watch.has(1, "refused");
    let why = rows[0]["error"]["message"].as_str().unwrap();
    assert!(why.contains("damaged or cut short") && why.contains("nothing was sent"), "{why}");
    assert_eq!(site.emulator.counts().accepted, 0);
    site.photo("photos/a.png", 1);
    watch.has(1, "completed");
    // What is true in the end counts.
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((ended.rows.len(), site.accepted_once()), (2, 1), "{ended:?}");
    let batch = &ended.batch;
    assert_eq!(
        (&batch["rows"], &batch["completed"], &batch["refused"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert!(batch["errors"].as_object().unwrap().is_empty(), "{batch}");
    assert!(ended.stderr.contains("1 of 1 row has its picture; 0.03 USD"), "{ended:?}");
    assert_eq!(site.results().len(), 1);
}

#[test]
fn a_photo_that_was_refused_keeps_its_name_and_is_told_of_as_it_is_in_the_end() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    site.write("photos/a.png", &PHOTO[..PHOTO.len() / 2]).write("photos/b.png", &PHOTO[..30]);
    let watch = Watching::start(&site, &["--budget", "5", "--name", "{stem}.png"]);
    watch.has(2, "refused");
    // The same half, copied once more.
    site.write("photos/b.png", &PHOTO[..30]);
    watch.has(3, "refused");
    site.photo("photos/a.png", 1);
    watch.until("submitted", || (site.emulator.counts().accepted == 1).then_some(()));
    let ended = watch.ended_by("INT").exits(130);
    let batch = &ended.batch;
    assert_eq!(
        (&batch["rows"], &batch["running"], &batch["refused"]),
        (&2.into(), &1.into(), &1.into())
    );
    let rows = site.results();
    let status =
        |image: &str| rows.iter().find(|row| row["image"] == image).unwrap()["status"].clone();
    assert_eq!(
        (rows.len(), status("./a.png"), status("./b.png")),
        (2, "running".into(), "refused".into())
    );
}

#[test]
fn a_copy_of_a_picture_that_it_made_is_no_photo_and_batch_orders_it_all_the_same() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    let picture = |row: &Value| row["paths"][0].as_str().unwrap().to_owned();
    let made = picture(&site.results()[0]);
    fs::copy(&made, site.path("photos/back.png")).unwrap();
    watch.wait_for_text(
        "back.png is left out, and nothing is paid for it: it is a copy of the picture of row 1;",
    );
    watch.ended_by("INT").exits(0);
    // Also by a run that finds it there.
    let watch = Watching::start(&site, &BUDGET);
    watch.wait_for_text("it is a copy of the picture of row 1;");
    watch.has(1, "completed");
    let said = watch.stderr();
    watch.ended_by("INT").exits(0);
    assert_eq!(site.emulator.counts().accepted, 1);
    let line = said.split('`').nth(1).unwrap();
    let mut words: Vec<_> = line.split(' ').skip(1).collect();
    words.extend(["--poll", "0.05"]);
    site.run(&words).exits(0);
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn what_was_refused_by_half_and_is_a_copy_of_a_picture_once_it_is_whole_is_skipped() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    let made = fs::read(site.results()[0]["paths"][0].as_str().unwrap()).unwrap();
    site.write("photos/back.png", &made[..made.len() / 2]);
    watch.has(1, "refused");
    site.write("photos/back.png", &made);
    watch.wait_for_text("it is a copy of the picture of row 1;");
    watch.has(1, "skipped");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["skipped"], &ended.batch["refused"]), (&1.into(), &0.into()));
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn a_photo_that_is_renamed_beside_its_copy_is_told_with_the_line_of_the_first() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    site.photo("photos/b.png", 1);
    watch.has(2, "completed");
    fs::rename(site.path("photos/a.png"), site.path("photos/c.png")).unwrap();
    let rows = watch.has(1, "skipped");
    let renamed = rows.last().unwrap();
    assert_eq!((&renamed["image"], &renamed["duplicate_of"]), (&"./c.png".into(), &1.into()));
    watch.ended_by("INT").exits(0);
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn a_photo_that_is_renamed_or_comes_back_is_not_paid_for_again() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    fs::rename(site.path("photos/a.png"), site.path("photos/b.png")).unwrap();
    let rows = watch.has(1, "skipped");
    assert_eq!((&rows[1]["image"], &rows[1]["duplicate_of"]), (&"./b.png".into(), &1.into()));
    fs::rename(site.path("photos/b.png"), site.path("away.png")).unwrap();
    // When the next one is done, the folder was looked at without it.
    site.photo("photos/c.png", 2);
    watch.has(2, "completed");
    fs::rename(site.path("away.png"), site.path("photos/d.png")).unwrap();
    watch.has(2, "skipped");
    assert_eq!(site.accepted_once(), 2);
    // A copy is another picture, as in a batch.
    fs::copy(site.path("photos/d.png"), site.path("photos/e.png")).unwrap();
    watch.has(3, "completed");
    assert_eq!(site.emulator.counts().accepted, 3);
    watch.ended_by("INT").exits(0);
    site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 3);
}

#[test]
fn copies_are_left_out_on_request() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "5", "--skip-duplicates"]);
    watch.has(1, "completed");
    site.photo("photos/b.png", 1);
    watch.has(1, "skipped");
    watch.ended_by("INT").exits(0);
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn what_was_paid_for_a_photo_that_is_left_out_counts_once_though_it_is_renamed_or_touched() {
    let site = Site::new();
    site.photo("photos/a.png", 1).photo("photos/b.png", 1);
    site.batch("photos", &["--template", "glass_ball"]).exits(0);
    let watch = Watching::start(&site, &["--budget", "5", "--skip-duplicates"]);
    watch.has(1, "skipped");
    fs::rename(site.path("photos/b.png"), site.path("photos/c.png")).unwrap();
    watch.has(2, "skipped");
    let touched = File::options().write(true).open(site.path("photos/c.png")).unwrap();
    touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let rows = watch.has(3, "skipped");
    let costs = rows.iter().filter(|row| row["status"] == "skipped").map(|row| &row["cost"]);
    assert_eq!(costs.collect::<Vec<_>>(), [&"0.03".into(), &Value::Null, &Value::Null]);
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["spent"], &ended.batch["cost"]), (&"0".into(), &"0.06".into()));
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn folders_in_it_are_watched_on_request_and_the_pictures_are_no_photos() {
    let site = Site::new();
    site.photo("photos/sub/a.png", 1);
    let line = ["--budget", "5", "--recursive", "--name", "{stem}.png"];
    let watch = Watching::saving_to("photos/out", &site, &line);
    watch.has(1, "completed");
    assert!(site.path("photos/out/sub/a.png").is_file());
    for (photo, rows) in [("photos/b.png", 2), ("photos/new/c.png", 3)] {
        site.photo(photo, rows as u8);
        watch.has(rows, "completed");
    }
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((ended.rows.len(), site.accepted_once()), (3, 3), "{ended:?}");
    assert!(site.path("photos/out/new/c.png").is_file());
}

#[cfg(unix)]
#[test]
fn a_link_to_the_pictures_makes_no_photos_of_them() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    fs::create_dir_all(site.path("out")).unwrap();
    std::os::unix::fs::symlink("../out", site.path("photos/pictures")).unwrap();
    let watch = Watching::start(&site, &["--budget", "5", "--recursive"]);
    watch.has(1, "completed");
    site.photo("photos/b.png", 2);
    watch.has(2, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((ended.rows.len(), site.accepted_once()), (2, 2), "{ended:?}");
}

/// What was paid for photos that are gone since counts for their folder, wherever that is now.
#[test]
fn the_budget_of_a_folder_moves_with_it() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "0.06"]);
    watch.has(1, "completed");
    watch.ended_by("INT");
    fs::remove_file(site.path("photos/a.png")).unwrap();
    fs::rename(site.path("out"), site.path("moved")).unwrap();
    site.photo("photos/b.png", 2).photo("photos/c.png", 3);
    let ended = Watching::saving_to("moved", &site, &["--budget", "0.06"]).end();
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert_eq!(site.accepted_once(), 2);
}

/// What a rehearsal at another gateway cost is not spent of it, though one journal has both.
#[test]
fn the_budget_of_a_folder_is_its_gateways_own() {
    let (rehearsal, site) = (Site::new(), Site::new());
    let (url, key) = (rehearsal.base_url(), rehearsal.emulator.api_key().to_owned());
    site.photo("photos/a.png", 1);
    let budget = ["--budget", "0.05"];
    let at = ["--base-url", &url, "--api-key", &key];
    let watch = Watching::start(&site, &[&budget[..], &at].concat());
    watch.has(1, "completed");
    watch.ended_by("INT").exits(0);
    fs::remove_file(site.path("photos/a.png")).unwrap();
    site.photo("photos/b.png", 2);
    let watch = Watching::start(&site, &budget);
    watch.has(1, "completed");
    watch.ended_by("INT").exits(0);
    assert_eq!((rehearsal.accepted_once(), site.accepted_once()), (1, 1));
}

/// Another one than that of `photos`, which saves to the same folder.
fn watching_others(site: &Site, budget: &[&str]) -> RunningCommand {
    let line = ["watch", "others", "--template", "glass_ball", "--out", "out", "--price", "0.03"];
    let usual = ["--poll", "0.05", "--settle", "0.2"];
    RunningCommand::new(site.command(&[&line[..], &usual, budget].concat()))
}

/// Each counts what the other pays meanwhile.
#[test]
fn two_that_save_to_one_folder_spend_one_budget_together() {
    let site = Site::new();
    site.photo("photos/a.png", 1).photo("others/b.png", 2);
    let budget = ["--budget", "0.06"];
    let first = Watching::start(&site, &budget);
    first.has(1, "completed");
    let second = watching_others(&site, &budget);
    first.until("bought by the second", || (site.emulator.counts().accepted == 2).then_some(()));
    site.photo("photos/c.png", 3);
    let ended = first.end();
    assert_eq!((ended.code, site.accepted_once()), (Some(6), 2), "{ended:?}");
    second.signal("INT");
    second.end();
}

/// Each has more photos than the budget reaches, so that both end.
#[test]
fn two_that_order_at_the_same_time_reserve_of_one_budget() {
    let site = Site::new();
    for photo in 0..5 {
        site.photo(&format!("photos/{photo}.png"), photo);
        site.photo(&format!("others/{photo}.png"), 5 + photo);
    }
    let budget = ["--budget", "0.12"];
    let second = watching_others(&site, &budget);
    let first = Watching::start(&site, &budget).end();
    let second = second.end();
    assert_eq!((first.code, second.code), (Some(6), Some(6)), "{first:?} {second:?}");
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn it_ends_where_the_budget_does_and_a_higher_one_goes_on() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "0.05"]);
    watch.has(1, "completed");
    site.photo("photos/b.png", 2);
    let ended = watch.end().exits(6);
    assert_eq!((count(&ended.rows, "completed"), count(&ended.rows, "refused")), (1, 1));
    assert!(ended.stderr.contains("the same line with a higher --budget goes on"), "{ended:?}");
    // What photos cost that were taken away since counts as well.
    fs::remove_file(site.path("photos/a.png")).unwrap();
    Watching::start(&site, &["--budget", "0.05"]).end().exits(6);
    assert_eq!(site.accepted_once(), 1);
    let watch = Watching::start(&site, &["--budget", "0.06"]);
    watch.has(1, "completed");
    watch.ended_by("INT").exits(0);
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn where_no_price_is_known_it_says_that_one_is_needed_and_no_higher_budget() {
    let lost = FaultRule::on(Endpoint::Create, Fault::Reset { when: Moment::After });
    let site = Site::with(FaultPlan::none().with(lost.first(1)));
    site.photo("photos/a.png", 1);
    let watch = Watching::without_price(&site, &BUDGET);
    watch.has(1, "doubtful");
    site.photo("photos/b.png", 2);
    let ended = watch.end().exits(8);
    assert_eq!(count(&ended.rows, "refused"), 1, "{ended:?}");
    assert!(ended.stderr.contains("the same line with --price USD"), "{ended:?}");
    assert!(!ended.stderr.contains("with a higher --budget"), "{ended:?}");
    // A higher budget alone is refused in the same words, and what was said goes on.
    let ended = Watching::without_price(&site, &["--budget", "50"]).end().exits(6);
    assert!(ended.stderr.contains("say what one picture costs at most (--price"), "{ended:?}");
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    watch.ended_by("INT").exits(8);
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn killed_at_its_work_the_same_line_goes_on_with_the_task() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.until("submitted", || {
        let seen = site.emulator.requests();
        seen.iter().any(|seen| seen.endpoint == Endpoint::Task).then_some(())
    });
    watch.ended_by("KILL");
    // Renamed meanwhile; its task goes on.
    fs::rename(site.path("photos/a.png"), site.path("photos/b.png")).unwrap();
    let watch = Watching::start(&site, &BUDGET);
    let looks = site.emulator.requests().len();
    watch.until("followed", || {
        let seen = site.emulator.requests();
        seen[looks..].iter().any(|seen| seen.endpoint == Endpoint::Task).then_some(())
    });
    let ended = watch.ended_by("TERM").exits(130);
    assert_eq!(count(&ended.rows, "running"), 1, "{ended:?}");
    assert!(ended.stderr.contains("go on with the same line"), "{ended:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn what_another_journal_has_paid_for_is_taken_in_and_none_may_meddle() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "5", "--journal", "one.db"]);
    watch.has(1, "completed");
    let two = ["--template", "glass_ball", "--journal", "two.db"];
    let ran = site.batch("photos", &two).exits(2);
    assert!(ran.stderr.contains("is running in") && ran.stderr.contains("one.db"), "{ran:?}");
    watch.ended_by("INT").exits(0);
    fs::rename(site.path("photos/a.png"), site.path("a.png")).unwrap();
    let watch = Watching::start(&site, &["--budget", "5", "--journal", "two.db"]);
    watch.wait_for_text("watching photos for photos");
    fs::rename(site.path("a.png"), site.path("photos/a.png")).unwrap();
    watch.has(1, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert!(ended.stderr.contains("1 row was paid for with the journal"), "{ended:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn other_files_are_told_and_a_folder_that_vanishes_is_waited_for() {
    let site = Site::new();
    site.photo("photos/a.png", 1).write("photos/1.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    let watch = Watching::start(&site, &BUDGET);
    watch.has(1, "completed");
    watch.wait_for_text("1 HEIC file is left out (1.heic): convert it");
    fs::rename(site.path("photos"), site.path("away")).unwrap();
    watch.wait_for_text("photos cannot be read");
    fs::rename(site.path("away"), site.path("photos")).unwrap();
    watch.wait_for_text("photos can be read again");
    site.photo("photos/b.png", 2);
    watch.has(2, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((ended.rows.len(), site.accepted_once()), (2, 2), "{ended:?}");
}

#[test]
fn a_photo_whose_upload_failed_is_uploaded_again_and_ordered_once() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .photo("photos/b.png", 1)
        .write("put.sh", "echo again >> tries; test -e works && echo https://example.com/$$.png");
    let watch = Watching::start(&site, &["--budget", "5", "--uploads", "command=sh put.sh"]);
    watch.has(2, "not_submitted");
    watch.wait_for_text("a photo whose upload failed is uploaded again");
    // Each is tried again, and fails again.
    watch.has(4, "not_submitted");
    site.write("works", "");
    watch.has(2, "completed");
    let tries = || fs::read_to_string(site.path("tries")).unwrap().lines().count();
    let before = tries();
    // Another photo shows that the folder was looked at since.
    site.photo("photos/c.png", 2);
    watch.has(3, "completed");
    assert_eq!(tries(), before + 1);
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["rows"], &ended.batch["completed"]), (&3.into(), &3.into()));
    // Two photos are equal, and so are their requests.
    let accepted = site.emulator.counts().accepted;
    assert_eq!((accepted, site.results().len()), (3, 3), "{ended:?}");
    assert_eq!(ended.stderr.matches("is uploaded again").count(), 1, "{ended:?}");
}

/// Of a photo that a storage does not take, it takes no more the next time.
#[test]
fn a_photo_that_is_too_large_for_the_storage_is_not_uploaded_again() {
    let too_large = FaultRule::on(Endpoint::Upload, Fault::status(413)).first(1);
    let site = Site::with(FaultPlan::none().with(too_large));
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "5"]);
    let told = watch.has(1, "invalid");
    assert!(told[0]["error"]["message"].as_str().unwrap().contains("make it smaller"), "{told:?}");
    // Longer than the first pause before a photo that could not be read is looked at again.
    std::thread::sleep(Duration::from_millis(1500));
    site.photo("photos/b.png", 2);
    watch.has(1, "completed");
    let ended = watch.ended_by("INT").exits(2);
    assert_eq!((&ended.batch["invalid"], site.accepted_once()), (&1.into(), 1), "{ended:?}");
}

#[test]
fn a_photo_that_is_renamed_after_its_upload_failed_is_ordered_by_its_new_name() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .write("put.sh", "test -e works && echo https://example.com/$$.png");
    let watch = Watching::start(&site, &["--budget", "5", "--uploads", "command=sh put.sh"]);
    watch.has(1, "not_submitted");
    fs::rename(site.path("photos/a.png"), site.path("photos/b.png")).unwrap();
    let rows = watch.has(1, "skipped");
    let renamed = rows.iter().find(|row| row["status"] == "skipped").unwrap();
    assert_eq!((&renamed["image"], &renamed["duplicate_of"]), (&"./b.png".into(), &1.into()));
    site.write("works", "");
    watch.has(1, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["completed"], &ended.batch["skipped"]), (&1.into(), &1.into()));
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn a_photo_that_is_renamed_beside_its_copy_after_their_uploads_failed_is_ordered() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .photo("photos/b.png", 1)
        .write("put.sh", "test -e works && echo https://example.com/$$.png");
    let watch = Watching::start(&site, &["--budget", "5", "--uploads", "command=sh put.sh"]);
    watch.has(2, "not_submitted");
    fs::rename(site.path("photos/a.png"), site.path("photos/c.png")).unwrap();
    watch.has(1, "skipped");
    site.write("works", "");
    watch.has(2, "completed");
    watch.ended_by("INT").exits(0);
    // Two photos are equal, and so are their requests.
    assert_eq!(site.emulator.counts().accepted, 2);
}

/// Under its first name again it is where another one comes in its place.
#[test]
fn a_photo_that_had_another_name_for_a_while_and_is_replaced_is_one_row() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .write("put.sh", "test -e works && echo https://example.com/$$.png");
    let watch = Watching::start(&site, &["--budget", "5", "--uploads", "command=sh put.sh"]);
    watch.has(1, "not_submitted");
    let mut keep = Command::new("cp");
    keep.arg("-p").args([site.path("photos/a.png"), site.path("kept.png")]);
    assert!(keep.status().unwrap().success());
    fs::rename(site.path("photos/a.png"), site.path("photos/b.png")).unwrap();
    watch.has(1, "skipped");
    fs::rename(site.path("photos/b.png"), site.path("photos/a.png")).unwrap();
    // Another photo shows that the folder was looked at since.
    site.photo("photos/c.png", 3);
    watch.until("told of c.png", || {
        watch.objects().iter().any(|row| row["image"] == "./c.png").then_some(())
    });
    site.photo("photos/a.png", 4).write("works", "");
    watch.has(2, "completed");
    // The first one comes back, as it was, under the name that it had meanwhile.
    fs::rename(site.path("kept.png"), site.path("photos/b.png")).unwrap();
    watch.has(3, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["rows"], &ended.batch["completed"]), (&4.into(), &3.into()));
    assert_eq!(site.accepted_once(), 3);
}

/// Its first row is that of the other photo by then, so that no row before it asks for the same.
#[test]
fn a_photo_that_was_replaced_unsent_is_ordered_where_it_comes_again_without_duplicates() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .write("put.sh", "test -e works && echo https://example.com/$$.png");
    let uploads = ["--uploads", "command=sh put.sh"];
    let watch = Watching::start(&site, &[&BUDGET[..], &uploads, &["--skip-duplicates"]].concat());
    watch.has(1, "not_submitted");
    site.photo("photos/a.png", 4).photo("photos/c.png", 3);
    // Another photo shows that the folder was looked at since.
    let is_told = |image: &str| watch.objects().iter().any(|row| row["image"] == image);
    watch.until("told of c.png", || is_told("./c.png").then_some(()));
    site.photo("photos/d.png", 1);
    watch.until("told of d.png", || is_told("./d.png").then_some(()));
    site.write("works", "");
    watch.has(3, "completed");
    watch.ended_by("INT").exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_copy_that_was_left_out_is_ordered_where_nothing_was_sent_for_the_first_and_that_is_gone() {
    let site = Site::new();
    site.photo("photos/a.png", 1)
        .photo("photos/b.png", 1)
        .photo("photos/c.png", 2)
        .photo("photos/d.png", 2)
        .write("put.sh", "test -e works && echo https://example.com/$$.png");
    let uploads = ["--uploads", "command=sh put.sh"];
    let watch = Watching::start(&site, &[&BUDGET[..], &uploads, &["--skip-duplicates"]].concat());
    watch.has(2, "not_submitted");
    watch.has(2, "skipped");
    fs::rename(site.path("photos/b.png"), site.path("photos/f.png")).unwrap();
    watch.has(3, "skipped");
    fs::remove_file(site.path("photos/a.png")).unwrap();
    site.photo("photos/c.png", 3).photo("photos/e.png", 4);
    // Another photo shows that the folder was looked at since.
    watch.until("told of e.png", || {
        watch.objects().iter().any(|row| row["image"] == "./e.png").then_some(())
    });
    site.write("works", "");
    watch.has(4, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["completed"], site.accepted_once()), (&4.into(), 4));
}

#[test]
fn a_photo_in_the_place_of_one_whose_upload_failed_often_waits_no_longer_than_another() {
    let site = Site::new();
    site.photo("photos/a.png", 1).write("put.sh", "exit 1");
    let watch = Watching::start(&site, &["--budget", "5", "--uploads", "command=sh put.sh"]);
    watch.has(3, "not_submitted");
    let failed = |image: &str| watch.objects().iter().filter(|row| row["image"] == image).count();
    let before = failed("./a.png");
    site.photo("photos/a.png", 2).photo("photos/b.png", 3);
    watch.until("told of b.png", || (failed("./b.png") == 3).then_some(()));
    assert!(failed("./a.png") >= before + 2, "{:?}", watch.objects());
    watch.ended_by("INT");
}

/// It counts no more among its copies once another file is in its place, and once only.
#[test]
fn copies_of_a_photo_are_ordered_also_where_a_copy_of_a_picture_was_in_its_place_and_is_gone() {
    let site = Site::new();
    site.photo("photos/a.png", 1).photo("photos/b.png", 1);
    let watch = Watching::start(&site, &BUDGET);
    watch.has(2, "completed");
    fs::copy(site.results()[0]["paths"][0].as_str().unwrap(), site.path("photos/a.png")).unwrap();
    watch.wait_for_text("a.png is left out, and nothing is paid for it");
    fs::remove_file(site.path("photos/a.png")).unwrap();
    site.photo("photos/c.png", 1).photo("photos/d.png", 1);
    watch.has(3, "completed");
    watch.ended_by("INT").exits(0);
    // As a batch counts the three.
    site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 3);
}

/// Twelve photos, most of which wait to be read until `works` is there: the programs of their uploads do.
fn twelve_that_wait<'a>(site: &'a Site, more: &[&str]) -> Watching<'a> {
    let program = "until test -e works; do sleep 0.02; done; echo https://example.com/$$.png";
    site.write("put.sh", program);
    for photo in 10..22 {
        site.photo(&format!("photos/{photo}.png"), photo);
    }
    let line = ["--budget", "5", "--in-flight", "1", "--uploads", "command=sh put.sh"];
    let watch = Watching::start(site, &[&line[..], more].concat());
    // Files of another kind are told with the photos that came with them.
    site.write("photos/first.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    watch.wait_for_text("left out (first.heic)");
    watch
}

#[test]
fn photos_that_are_renamed_before_their_turn_are_ordered_by_their_new_names() {
    let site = Site::new();
    let watch = twelve_that_wait(&site, &[]);
    for photo in 10..22 {
        let [from, to] = ["", "new"].map(|name| site.path(&format!("photos/{name}{photo}.png")));
        fs::rename(from, to).unwrap();
    }
    watch.has(12, "skipped");
    site.write("works", "");
    watch.has(12, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert!(count(&ended.rows, "invalid") > 0, "{ended:?}");
    assert_eq!((site.accepted_once(), site.results().len()), (12, 24));
    // By their new names they are the same rows.
    site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert_eq!(site.accepted_once(), 12);
}

#[test]
fn photos_whose_folder_vanishes_before_their_turn_are_ordered_once_it_is_back() {
    let site = Site::new();
    let watch = twelve_that_wait(&site, &[]);
    fs::rename(site.path("photos"), site.path("away")).unwrap();
    site.write("works", "");
    watch.has(1, "invalid");
    watch.wait_for_text("photos cannot be read");
    fs::rename(site.path("away"), site.path("photos")).unwrap();
    watch.has(12, "completed");
    let ended = watch.ended_by("INT").exits(0);
    let again = "a photo that could not be read when its turn came is read again";
    assert_eq!((ended.stderr.matches(again).count(), site.accepted_once()), (1, 12), "{ended:?}");
}

/// Their rows are told as refused, since a failed task of each may have a bill.
#[test]
fn photos_of_failed_tasks_whose_folder_vanishes_before_their_turn_are_ordered_once_it_is_back() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(12);
    let site = Site::with(FaultPlan::none().with(failing));
    for photo in 10..22 {
        site.photo(&format!("photos/{photo}.png"), photo);
    }
    site.batch("photos", &["--template", "glass_ball"]).exits(4);
    let watch = twelve_that_wait(&site, &["--retry-failed", "1"]);
    fs::rename(site.path("photos"), site.path("away")).unwrap();
    site.write("works", "");
    watch.has(1, "refused");
    watch.wait_for_text("photos cannot be read");
    fs::rename(site.path("away"), site.path("photos")).unwrap();
    watch.has(12, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["refused"], site.emulator.counts().accepted), (&0.into(), 24));
}

#[test]
fn a_photo_that_another_replaced_before_its_turn_is_ordered_once_it_is_back() {
    let site = Site::new();
    let watch = twelve_that_wait(&site, &[]);
    site.photo("photos/21.png", 99).write("photos/next.heic", "none");
    watch.wait_for_text("left out (next.heic)");
    site.write("works", "");
    watch.has(12, "completed");
    watch.has(1, "refused");
    site.photo("photos/21.png", 21);
    watch.has(13, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["refused"], &ended.batch["skipped"]), (&0.into(), &1.into()));
    assert_eq!(site.accepted_once(), 13);
}

/// A file may become readable before its writer has written all of it.
#[test]
fn a_photo_that_becomes_readable_is_ordered_once_it_has_been_so_for_as_long_as_it_settles() {
    let site = Site::new();
    let settle = Duration::from_secs(2);
    let watch = Watching::start(&site, &["--budget", "5", "--settle", "2"]);
    // Of one size and time, so that nothing but its content tells them apart.
    site.photo("kept.png", 1).write("photos/a.png", vec![b'x'; PHOTO.len() + 1]);
    for name in ["kept.png", "photos/a.png"] {
        let file = File::options().write(true).open(site.path(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    watch.has(1, "invalid");
    let since = Instant::now();
    fs::rename(site.path("kept.png"), site.path("photos/a.png")).unwrap();
    watch.until("submitted", || (site.emulator.counts().accepted == 1).then_some(()));
    assert!(since.elapsed() >= settle, "{:?}", since.elapsed());
    watch.has(1, "completed");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!((&ended.batch["rows"], &ended.batch["completed"]), (&1.into(), &1.into()));
}

#[cfg(unix)]
#[test]
fn a_photo_that_may_not_be_read_when_it_comes_is_ordered_once_it_may() {
    use std::os::unix::fs::PermissionsExt;

    let site = Site::new();
    site.photo("photos/a.png", 1).write("photos/b.png", "no photo");
    let photo = site.path("photos/a.png");
    let allow = |mode| fs::set_permissions(&photo, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    // A superuser reads every file.
    if File::open(&photo).is_ok() {
        return;
    }
    let watch = Watching::start(&site, &BUDGET);
    watch.has(2, "invalid");
    allow(0o600);
    watch.has(1, "completed");
    // What is no photo is told once, however often it is looked at.
    let ended = watch.ended_by("INT").exits(2);
    assert_eq!((count(&ended.rows, "invalid"), &ended.batch["invalid"]), (2, &1.into()));
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn hooks_hear_of_each_photo_while_it_watches() {
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    server.otherwise(Response::new(204));
    site.photo("photos/a.png", 1).write("hook.sh", "cat >> ended.jsonl");
    let url = server.url("/hook");
    let line = ["--budget", "5", "--on-done", "sh hook.sh", "--post-to", &url];
    let watch = Watching::start(&site, &line);
    assert_eq!(server.wait_for_requests(1, TIMEOUT).len(), 1);
    watch.until("hooked", || fs::read(site.path("ended.jsonl")).ok().filter(|it| !it.is_empty()));
    site.photo("photos/b.png", 2);
    assert_eq!(server.wait_for_requests(2, TIMEOUT).len(), 2);
    watch.ended_by("INT").exits(0);
}

#[test]
fn a_hook_that_fails_is_told_while_it_watches() {
    let site = Site::new();
    site.photo("photos/a.png", 1);
    let watch = Watching::start(&site, &["--budget", "5", "--on-done", "false"]);
    watch.wait_for_text("warning: line 1: --on-done \"false\" ended with exit status: 1");
    let ended = watch.ended_by("INT").exits(0);
    assert_eq!(ended.batch["hooks_failed"], 1);
    assert_eq!(ended.stderr.matches("warning: line 1: --on-done").count(), 1, "{ended:?}");
}

#[test]
fn what_it_cannot_watch_is_refused_before_anything_is_sent() {
    let site = Site::new();
    site.photo("out/in/a.png", 1).write("rows.csv", "template,image\n");
    let glass = ["--template", "glass_ball"];
    for (line, said) in [
        (&["out/in", "--out", "new"][..], "--budget <USD>"),
        (&["rows.csv", "--out", "new", "--budget", "5"], "it is no folder"),
        (&["nowhere", "--out", "new", "--budget", "5"], "there is no folder nowhere: create it"),
        (&["out/in", "--out", "out/in", "--budget", "5"], "--out is the folder of the photos"),
        (&["out/in", "--out", "out", "--budget", "5"], "is in that of --out"),
        (&["out/in", "--out", "new", "--budget", "5", "--pilot", "2"], "--pilot"),
    ] {
        let ran = site.run(&[&["watch"][..], line, &glass].concat()).exits(2);
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    let line = ["watch", "out/in", "--out", "new", "--budget", "5", "--emulator"];
    let mut command = site.command(&[&line[..], &glass].concat());
    let ran = crate::world::CommandOutput::of(command.env_remove("EFFECTS_BASE_URL")).exits(2);
    assert!(ran.stderr.contains("name one with --journal"), "{ran:?}");
    let world = World::new();
    let ran = world.run(&["watch", "--help"]).exits(0);
    assert!(ran.stdout.contains("--settle") && !ran.stdout.contains("--pilot"), "{ran:?}");
    assert!(site.emulator.requests().is_empty() && !site.path("new").exists());
}

/// A picture that is bought once more while its folder is watched: the watch ends with what it saw itself.
#[test]
fn a_row_that_is_ordered_anew_meanwhile_stands_in_the_folder_as_it_is_by_then() {
    let bill = |_: &Finished<'_>| serde_json::json!({"cost": "0.03"});
    let site = Site::billing(FaultPlan::none(), bill);
    site.photo("photos/a.png", 1);
    let watching = Watching::start(&site, &["--budget", "9", "--json"]);
    watching.has(1, "completed");
    site.run(&["reorder", "1"]).exits(0);
    let ordered = site.results().pop().unwrap();
    watching.ended_by("INT").exits(0);
    let [line] = &site.results()[..] else { panic!("{:?}", site.results()) };
    assert_eq!((&line["task_id"], &line["cost"]), (&ordered["task_id"], &"0.06".into()), "{line}");
    assert_eq!((&line["path"], &line["status"]), (&ordered["path"], &"completed".into()));

    // One whose outcome is unknown, too.
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).first(1);
    let watching = Watching::start(&site, &["--budget", "9", "--json"]);
    watching.has(1, "completed");
    site.emulator.follow(FaultPlan::none().with(lost)).unwrap();
    site.run(&["reorder", "1"]).exits(8);
    watching.ended_by("INT").exits(0);
    let [line] = &site.results()[..] else { panic!("{:?}", site.results()) };
    assert_eq!((&line["status"], &line["cost"]), (&"doubtful".into(), &"0.06".into()), "{line}");
    assert_eq!(line["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(line["paid_picture"]["task_id"], ordered["task_id"]);
}
