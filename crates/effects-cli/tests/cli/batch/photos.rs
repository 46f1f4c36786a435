//! The photo that a row is known by is the photo that is uploaded.

use std::fs;
use std::sync::mpsc;

use super::proxy;
use super::site::{Site, count, rows_and_batch};
use crate::world::{RunningCommand, TIMEOUT};

/// Whether the process has a thread of this name.
fn has_thread(process: u32, name: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let mut names = threads.map(|thread| fs::read_to_string(thread.path().join("comm")));
    names.any(|found| found.is_ok_and(|found| found.trim() == name))
}

#[test]
fn a_photo_that_is_replaced_while_it_waits_is_refused_and_nothing_is_paid_for_it() {
    let mut site = Site::new();
    let mut csv = "template,image\n".to_owned();
    // Rows of one photo wait for one upload, so these four keep every row after them waiting.
    for template in ["glass_ball", "my_world", "angel_figurine", "felt_keychain"] {
        csv.push_str(&format!("{template},first.png\n"));
    }
    site.photo("first.png", 0);
    for photo in 1..27 {
        site.photo(&format!("{photo}.png"), photo);
        csv.push_str(&format!("glass_ball,{photo}.png\n"));
    }
    site.write("rows.csv", csv);
    let (go_on, word) = mpsc::channel();
    let gateway = site.emulator.address();
    site.proxy = Some(proxy::holding(gateway, "/api/v1/storage/files", word));
    let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
    let run = RunningCommand::new(site.command(&line));
    let proxy = site.proxy.as_ref().unwrap();
    assert_eq!(proxy.wait_for_requests(1, TIMEOUT).len(), 1);
    // Every row is known by its photo once the manifest was read to its end.
    while has_thread(run.id(), "rows") {
        std::thread::yield_now();
    }
    site.photo("20.png", 200);
    go_on.send(()).unwrap();
    let ran = run.end().exits(2);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (29, 1), "{ran:?}");
    let refused = rows.iter().find(|row| row["status"] == "refused").unwrap();
    assert!(refused["image"].as_str().unwrap().ends_with("20.png"), "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("changed"), "{refused}");
    assert_eq!(site.accepted_once(), 29);

    // What it shows now is paid for once.
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (30, 30));
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 30);
}
