//! What the tests stand on: the binary in a folder of its own, and a service by script.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use effects_testkit::http::{Behaviour, Response, ScriptedServer};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const KEY: &str = "sk-a-key-that-nobody-may-see";
pub(crate) const PHOTO: &[u8] = include_bytes!("../../../../examples/chelsea.png");
pub(crate) const CREATE: &str = "/model/v1/generation";
pub(crate) const TASK: &str = "/model/v1/generation/task/task-1";
pub(crate) const IMAGE: &str = "https://example.com/cat.jpg";

/// A folder to run in, and the environment of a user who has nothing set but a key.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    /// The state folder: no test touches the user's own.
    pub(crate) state: TempDir,
    pub(crate) server: ScriptedServer,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { folder, state, server: ScriptedServer::start().unwrap() }
    }

    /// A service that takes one task and has it ready at the second look.
    pub(crate) fn with_service() -> Self {
        let world = Self::new();
        world.accepts();
        world.looks([running(), world.completed()]);
        world.serves_picture();
        world
    }

    pub(crate) fn accepts(&self) {
        let created = r#"{"id":"task-1","status":"in_progress","model":"spark_img_effects"}"#;
        self.server.on("POST", CREATE, [Response::json(created)]);
    }

    pub(crate) fn looks(&self, looks: impl IntoIterator<Item = Response>) {
        self.server.on("GET", TASK, looks);
    }

    pub(crate) fn serves_picture(&self) {
        let png = Response::new(200).header("Content-Type", "image/png").body(PHOTO);
        self.server.on("GET", "/out.png", [png]);
    }

    pub(crate) fn completed(&self) -> Response {
        Response::json(self.completed_body())
    }

    pub(crate) fn completed_body(&self) -> Vec<u8> {
        let (url, length) = (self.server.url("/out.png"), PHOTO.len());
        format!(
            r#"{{"id":"task-1","status":"completed","created_at":1764000000,
                "output":[{{"content":[{{"type":"image","url":"{url}","size":{length},"jobId":"j-1"}}]}}],
                "usage":{{"cost":"0.030","discount":1}},"metadata":{{"steps":3}}}}"#
        )
        .into_bytes()
    }

    /// The command, not yet started, at this world's server and in its folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", self.server.base_url());
        command
    }

    /// The command with nothing in its environment but where its state is.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_effects"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("EFFECTS_STATE_DIR", self.state.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.command(arguments))
    }

    /// Runs it with something on stdin.
    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> CommandOutput {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        CommandOutput::from(output)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A photo in the folder.
    pub(crate) fn photo(&self) -> &'static str {
        fs::write(self.path("cat.png"), PHOTO).unwrap();
        "cat.png"
    }

    /// The names of everything in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    /// How many submissions arrived.
    pub(crate) fn submissions(&self) -> usize {
        self.server.requests().iter().filter(|seen| seen.method == "POST").count()
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn running() -> Response {
    Response::json(r#"{"id":"task-1","status":"in_progress","progress":0.4}"#)
}

pub(crate) fn failed(code: &str) -> Response {
    Response::json(format!(
        r#"{{"id":"task-1","status":"failed","error":{{"code":"{code}","error_message":"no luck"}}}}"#
    ))
}

/// Answers a request when the sender says so.
pub(crate) fn held_response(release: Receiver<()>, response: Response) -> Behaviour {
    let release = std::sync::Mutex::new(release);
    Behaviour::with(move |_| {
        // Also when the test is over.
        let _ = release.lock().unwrap().recv();
        response.clone().into()
    })
}

impl CommandOutput {
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// The one JSON object on stdout.
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl From<std::process::Output> for CommandOutput {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command that runs, its stderr read line by line.
pub(crate) struct RunningCommand {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl RunningCommand {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Sends a signal: `INT`, `TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        send_signal(name, &self.child.id().to_string());
    }

    /// Sends a signal to it and the processes that it started, as a terminal does, where it leads a group.
    #[cfg(unix)]
    pub(crate) fn signal_group(&self, name: &str) {
        send_signal(name, &format!("-{}", self.child.id()));
    }

    /// Its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says something on stderr.
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        while !self.seen.iter().any(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(TIMEOUT);
            self.seen.push(line.unwrap_or_else(|_| panic!("never said {text:?}: {:?}", self.seen)));
        }
    }

    /// The first line on stdout.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        line
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> CommandOutput {
        let stdout = self.child.stdout.take().map(|mut stdout| {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
            text
        });
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        let stderr = self.seen.join("\n");
        CommandOutput { code: status.code(), stdout: stdout.unwrap_or_default(), stderr }
    }
}

#[cfg(unix)]
fn send_signal(name: &str, to: &str) {
    let line = format!("kill -s {name} -- {to}");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

/// A bound for a broken test, not part of any.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
