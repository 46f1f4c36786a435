//! [`Player`]: an HTTP stack that answers a client's requests from a cassette and sends nothing. Equal
//! requests get the recorded answers in order; a picture and the end of a task are given as often as asked
//! for, and a request without an answer gets an error that shows the difference. `Cassette::open` makes it,
//! and `ClientBuilder` gives it to a client in place of its HTTP stack.
//!
//! Requests are told apart by method, target and redacted body, so each task has its own line of
//! answers, however many are under way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::fs;
use std::future::{Ready, ready};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use effects_core::gateway::{Answer, AsyncExchange, Endpoint, Exchange};
use effects_core::{ApiKey, Error, Task, TaskId};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::difference::{TapeRequests, difference};
use super::format::{Tape, TapedAnswer, TapedBody, TapedExchange, TapedRequest, target};
use super::redact::{Redactor, sha256};
use super::{NO_KEY, REPLAY_BASE, replay_gateway};

/// An exchange that is a cassette's. Clones share how far it is.
#[derive(Clone)]
pub struct Player(Arc<Replay>);

struct Replay {
    path: PathBuf,
    tape: Tape,
    state: Mutex<ReplayState>,
}

#[derive(Default)]
struct ReplayState {
    redactor: Redactor,
    /// The exchanges of each request that are still to come.
    next: HashMap<String, VecDeque<usize>>,
    /// The last one of each that was replayed.
    last: HashMap<String, usize>,
}

impl Player {
    /// Reads a cassette.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) where it is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut tape = Tape::read(path)?;
        let mut state = ReplayState::default();
        for exchange in &mut tape.exchanges {
            let request = exchange.request.clone();
            exchange.request = state.redactor.recorded_again(request);
        }
        for (index, exchange) in tape.exchanges.iter().enumerate() {
            state.next.entry(exchange.request.identity()).or_default().push_back(index);
        }
        Ok(Self(Arc::new(Replay { path: path.to_owned(), tape, state: Mutex::new(state) })))
    }

    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let Replay { tape, state, path } = &*self.0;
        // One lock for look and note: equal requests of two threads are given two answers.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.redactor.learn(request.headers());
        let url = state.redactor.text(&request.uri().to_string());
        let asked = TapedRequest {
            method: request.method().to_string(),
            // The client asks the gateway of replays; links in recorded answers lead to the
            // recorded one.
            target: target(&url, &[REPLAY_BASE, &tape.base_url]).to_owned(),
            body: state.redactor.request_body(request.body()),
        };
        let identity = asked.identity();
        let next = state.next.get_mut(&identity).and_then(VecDeque::pop_front);
        let again =
            || state.last.get(&identity).copied().filter(|&last| is_lasting(&tape.exchanges[last]));
        match next.or_else(again) {
            Some(index) => {
                state.last.insert(identity, index);
                self.0.play(&tape.exchanges[index].answer)
            }
            None => {
                let left = state.next.values().flatten();
                let requests = TapeRequests {
                    all: tape.exchanges.iter().map(|exchange| &exchange.request).collect(),
                    left: left.map(|&index| &tape.exchanges[index].request).collect(),
                    unfinished: unfinished(tape),
                };
                let replayed = state.last.contains_key(&identity);
                let why = difference(&asked, requests, replayed);
                Answer::NotRecorded(format!(
                    "the cassette {} is replayed, and {why}",
                    path.display()
                ))
            }
        }
    }
}

impl Replay {
    fn play(&self, taped: &TapedAnswer) -> Answer {
        let TapedAnswer { status, headers, body, broken_off, not_sent, untrusted, lost } = taped;
        if let Some(reason) = not_sent {
            return Answer::NotSent(reason.clone());
        }
        if let Some(reason) = untrusted {
            return Answer::Untrusted(reason.clone());
        }
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let Some(status) = status else {
            return Answer::Lost(lost.clone().unwrap_or_default());
        };
        let is_file = body.as_ref().is_some_and(|body| body.sha256.is_some());
        let body = match body.as_ref().map_or(Ok(Bytes::new()), |body| self.bytes(body)) {
            Ok(body) => body,
            // A download is not tried again after `Untrusted`: that would not bring the file.
            Err(why) => return Answer::Untrusted(why),
        };
        // What the gateway asked to be waited for was waited for when it was recorded; the dates are of
        // then; what was packed is not any more; and what is redacted has another length.
        let is_kept = |name: &HeaderName| {
            ![RETRY_AFTER, DATE, CONTENT_ENCODING].contains(name)
                && (is_file || *name != CONTENT_LENGTH)
        };
        let headers = headers.iter().filter_map(|(name, value)| {
            let name = name.parse::<HeaderName>().ok().filter(is_kept)?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        let headers: HeaderMap = headers.collect();
        match broken_off {
            None => Answer::Answered { status, headers, body },
            Some(reason) => Answer::BrokenOff { status, headers, body, reason: reason.clone() },
        }
    }

    fn bytes(&self, body: &TapedBody) -> Result<Bytes, String> {
        if let Some(text) = body.text() {
            return Ok(Bytes::copy_from_slice(text.as_bytes()));
        }
        let hash = body.sha256.as_deref().unwrap_or_default();
        let only = |why: String| {
            let path = self.path.display();
            format!("the cassette {path} has only the hash of these bytes (sha256 {hash}): {why}")
        };
        let Some(name) = &body.file else { return Err(only("it names no file".to_owned())) };
        // A cassette may come from others: a name such as `../key` must not have a file elsewhere
        // read.
        let is_beside =
            Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_beside {
            return Err(only(format!("its file {name:?} is not beside it")));
        }
        let file = self.path.with_file_name(name);
        let bytes = fs::read(&file).map_err(|error| {
            only(format!("its file {} cannot be read: {error}", file.display()))
        })?;
        if sha256(&bytes) != hash {
            return Err(only(format!("its file {} has other bytes", file.display())));
        }
        Ok(bytes.into())
    }
}

/// Whether the same request would have the same answer again, so that it may be made more often than it was
/// recorded: a picture, and a task that is over.
fn is_lasting(exchange: &TapedExchange) -> bool {
    let TapedExchange { request, answer, .. } = exchange;
    if request.method != "GET" || answer.status != Some(200) || answer.broken_off.is_some() {
        return false;
    }
    // Every GET but a look at a task is a picture's.
    let Some((_, id)) = request.target.split_once("/generation/task/") else { return true };
    let (Ok(id), Ok(key)) = (id.parse::<TaskId>(), ApiKey::new(NO_KEY)) else { return false };
    // Read as a client reads it, so that a task is over here exactly when it is over for a run.
    let endpoint = Endpoint::new(replay_gateway(), key);
    let text = answer.body.as_ref().and_then(TapedBody::text).unwrap_or_default();
    let task = endpoint.pushed(Bytes::copy_from_slice(text.as_bytes()));
    let task = Task::read(&id, endpoint.base(), &task);
    task.is_ok_and(|task| task.status.is_some_and(|status| status.is_final()))
}

/// What it has without what follows it in each whole recording, which shows that it was cut off.
fn unfinished(tape: &Tape) -> Option<&'static str> {
    let ended: HashSet<&str> = tape.exchanges.iter().filter_map(ended_task).collect();
    let sent = |exchange: &&TapedExchange| is_submission(&exchange.request);
    let is_open = |exchange: &TapedExchange| {
        let task = answer_as::<SubmittedTask>(exchange);
        task.is_some_and(|task| !ended.contains(task.id.as_str()))
    };
    if tape.exchanges.iter().filter(sent).any(is_open) {
        return Some("a task without its end");
    }
    let photos: Vec<&str> = tape
        .exchanges
        .iter()
        .filter(sent)
        .filter_map(|exchange| exchange.request.body.as_ref()?.text())
        .collect();
    let is_unused = |exchange: &TapedExchange| {
        let photo = answer_as::<UploadedPhoto>(exchange);
        photo.is_some_and(|photo| !photos.iter().any(|body| body.contains(&photo.url)))
    };
    let uploaded = |exchange: &&TapedExchange| is_upload(&exchange.request);
    let is_any_unused = tape.exchanges.iter().filter(uploaded).any(is_unused);
    is_any_unused.then_some("a photo that was uploaded for a submission that it has not")
}

fn answer_as<T: DeserializeOwned>(exchange: &TapedExchange) -> Option<T> {
    serde_json::from_str(exchange.answer.body.as_ref()?.text()?).ok()
}

fn is_submission(request: &TapedRequest) -> bool {
    request.method == "POST" && request.target.ends_with("/generation")
}

fn is_upload(request: &TapedRequest) -> bool {
    request.method == "POST" && request.target.ends_with("/storage/files")
}

/// The id of the task whose end an exchange shows.
fn ended_task(exchange: &TapedExchange) -> Option<&str> {
    let (_, id) = exchange.request.target.split_once("/generation/task/")?;
    is_lasting(exchange).then_some(id)
}

/// What is read of an answer to a submission.
#[derive(Deserialize)]
struct SubmittedTask {
    id: String,
}

/// What is read of an answer to an upload.
#[derive(Deserialize)]
struct UploadedPhoto {
    url: String,
}

impl Exchange for Player {
    fn exchange(&self, request: Request<Bytes>, _limit: Duration) -> Answer {
        self.answer(&request)
    }
}

impl AsyncExchange for Player {
    type Exchanging<'a> = Ready<Answer>;

    fn exchange(&self, request: Request<Bytes>, _limit: Duration) -> Self::Exchanging<'_> {
        ready(self.answer(&request))
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Player").field(&self.0.path).finish()
    }
}
