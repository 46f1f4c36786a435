//! [`Python`]: the [`Face`] of the Python clients: it starts `tests/python/driver.py` in an interpreter
//! that has the package, and that program does each [`FaceJob`], one line of JSON each way.
//! `tests/all/python.rs` plays every list of scenarios over it, blocking and async.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use effects_core::model::{Draft, DraftImage};
use effects_core::{Effect, ErrorKind, Pace, Repeat, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::face::{
    Ask, ClientSetup, Ended, EventScope, Face, FaceEvent, FaceFailure, FaceJob, Style,
};

/// The package `spark_effects`, in one of its two clients and one of its styles.
///
/// `SPARK_EFFECTS_PYTHON` names the interpreter that has the package. A program that has played a job
/// is kept for the next.
#[derive(Debug)]
pub struct Python {
    mode: &'static str,
    style: Style,
    idle: Mutex<Vec<PythonProgram>>,
}

impl Python {
    /// The blocking client.
    pub fn blocking(style: Style) -> Self {
        Self { mode: "blocking", style, idle: Mutex::default() }
    }

    /// The async client.
    pub fn awaited(style: Style) -> Self {
        Self { mode: "async", style, idle: Mutex::default() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PythonProgram>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Face for Python {
    fn name(&self) -> String {
        format!("python {} {:?}", self.mode, self.style)
    }

    fn style(&self) -> Style {
        self.style
    }

    /// A task is followed, but nothing follows a submission: `submit` returns its task, or raises.
    fn event_scope(&self) -> EventScope {
        if self.style == Style::Events { EventScope::Tasks } else { EventScope::Nothing }
    }

    fn waits_in_second_run(&self) -> bool {
        self.style != Style::Run
    }

    /// # Panics
    ///
    /// When the program cannot be started, ends, or raises what is no error of the package.
    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        assert!(job.save_to.is_none(), "the program keeps pictures in memory");
        let job_line = json!({
            "mode": self.mode,
            "style": match self.style {
                Style::Run => "run",
                Style::Events => "events",
                Style::Submit => "submit",
            },
            "setup": plain_setup(setup),
            "job": plain_job(job),
        });
        // A program plays one job at a time, so there are as many as scenarios at once.
        let idle = self.idle().pop();
        let mut driver = idle.unwrap_or_else(PythonProgram::start);
        let answer = driver.play(&job_line, report);
        // Only here: a program that crashed made `play` panic, and is not kept.
        self.idle().push(driver);
        answer.ended()
    }
}

/// A running program.
#[derive(Debug)]
struct PythonProgram {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PythonProgram {
    fn start() -> Self {
        let python = std::env::var_os("SPARK_EFFECTS_PYTHON")
            .expect("SPARK_EFFECTS_PYTHON names an interpreter with the package");
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/driver.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else { panic!("the program has no pipes") };
        Self { child, input, output: BufReader::new(output) }
    }

    fn play(&mut self, job_line: &Value, report: &mut dyn FnMut(FaceEvent<'_>)) -> JobAnswer {
        // JSON has no raw line breaks, so a job is one line.
        writeln!(self.input, "{job_line}").expect("the program reads");
        loop {
            match self.read_message() {
                DriverMessage::Begun => report(FaceEvent::Begun),
                DriverMessage::Event(text) => report(FaceEvent::Event(&text)),
                DriverMessage::Ended(answer) => {
                    if let Some(crash) = &answer.crash {
                        panic!("{crash}");
                    }
                    return *answer;
                }
            }
        }
    }

    fn read_message(&mut self) -> DriverMessage {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program answers");
        serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("the program's answer cannot be read: {error}: {line}");
        })
    }
}

impl Drop for PythonProgram {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program says.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DriverMessage {
    Begun,
    Event(String),
    Ended(Box<JobAnswer>),
}

/// How a job ended.
#[derive(Deserialize)]
struct JobAnswer {
    effect: Option<Value>,
    /// The effect's JSON as the service wrote it.
    raw: Option<String>,
    metadata: Option<String>,
    status: Option<String>,
    pictures: Vec<String>,
    failure: Option<PlainFailure>,
    printed: Vec<String>,
    crash: Option<String>,
}

#[derive(Deserialize)]
struct PlainFailure {
    kind: ErrorKind,
    message: String,
    task_id: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    retry_after: Option<f64>,
    request_id: Option<String>,
    resume_line: Option<String>,
}

impl JobAnswer {
    fn ended(self) -> Ended {
        let decoded = |text: &String| STANDARD.decode(text).expect("pictures are base64").into();
        Ended {
            effect: self.effect.map(|effect| whole(&effect, self.raw, self.metadata)),
            status: self.status.map(Status::from),
            pictures: self.pictures.iter().map(decoded).collect(),
            // The package tells nothing of downloads.
            downloads: None,
            failure: self.failure.map(FaceFailure::from),
            printed: self.printed,
        }
    }
}

/// The effect, with what the service wrote letter for letter.
fn whole(effect: &Value, raw: Option<String>, metadata: Option<String>) -> Effect {
    let raw = raw.expect("an effect has the answer it came in");
    let metadata = metadata.unwrap_or_else(|| "null".to_owned());
    // Put together as text: a parsed value would not keep what the service wrote letter for letter.
    let open = effect.to_string();
    let open = open.strip_suffix('}').expect("an effect is an object");
    let text = format!(r#"{open},"raw":{raw},"metadata":{metadata}}}"#);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl From<PlainFailure> for FaceFailure {
    fn from(plain: PlainFailure) -> Self {
        Self {
            kind: plain.kind,
            exit_code: plain.kind.exit_code(),
            message: plain.message,
            task_id: plain.task_id,
            code: plain.code,
            status: plain.status,
            retry_after: plain.retry_after.map(Duration::from_secs_f64),
            request_id: plain.request_id,
            resume_line: plain.resume_line,
        }
    }
}

fn plain_setup(setup: &ClientSetup) -> Value {
    let policy = &setup.policy;
    let retry = &policy.retry;
    // Without a number the program takes the package's own pace.
    let poll = match &policy.pace {
        Pace::Fixed(interval) => Some(interval.as_secs_f64()),
        _ => None,
    };
    json!({
        "base_url": setup.base_url,
        "api_key": setup.api_key,
        "poll": poll,
        "retry": [
            retry.first.as_secs_f64(), retry.factor, retry.most.as_secs_f64(), retry.jitter,
        ],
        "repeat": match policy.repeat {
            Repeat::Never => "never",
            Repeat::Safe => "safe",
            Repeat::Always => "always",
        },
        "request_timeout": policy.request_timeout.as_secs_f64(),
        "wait_timeout": policy.wait_timeout.as_secs_f64(),
        "last_look": policy.last_look.as_secs_f64(),
        // As a span, which begins with the program's own call.
        "deadline": policy.deadline.map(|deadline| deadline.span().as_secs_f64()),
        "not_found_grace": policy.not_found_grace.as_secs_f64(),
        "retry_after_most": policy.retry_after_most.as_secs_f64(),
        "connect_timeout": setup.connect_timeout.as_secs_f64(),
        "uploads": setup.uploads,
        "allow_http": setup.allow_http,
    })
}

fn plain_job(job: &FaceJob) -> Value {
    let none = Draft::default();
    let (ask, draft, photo, task) = match &job.ask {
        Ask::Effect(draft) => ("effect", draft, None, None),
        Ask::EffectOf(photo, draft) => ("effect", draft, Some(STANDARD.encode(photo)), None),
        Ask::Wait(task) => ("wait", &none, None, Some(task)),
        Ask::Look(task) => ("look", &none, None, Some(task)),
    };
    let image = match &draft.image {
        DraftImage::Url(url) => Some(url),
        _ => None,
    };
    json!({
        "ask": ask,
        "template": draft.template_id,
        "image": image,
        "photo": photo,
        "width": draft.width,
        "height": draft.height,
        "unlisted": draft.allow_unlisted,
        "task": task,
        "times": job.times,
    })
}
