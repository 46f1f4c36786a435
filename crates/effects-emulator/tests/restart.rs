//! What survives: an emulator in a process of its own, killed and started again.

#![allow(clippy::unwrap_used, reason = "what a helper cannot do fails its test")]

mod common;

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use common::*;
use effects_core::Template;
use effects_emulator::{Emulator, PaintFailure, Painter, StartError, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The emulator of another process.
struct Process {
    child: Child,
    /// Held open: what it prints while it ends must find a reader.
    _lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    key: String,
}

impl Process {
    /// Starts this very program with a folder to serve from.
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_folder_that_is_none_is_refused", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map(Result::unwrap).find_map(|line| {
            // The test harness may have begun the line.
            let (_, words) = line.split_once("READY ")?;
            let (address, key) = words.split_once(' ')?;
            Some((address.parse().unwrap(), key.to_owned()))
        });
        let (address, key) = ready.unwrap();
        Self { child, _lines: lines, address, key }
    }

    /// Kills it as nothing can be caught.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Site for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn key(&self) -> String {
        self.key.clone()
    }
}

/// In the other process this is the emulator itself; here, what becomes of a folder that is none.
#[test]
fn a_folder_that_is_none_is_refused() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let setup = Emulator::builder().painter(Patient).data_dir(folder);
        let ready = |emulator: &Emulator| {
            println!("READY {} {}", emulator.address(), emulator.api_key());
        };
        serve(setup, ready).unwrap();
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Emulator::builder().data_dir(file.path()).start().unwrap_err();
    assert!(matches!(error, StartError::Store(_)), "{error}");
}

#[test]
fn killed_at_any_moment_it_has_forgotten_no_task_it_accepted() {
    let folder = TempDir::new().unwrap();
    let mut known: Vec<String> = Vec::new();
    let mut photo = None;
    let mut key = None;
    // Each life is killed while tasks of its own and of the lives before still run.
    for accepted in [1, 23, 76, 100] {
        let process = Process::start(folder.path());
        assert_eq!(*key.get_or_insert(process.key()), process.key());
        // The photo's URL names the port of the first life in all of them.
        let image = photo.get_or_insert_with(|| upload(&process, PHOTO));
        let params = json!({"image_input1": image, "template_id": "glass_ball"});
        known.extend((0..accepted).map(|_| create(&process, &params)));
        process.kill();
    }
    assert_eq!(known.len(), 200);

    let process = Process::start(folder.path());
    for id in &known {
        let task = finish(&process, id);
        assert_eq!(task["status"], "completed", "{task}");
        let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
        assert_eq!(get(&process, path(&process, url)).body, PHOTO);
    }
    let about = get(&process, "/_emulator/").json();
    // Two hundred pictures, each paid once, whatever was painted again.
    assert_eq!((&about["tasks"], &about["spent"]), (&json!(200), &json!("6.00")));
    process.kill();
}

#[test]
fn told_to_end_it_ends_in_good_order_and_begins_where_it_was() {
    let folder = TempDir::new().unwrap();
    let process = Process::start(folder.path());
    let image = "data:image/png;base64,aGVsbG8=";
    let id = create(&process, &json!({"image_input1": image, "template_id": "glass_ball"}));
    let failed: Value = finish(&process, &id);
    assert_eq!(failed["error"]["code"], "3009096");
    assert!(process.terminate());

    let process = Process::start(folder.path());
    assert_eq!(look(&process, &id), failed);
    let photo = upload(&process, PHOTO);
    let photo = path(&process, &photo).to_owned();
    process.kill();

    let process = Process::start(folder.path());
    assert_eq!(get(&process, &photo).body, PHOTO);
    // A folder in use is not anybody else's.
    let error = Emulator::builder().data_dir(folder.path()).start().unwrap_err();
    assert!(matches!(error, StartError::Store(_)), "{error}");
    assert!(process.terminate());
    let emulator = Emulator::builder().data_dir(folder.path()).start().unwrap();
    assert_eq!(look(&emulator, &id), failed);
    emulator.reset();
    emulator.stop();
    let emulator = Emulator::builder().data_dir(folder.path()).start().unwrap();
    assert_eq!(get(&emulator, &format!("{CREATE}/task/{id}")).status, 404);
}

/// Paints slowly enough that tasks are still running when their process is killed.
struct Patient;

impl Painter for Patient {
    fn paint(&self, photo: &[u8], _: &Template, _: u32, _: u32) -> Result<Vec<u8>, PaintFailure> {
        std::thread::sleep(Duration::from_millis(5));
        Ok(photo.to_vec())
    }
}

const FOLDER: &str = "EFFECTS_EMULATOR_TEST_FOLDER";
