//! [`Recorded`]: middleware around a client's HTTP stack that writes each exchange to a cassette, without
//! keys; where the file cannot be made, nothing is sent. `ClientBuilder` makes it with the [`Recording`] of
//! `Cassette::open`, which holds the file: it is whole JSON after each exchange, since the next one is
//! written over its end in one write.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_core::gateway::{Answer, AsyncExchange, Exchange};
use effects_core::{BaseUrl, Error, ImageFormat};
use http::Request;

use super::format::{
    END, FORMAT, Tape, TapedAnswer, TapedBody, TapedExchange, TapedRequest, VERSION, target,
};
use super::redact::{Redactor, hash};
use super::{RECORDED_ELSEWHERE, is_locked, unusable};
use crate::atomic_file::write_file;
use crate::telemetry;

/// A cassette that is being recorded.
pub(crate) struct Recording {
    path: PathBuf,
    base: String,
    /// A forked child has a copy of this, and must not write to the file that it shares.
    process: u32,
    state: Mutex<RecordingState>,
}

#[derive(Default)]
struct RecordingState {
    redactor: Redactor,
    file: Option<TapeFile>,
    begun: Option<Instant>,
}

/// The file, and where its end is written.
struct TapeFile {
    file: File,
    end: u64,
    is_empty: bool,
    /// Why nothing more is written.
    failed: bool,
}

/// An exchange that was begun.
struct TapedBeginning {
    at: Instant,
    request: TapedRequest,
}

impl Recording {
    pub(super) fn new(path: PathBuf, base: &BaseUrl) -> Self {
        let (base, process) = (base.to_string(), process::id());
        Self { path, base, process, state: Mutex::default() }
    }

    /// Whether a client of this gateway may record on it, too: paths are below one gateway.
    pub(super) fn check_base(&self, base: &BaseUrl) -> Result<(), Error> {
        if self.base == base.to_string() {
            return Ok(());
        }
        let why = format!("it is being recorded at {}, and cannot be at {base}", self.base);
        Err(unusable(&self.path, &why))
    }

    /// Whether it has a file.
    pub(super) fn has_begun(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).file.is_some()
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    /// Lets go of a parent's file, whose lock would be held here after the parent has ended. The parent's own
    /// stays.
    pub(super) fn close_in_fork(&self) {
        // A thread that is not in this process may hold the mutex for ever.
        if let Ok(mut state) = self.state.try_lock() {
            state.file = None;
        }
    }

    /// Notes what is about to be sent. Where nothing can be recorded, nothing may be sent.
    fn begin(&self, request: &Request<Bytes>) -> Result<TapedBeginning, String> {
        let refused = |why: String| {
            let path = self.path.display();
            format!("the cassette {path} cannot be recorded: {why}")
        };
        if !self.is_of_this_process() {
            let why = "this process was forked from the one that records it";
            return Err(refused(why.to_owned()));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Made before the first request leaves: what cannot be recorded is not sent, and not paid for.
        if state.file.is_none() {
            let file = TapeFile::create(&self.path, &self.base).map_err(|error| {
                refused(match error.kind() {
                    io::ErrorKind::AlreadyExists if is_locked(&self.path) => {
                        RECORDED_ELSEWHERE.to_owned()
                    }
                    io::ErrorKind::AlreadyExists => {
                        "another process has recorded it meanwhile".to_owned()
                    }
                    _ => error.to_string(),
                })
            })?;
            state.file = Some(file);
        }
        state.redactor.learn(request.headers());
        let url = state.redactor.text(&request.uri().to_string());
        let request = TapedRequest {
            method: request.method().to_string(),
            target: target(&url, &[&self.base]).to_owned(),
            body: state.redactor.request_body(request.body()),
        };
        let at = Instant::now();
        state.begun.get_or_insert(at);
        Ok(TapedBeginning { at, request })
    }

    /// Writes an exchange that is over. What cannot be written is told: the answer may be paid for, and
    /// is the caller's all the same.
    fn end(&self, beginning: TapedBeginning, answer: &Answer) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = state.begun.unwrap_or(beginning.at);
        let taped = self.answer(&state.redactor, answer).map(|answer| TapedExchange {
            at: seconds(beginning.at - begun),
            took: seconds(beginning.at.elapsed()),
            request: beginning.request,
            answer,
        });
        // Nothing after a gap: a replay gives equal requests their answers in order, and one would
        // be missing.
        let Some(file) = state.file.as_mut().filter(|file| !file.failed) else { return };
        if let Err(error) = taped.and_then(|exchange| file.append(&exchange)) {
            file.failed = true;
            let path = self.path.display();
            telemetry::warn(&format!(
                "the cassette {path} ends before this exchange, since it cannot be written: {error}"
            ));
        }
    }

    fn answer(&self, redactor: &Redactor, answer: &Answer) -> io::Result<TapedAnswer> {
        let none = TapedAnswer::default();
        let reason = |reason: &String| Some(redactor.text(reason));
        let (status, headers, body, broken_off) = match answer {
            Answer::Answered { status, headers, body } => (status, headers, body, None),
            Answer::BrokenOff { status, headers, body, reason: why } => {
                (status, headers, body, reason(why))
            }
            Answer::NotSent(why) => return Ok(TapedAnswer { not_sent: reason(why), ..none }),
            // A stack of the caller's that replays sent nothing either.
            Answer::Untrusted(why) | Answer::NotRecorded(why) => {
                return Ok(TapedAnswer { untrusted: reason(why), ..none });
            }
            Answer::Lost(why) => return Ok(TapedAnswer { lost: reason(why), ..none }),
        };
        let body = match redactor.answer_body(body) {
            _ if body.is_empty() => None,
            Some(text) => Some(text),
            None => Some(self.write_beside(body)?),
        };
        let (status, headers) = (Some(status.as_u16()), redactor.headers(headers));
        Ok(TapedAnswer { status, headers: headers.into_iter().collect(), body, broken_off, ..none })
    }

    /// Writes bytes that are no text, a picture's mostly, into a file beside the cassette.
    fn write_beside(&self, body: &Bytes) -> io::Result<TapedBody> {
        let taped = hash(body);
        let folder = self.path.with_extension("files");
        let ending = ImageFormat::sniff(body).map_or("bin", |format| format.extension());
        let name = format!("{}.{ending}", taped.sha256.as_deref().unwrap_or_default());
        fs::create_dir_all(&folder)?;
        write_file(&folder.join(&name), body)?;
        let folder = folder.file_name().unwrap_or_default().to_string_lossy();
        Ok(TapedBody { file: Some(format!("{folder}/{name}")), ..taped })
    }
}

impl TapeFile {
    /// Makes the file; it must not be there.
    fn create(path: &Path, base: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // Another process that finds the file must not replay the half of it. A file system without locks
        // records all the same.
        let _ = file.try_lock();
        let head = Tape {
            format: FORMAT.into(),
            version: VERSION,
            recorded_by: concat!("effects/", env!("CARGO_PKG_VERSION")).into(),
            base_url: base.to_owned(),
            exchanges: Vec::new(),
        };
        // Up to the bracket that opens the exchanges.
        let head = serde_json::to_string(&head)?;
        let head = head.trim_end_matches("]}");
        file.write_all([head, END].concat().as_bytes())?;
        Ok(Self { file, end: head.len() as u64, is_empty: true, failed: false })
    }

    /// Writes one exchange more, and the end after it.
    fn append(&mut self, exchange: &TapedExchange) -> io::Result<()> {
        let separator = if self.is_empty { "\n" } else { ",\n" };
        let text = [separator, &serde_json::to_string(exchange)?].concat();
        if let Err(error) = self.write([&text, END].concat().as_bytes()) {
            // A full disk took a part of it: the file ends where it ended.
            self.write(END.as_bytes())?;
            self.file.set_len(self.end + END.len() as u64)?;
            return Err(error);
        }
        self.end += text.len() as u64;
        self.is_empty = false;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)
    }
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// An exchange whose requests and answers are put on a cassette.
pub struct Recorded<X> {
    inner: X,
    recording: Arc<Recording>,
}

impl<X> Recorded<X> {
    pub(crate) fn new(inner: X, recording: Arc<Recording>) -> Self {
        Self { inner, recording }
    }
}

impl<X: Exchange> Exchange for Recorded<X> {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let beginning = match self.recording.begin(&request) {
            Ok(beginning) => beginning,
            // Also the answer of a stack that does not send a request: a submission is not repeated.
            Err(why) => return Answer::Untrusted(why),
        };
        let answer = self.inner.exchange(request, limit);
        self.recording.end(beginning, &answer);
        answer
    }
}

impl<X> AsyncExchange for Recorded<X>
where
    X: AsyncExchange + Send + Sync,
    for<'a> X::Exchanging<'a>: Send,
{
    type Exchanging<'a>
        = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>
    where
        X: 'a;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        Box::pin(async move {
            let beginning = match self.recording.begin(&request) {
                Ok(beginning) => beginning,
                Err(why) => return Answer::Untrusted(why),
            };
            let answer = self.inner.exchange(request, limit).await;
            let (recording, written) = (Arc::clone(&self.recording), answer.clone());
            // Writing to a disk may block the thread that drives.
            self.inner.block(Box::new(move || recording.end(beginning, &written))).await;
            answer
        })
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.inner.block(work)
    }
}

impl<X> fmt::Debug for Recorded<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorded").field(&self.recording.path).finish()
    }
}
