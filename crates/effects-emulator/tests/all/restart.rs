//! What survives: an emulator in a process of its own, killed and started again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::common::*;
use effects_core::Template;
use effects_emulator::{ClockKind, Emulator, PaintFailure, Painter, StartError, serve};
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
            .args(["--exact", "restart::a_folder_that_is_none_is_refused", "--nocapture"])
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
    fn kill(self) {
        self.signal("KILL");
        self.wait();
    }

    fn terminate(self) -> bool {
        self.signal("TERM");
        self.wait()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether it ended well.
    fn wait(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

/// A test that fails leaves nothing running.
impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended before, which is what these say then.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    assert!(matches!(error, StartError::Store { .. }), "{error}");
}

#[test]
fn killed_at_any_moment_it_has_forgotten_no_task_it_accepted() {
    let folder = TempDir::new().unwrap();
    let mut rng = SplitMix64(0x5eed);
    let known = Known::default();
    let mut photo = None;
    let mut key = None;
    // Each life is killed while clients create and look, and while tasks of its own and of the
    // lives before still run; some before a client has come. On a busy machine, where the signal is
    // late, a life may accept many tasks, or end before a client sees one completed.
    let mut lives = 0;
    let has_seen = || !known.seen.lock().unwrap().is_empty();
    while known.accepted().len() < TASKS || lives <= LIVES || !has_seen() {
        assert!(lives < 100 * LIVES, "no client ever saw a task completed");
        let process = Process::start(folder.path());
        assert_eq!(*key.get_or_insert(process.key()), process.key());
        // The photo's URL names the port of the first life in all of them.
        let image = photo.get_or_insert_with(|| upload(&process, PHOTO));
        let enough = known.accepted().len() + rng.below(40);
        let moment = Duration::from_micros(rng.below(8_000) as u64);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let creating = || while known.create(&process, image) {};
            let looking = || {
                let alive = || !over.load(Ordering::SeqCst) && known.look(&process);
                while alive() {}
            };
            for _ in 0..CREATORS {
                scope.spawn(creating);
            }
            scope.spawn(looking);
            while known.accepted().len() < enough {
                std::thread::yield_now();
            }
            std::thread::sleep(moment);
            process.signal("KILL");
            over.store(true, Ordering::SeqCst);
        });
        process.wait();
        lives += 1;
    }

    let process = Process::start(folder.path());
    for id in known.accepted().iter() {
        let task = finish(&process, id);
        assert_eq!(task["status"], "completed", "{task}");
        let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
        assert_eq!(get(&process, path(&process, url)).body, PHOTO);
    }
    // A client that saw a task completed finds the same picture after every restart.
    for (id, file) in known.seen.into_inner().unwrap() {
        assert_eq!(file_of(&look(&process, &id)), file);
    }
    // Each picture is paid once, whatever was painted again; and a client may have been killed
    // with its emulator before it heard of its task.
    let listed = get(&process, "/_emulator/tasks?limit=100000").json();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() >= known.accepted.lock().unwrap().len());
    for task in listed {
        assert_eq!(finish(&process, task["id"].as_str().unwrap())["status"], "completed");
    }
    let spent = rust_decimal::Decimal::new(3, 2) * rust_decimal::Decimal::from(listed.len());
    assert_eq!(get(&process, "/_emulator/").json()["spent"], spent.to_string());
    process.kill();
}

/// What clients have been told, over all lives of an emulator.
#[derive(Default)]
struct Known {
    accepted: Mutex<Vec<String>>,
    /// Files of tasks that were seen completed.
    seen: Mutex<HashMap<String, String>>,
    looks: AtomicUsize,
}

impl Known {
    fn accepted(&self) -> MutexGuard<'_, Vec<String>> {
        self.accepted.lock().unwrap()
    }

    /// Creates a task; false once the emulator does not answer.
    fn create(&self, process: &Process, image: &str) -> bool {
        let params = json!({"image_input1": image, "template_id": "glass_ball"});
        let key = bearer(process);
        let body = request(&params).to_string();
        let answer = try_send(process, "POST", CREATE, &[("Authorization", &key)], body.as_bytes());
        let Ok(answer) = answer else { return false };
        assert_eq!(answer.status, 200, "{answer:?}");
        self.accepted().push(answer.json()["id"].as_str().unwrap().to_owned());
        true
    }

    /// Looks at one task after another; false once the emulator does not answer.
    fn look(&self, process: &Process) -> bool {
        let id = {
            let accepted = self.accepted();
            let turn = self.looks.fetch_add(1, Ordering::SeqCst);
            accepted.get(turn % accepted.len().max(1)).cloned()
        };
        let Some(id) = id else {
            std::thread::yield_now();
            return true;
        };
        let key = bearer(process);
        let path = format!("{CREATE}/task/{id}");
        let answer = try_send(process, "GET", &path, &[("Authorization", &key)], b"");
        let Ok(answer) = answer else { return false };
        assert_eq!(answer.status, 200, "{id} {answer:?}");
        let task = answer.json();
        if task["status"] == "completed" {
            self.seen.lock().unwrap().insert(id, file_of(&task));
        }
        true
    }
}

/// The name of a task's file, whose URL has another port in each life.
fn file_of(task: &Value) -> String {
    let url = task["output"][0]["content"][0]["url"].as_str().unwrap();
    url.rsplit('/').next().unwrap().to_owned()
}

/// Random numbers that are the same in every run.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, end: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

const TASKS: usize = 200;
const LIVES: usize = 5;
const CREATORS: usize = 4;

#[test]
fn what_lies_in_a_folder_already_is_left_alone() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    let photo = folder.path().join("files/holiday.jpg");
    std::fs::write(&photo, "mine").unwrap();
    let rights = || std::fs::metadata(folder.path()).unwrap().permissions();
    let before = rights();
    Emulator::builder().data_dir(folder.path()).start().unwrap().stop();
    assert_eq!(std::fs::read(&photo).unwrap(), b"mine");
    assert_eq!(rights(), before);
}

#[cfg(unix)]
#[test]
fn what_it_makes_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("new/data");
    let emulator = Emulator::builder().data_dir(&data).start().unwrap();
    upload(&emulator, PHOTO);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!((mode(&data), mode(&data.join("emulator.db"))), (0, 0));
}

/// The rights of a file or folder.
#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The files of a folder.
fn listed(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_may_look_into_is_closed_to_them() {
    let folder = TempDir::new().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    set_mode(&files, 0o755);
    let start = || Emulator::builder().data_dir(folder.path()).start().unwrap();
    let emulator = start();
    upload(&emulator, PHOTO);
    assert_eq!(emulator.warnings(), Vec::<String>::new());
    drop(emulator);
    let database = folder.path().join("emulator.db");
    assert_eq!((mode(&files), mode(&database)), (0o700, 0o600));
    assert_eq!(listed(&files).iter().map(|file| mode(file)).collect::<Vec<_>>(), [0o600]);
    // As an earlier version left them.
    let kept = listed(&files).remove(0);
    set_mode(&files, 0o755);
    set_mode(&kept, 0o644);
    set_mode(&database, 0o644);
    drop(start());
    assert_eq!((mode(&files), mode(&kept), mode(&database)), (0o700, 0o600, 0o600));
}

#[cfg(unix)]
#[test]
fn a_folder_with_other_files_stays_open_and_the_emulator_warns() {
    let folder = TempDir::new().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let foreign = files.join("holiday.jpg");
    std::fs::write(&foreign, "mine").unwrap();
    set_mode(&files, 0o755);
    set_mode(&foreign, 0o644);
    let emulator = Emulator::builder().data_dir(folder.path()).start().unwrap();
    upload(&emulator, PHOTO);
    assert_eq!((mode(&files), mode(&foreign)), (0o755, 0o644));
    let own = listed(&files).into_iter().find(|file| *file != foreign).unwrap();
    assert_eq!(mode(&own), 0o600);
    let warnings = emulator.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(files.to_str().unwrap()), "{warnings:?}");
}

#[test]
fn files_go_by_their_age_and_their_folder_is_free_at_once_after_a_stop() {
    let folder = TempDir::new().unwrap();
    let start = || {
        let builder = Emulator::builder().painter(Patient).data_dir(folder.path());
        builder.clock(ClockKind::Virtual).start().unwrap()
    };
    let emulator = start();
    let photo = upload(&emulator, PHOTO);
    let files = || std::fs::read_dir(folder.path().join("files")).unwrap().count();
    emulator.advance(Duration::from_secs(24 * 3600)).unwrap();
    assert_eq!((get(&emulator, path(&emulator, &photo)).status, files()), (200, 1));
    emulator.advance(Duration::from_millis(1)).unwrap();
    assert_eq!((get(&emulator, path(&emulator, &photo)).status, files()), (404, 0));

    let image = upload(&emulator, PHOTO);
    let params = json!({"image_input1": image, "template_id": "glass_ball"});
    let ids: Vec<String> = (0..5).map(|_| create(&emulator, &params)).collect();
    emulator.stop();
    let emulator = start();
    for id in &ids {
        let task = finish(&emulator, id);
        assert_eq!(task["status"], "completed", "{task}");
    }
    // Time goes on from where it stood.
    assert_eq!(emulator.spent().to_string(), "0.15");
    assert_eq!(get(&emulator, "/_emulator/").json()["spent"], "0.15");
}

#[test]
fn a_signal_ends_it_in_good_order_and_the_next_start_goes_on() {
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
    assert!(matches!(error, StartError::Store { .. }), "{error}");
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
