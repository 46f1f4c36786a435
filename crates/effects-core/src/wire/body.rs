//! [`Body`]: a tolerant reader of the JSON body of an answer: it decodes every variant that was seen of the
//! gateway or in clients of it. `wire/answer.rs` reads the answers to submissions, polls and uploads with
//! it; its callers say by [`TaskDetail`] whether all of a task is read (`error.rs`), or of one that goes on
//! its state alone (`run/wait.rs`). `answer_excerpt.rs` takes the request id from here, `run/outcome.rs`
//! the text about an answer without a picture.
//!
//! Objects are read field by field over borrowed JSON text, so that a surprise in one field costs
//! that field alone, numbers keep their digits (a cost never passes through a float), and what is
//! not asked for is never parsed.
//!
//! An answer may repeat the API key. Everything is decoded and decided on as it came; what is kept to
//! be shown or stored is then taken through [`ApiKey::redact`], before it is cut to a line.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::LOCATION;
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::AnswerBody;
use crate::task_id::TaskId;
use crate::time::{Time, parse_iso};
use crate::wire::code::ServiceCode;
use crate::wire::picture::Picture;
use crate::wire::raw::RawJson;
use crate::wire::task::{ServiceError, Status, Task};
use crate::wire::usage::{Usage, read_decimal};

/// How much is read of a task that an answer shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TaskDetail {
    /// All of it, for a caller who asked for the task.
    Full,
    /// What a run goes by, which looks at a task a dozen times: of one that goes on its state alone,
    /// without pictures, bill, notes and the answer's text, of one that is over all of it.
    State,
}

/// An answer of the service, as far as its body could be read.
pub(crate) struct Body<'a> {
    raw: &'a str,
    top: Object<'a>,
    key: &'a ApiKey,
}

impl<'a> Body<'a> {
    /// `None` when the body is not a JSON object.
    pub(crate) fn read(body: AnswerBody<'a>) -> Option<Self> {
        // RFC 8259 (8.1) lets a reader pass over a byte order mark; the parser does not. The four
        // characters are all that JSON takes for white space, where `trim` takes more.
        let bytes = body.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body.bytes);
        let raw = str::from_utf8(bytes).ok()?.trim_matches([' ', '\t', '\r', '\n']);
        Some(Self { raw, top: Object::parse(raw)?, key: body.key })
    }

    /// The object that may be a task: the body, or what an envelope holds as `data`.
    fn task_object(&self) -> Cow<'_, Object<'a>> {
        self.top.task()
    }

    /// The id of the task the answer speaks of.
    ///
    /// An error's `request_id` names a request, not a task, so it counts only where no error is.
    pub(crate) fn task_id(&self) -> Option<TaskId> {
        self.id().or_else(|| {
            // An error without words still has a code, which `error` does not count alone.
            let speaks_of_an_error = self.error().is_some() || self.codes().next().is_some();
            if speaks_of_an_error { None } else { self.task_object().id("request_id") }
        })
    }

    /// The id that stands under a task's own names.
    pub(crate) fn id(&self) -> Option<TaskId> {
        let task = self.task_object();
        task.id("id")
            .or_else(|| task.id("task_id"))
            .or_else(|| self.top.id("id"))
            .or_else(|| self.top.id("task_id"))
    }

    /// The same, where it is certain to be a task's: an error may have an `id` of its own, beside
    /// words for a person.
    pub(crate) fn id_of_a_shown_task(&self) -> Option<TaskId> {
        let task = self.task_object();
        // Beside a 4xx, "error" says how the request ended and shows no task, though a task can end
        // so, too.
        let status = task.text("status").filter(|word| !word.eq_ignore_ascii_case("error"));
        let shown = task.has_any(&["output", "outputs"])
            || status.is_some_and(|word| !matches!(Status::from(&*word), Status::Unknown(_)));
        let says_nothing_else = self.codes().next().is_none()
            && !["error", "message", "detail"].iter().any(|field| self.top.get(field).is_some());
        // A field of this name is a task's id, whatever else the answer says.
        let named = task.id("task_id").or_else(|| self.top.id("task_id"));
        named.or_else(|| if shown || says_nothing_else { self.id() } else { None })
    }

    /// The codes of the errors the answer speaks of, wherever the forms in
    /// `tests/vectors/http_errors.json` have one: statuses of HTTP and the service's own alike.
    pub(crate) fn codes(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let (status, error) = (self.top.object("status"), self.top.object("error"));
        let inside = |object: &Option<Object<'a>>, field| object.as_ref()?.text(field);
        let codes = [
            inside(&status, "code"),
            inside(&status, "error_code"),
            inside(&error, "code"),
            self.top.text("code"),
        ];
        // Envelopes say 0 or 200 where nothing is wrong.
        codes.into_iter().flatten().filter(|code| !matches!(&**code, "" | "0" | "200"))
    }

    /// The task the answer shows: the one that was asked for, whatever ids the answer has; where
    /// none was, the one it names.
    ///
    /// `None` when nothing in the answer speaks of a task.
    pub(crate) fn task(&self, asked: Option<&TaskId>, detail: TaskDetail) -> Option<Task> {
        let task = self.task_object();
        // An envelope's `status` is an object and speaks of the exchange, not of a task.
        let status = task.text("status").map(|word| match Status::from(&*word) {
            // Only the text of an unknown word is kept, so only that one can hold the key.
            Status::Unknown(_) => Status::from(&*self.key.redact(word)),
            known => known,
        });
        let shown = status.is_some() || task.has_any(&["output", "outputs"]);
        // A state is taken for the task that was asked for. Without one, the answer must at least
        // name a task.
        let id = match asked {
            Some(asked) if shown => asked.clone(),
            asked => {
                let answered = self.task_id()?;
                asked.cloned().unwrap_or(answered)
            }
        };
        let created_at = task.get("created_at").and_then(read_time);
        let progress = task.get("progress").and_then(read_progress);
        if detail == TaskDetail::State && status.as_ref().is_some_and(|status| !status.is_final()) {
            return Some(Task { status, created_at, progress, ..Task::named(id) });
        }
        Some(Task {
            status,
            model: task.text("model").map(|model| self.key.redact(model).into_owned()),
            created_at,
            progress,
            pictures: read_pictures(&task, &id)
                .into_iter()
                .map(|picture| without_key(picture, self.key))
                .collect(),
            usage: task.object("usage").map(|usage| read_usage(&usage, self.key)),
            error: task.get("error").and_then(|error| read_error(error, self.key)),
            metadata: task
                .object("metadata")
                .and(task.get("metadata"))
                .map(|metadata| RawJson::of_answer(metadata.get(), self.key)),
            raw: RawJson::of_answer(self.raw, self.key),
            response: None,
            id,
        })
    }

    /// The error the answer speaks of, in any of the forms in `tests/vectors/http_errors.json`.
    pub(crate) fn error(&self) -> Option<ServiceError> {
        let top = &self.top;
        if let Some(error) = top.get("error").and_then(|error| read_error(error, self.key)) {
            // A bare code inside is explained beside it.
            let message = if error.message.is_empty() { top.text("message") } else { None };
            let message = message.map(|message| message_line(&message, self.key));
            return Some(ServiceError { message: message.unwrap_or(error.message), ..error });
        }
        if let Some(status) = top.object("status")
            && self.envelope_status().is_some_and(|status| status >= 400)
        {
            let code = status.text("error_code").or_else(|| status.text("code"));
            return Some(service_error(code, status.text("message"), self.key));
        }
        if let Some(detail) = top.text("detail").filter(|detail| !detail.is_empty()) {
            return Some(service_error(None, Some(detail), self.key));
        }
        // A message alone may stand beside a success ("ok"): here it takes a code to make it an
        // error.
        let code = top.text("code").filter(|code| !matches!(&**code, "" | "0" | "200"));
        let message = top.text("message").filter(|message| !message.is_empty());
        match (code, message) {
            (Some(code), Some(message)) => Some(service_error(Some(code), Some(message), self.key)),
            _ => None,
        }
    }

    /// The exchange's status inside an envelope: `{"status":{"code":404,…},"data":null}`.
    pub(crate) fn envelope_status(&self) -> Option<u16> {
        self.top.object("status")?.text("code")?.parse().ok()
    }

    /// The name the service gave the exchange, for its support.
    fn request_id(&self) -> Option<String> {
        Some(self.key.redact(self.top.text(REQUEST_ID)?).into_owned())
    }
}

/// The words of an error answer whatever its form: JSON, HTML, plain text, nothing.
pub(crate) fn error_of(body: AnswerBody<'_>) -> ServiceError {
    if let Some(read) = Body::read(body) {
        let message = || ["message", "error_message", "msg"].iter().find_map(|f| read.top.text(f));
        return read
            .error()
            // The status has said that this is an error, so words without a code count as well.
            .unwrap_or_else(|| service_error(read.top.text("code"), message(), body.key));
    }
    ServiceError { code: None, message: excerpt(body) }
}

/// The service's name for an exchange: of the first of the headers that have it, else of the body, else of
/// a network in between.
pub(crate) fn request_id_of(headers: &HeaderMap, body: AnswerBody<'_>) -> Option<String> {
    let named = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
        let value = values.find(|value| !value.is_empty())?;
        Some(body.key.redact(value).into_owned())
    };
    named(&OWN_NAMES)
        .or_else(|| {
            // Most answers have none, and a search is done before they are parsed once more.
            memmem::find(body.bytes, REQUEST_ID.as_bytes())?;
            Body::read(body)?.request_id()
        })
        .or_else(|| named(&NAMES_IN_BETWEEN))
}

/// Where an answer points, for a person to look at: without what may be a permission, which is a
/// query, a fragment, a parameter, a user's name or password.
pub(crate) fn location_of(headers: &HeaderMap, body: AnswerBody<'_>) -> Option<String> {
    let location = String::from_utf8_lossy(headers.get(LOCATION)?.as_bytes());
    let target = location.split(['?', '#', ';']).next().unwrap_or_default();
    let shown = match target.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}//{host}{path}")
        }
        None => target.to_owned(),
    };
    Some(one_line(&shown, Some(body.key))).filter(|shown| !shown.is_empty())
}

/// A line of a body that is not JSON, for a person to recognise it by.
pub(crate) fn excerpt(body: AnswerBody<'_>) -> String {
    let text = String::from_utf8_lossy(body.bytes);
    let text = text.trim();
    if text.starts_with('<') {
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        return match title {
            Some((title, _)) => format!("an HTML page: {}", one_line(title, Some(body.key))),
            None => "an HTML page".to_owned(),
        };
    }
    one_line(text, Some(body.key))
}

/// The text as one line, without the key unless that was taken out before, cut to a length that a person reads.
fn one_line(text: &str, key: Option<&ApiKey>) -> String {
    cut_line(text, key, MAX_EXCERPT_CHARS)
}

/// The service's own words, which may end in advice: longer than what is shown of an unknown body.
fn message_line(text: &str, key: &ApiKey) -> String {
    cut_line(text, Some(key), MAX_MESSAGE_CHARS)
}

fn cut_line(text: &str, key: Option<&ApiKey>, max_chars: usize) -> String {
    // The key has no spaces, so words are whole or left out: the beginning of a key is too much of it.
    let mut line = String::new();
    for word in text.split_whitespace() {
        // A character has at most four bytes, so this is enough for the cut below.
        if line.len() > 4 * max_chars {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
    }
    let mut line = match key {
        Some(key) => key.clean(line).into_owned(),
        None => line,
    };
    if let Some((cut, _)) = line.char_indices().nth(max_chars) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

fn service_error(
    code: Option<Cow<'_, str>>,
    message: Option<Cow<'_, str>>,
    key: &ApiKey,
) -> ServiceError {
    ServiceError {
        code: code
            .filter(|code| !code.is_empty())
            .map(|code| ServiceCode::from(&*key.redact(code))),
        message: message.map(|message| message_line(&message, key)).unwrap_or_default(),
    }
}

/// Text, or an object with a code and one of three words for the message; null and empty are none.
fn read_error(raw: &RawValue, key: &ApiKey) -> Option<ServiceError> {
    if let Some(text) = text_of(raw) {
        // `"error": false` says that there is none.
        return (!text.is_empty() && text != "false").then(|| service_error(None, Some(text), key));
    }
    let object = Object::read(raw)?;
    let code = object.text("code").filter(|code| !matches!(&**code, "" | "0"));
    let message = ["error_message", "message", "detail", "msg"]
        .into_iter()
        .filter_map(|field| object.text(field))
        .find(|message| !message.is_empty());
    (code.is_some() || message.is_some()).then(|| service_error(code, message, key))
}

/// A picture's URL and job are kept and shown, so a key that is repeated there is taken out; such a
/// URL may then lead nowhere, which costs less than a key in a journal.
fn without_key(picture: Picture, key: &ApiKey) -> Picture {
    Picture {
        url: key.redact(picture.url).into_owned(),
        job_id: picture.job_id.map(|job| key.redact(job).into_owned()),
        ..picture
    }
}

/// The links of `output`, `outputs` and `content`: texts, objects with a `url`, groups of either with
/// a `content`, in lists, up to [`DEEPEST_OUTPUT`] levels. Whether a link is usable, its gateway decides.
fn read_pictures(task: &Object<'_>, id: &TaskId) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for raw in OUTPUTS.iter().filter_map(|field| task.get(field)) {
        gather_pictures(raw, id, DEEPEST_OUTPUT, &mut pictures);
    }
    pictures
}

/// What is nested deeper than `levels` is left out: parsing borrowed JSON needs no stack, and this would,
/// as much as an answer asks for.
fn gather_pictures(raw: &RawValue, id: &TaskId, levels: u32, pictures: &mut Vec<Picture>) {
    let Some(levels) = levels.checked_sub(1) else { return };
    match raw.get().as_bytes().first() {
        Some(b'[') => {
            for item in one_or_many(raw) {
                gather_pictures(item, id, levels, pictures);
            }
        }
        Some(b'{') => {
            let Some(item) = Object::read(raw) else { return };
            match item.get("content") {
                Some(content) if text_of(content).is_none() => {
                    gather_pictures(content, id, levels, pictures);
                }
                content => pictures.extend(read_picture(&item, content, id)),
            }
        }
        Some(b'"') => {
            let url = text_of(raw).filter(|text| is_link(text));
            pictures.extend(url.map(|url| picture(id, &url)));
        }
        _ => {}
    }
}

/// A picture by its `url`, or by a text that stands for its content.
fn read_picture(item: &Object<'_>, content: Option<&RawValue>, id: &TaskId) -> Option<Picture> {
    let kind = item.text("type").unwrap_or_default().to_ascii_lowercase();
    // Content of other types, such as texts and films, has URLs as well.
    if !matches!(kind.as_str(), "" | "image" | "image_url") {
        return None;
    }
    let url = item.text("url").or_else(|| content.and_then(text_of))?;
    let size = item.text("size").or_else(|| item.text("file_size"));
    Some(Picture {
        size: size.and_then(|size| size.parse().ok()),
        job_id: item.owned("jobId").or_else(|| item.owned("job_id")),
        ..picture(id, Some(url).filter(|url| is_link(url))?.trim())
    })
}

fn picture(id: &TaskId, url: &str) -> Picture {
    Picture { task_id: id.clone(), url: url.trim().to_owned(), size: None, job_id: None }
}

/// Whether a text may be a link, so that one like `pending` is not resolved to a place at the gateway:
/// it has a scheme, or begins at the root or in the folder, or ends as pictures do.
fn is_link(text: &str) -> bool {
    let text = text.trim();
    if text.contains("://") {
        return true;
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let ends_as_one =
        matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg" | "webp" | "gif" | "avif"));
    // A longer text that begins with a slash is a JPEG in base64.
    text.len() <= MAX_RELATIVE_LINK_BYTES && (text.starts_with('/') || ends_as_one)
}

/// What an answer has where its pictures belong, for a person: a line, without the queries of links,
/// which may be permissions.
pub(crate) fn sent_output(raw: &RawJson) -> String {
    // The key was taken out when the answer was read.
    let sent = Object::parse(raw.as_str()).and_then(|top| {
        let task = top.task();
        OUTPUTS.iter().find_map(|field| task.get(field)).map(|raw| raw.get().to_owned())
    });
    let Some(sent) = sent else { return "no output".to_owned() };
    let mut shown = String::new();
    let mut in_query = false;
    for c in sent.chars() {
        match c {
            '?' if !in_query => {
                in_query = true;
                shown.push_str("?…");
            }
            '"' | '\\' | ' ' => {
                in_query = false;
                shown.push(c);
            }
            _ if in_query => {}
            _ => shown.push(c),
        }
    }
    one_line(&shown, None)
}

/// A cost that cannot be read is no reason to lose it: it is kept as it was sent.
fn read_usage(usage: &Object<'_>, key: &ApiKey) -> Usage {
    let sent = usage.get("cost").map(|raw| text_of(raw).unwrap_or(Cow::Borrowed(raw.get())));
    let cost = sent.as_deref().and_then(Usage::read_cost);
    Usage {
        cost,
        unreadable_cost: sent.filter(|_| cost.is_none()).map(|sent| one_line(&sent, Some(key))),
        discount: usage.text("discount").and_then(|text| read_decimal(&text)),
    }
}

/// Seconds or milliseconds since the epoch as a number or its text, or an ISO time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be in range"
)]
fn read_time(raw: &RawValue) -> Option<Time> {
    let text = text_of(raw)?;
    let Ok(number) = text.parse::<f64>() else {
        return parse_iso(&text);
    };
    // Zero is no date: it stands where none was set.
    if !(1.0..1e15).contains(&number) {
        return None;
    }
    // Seconds stay below 1e11 until the year 5138.
    Some(Time::from_millis(if number < 1e11 { number * 1e3 } else { number } as u64))
}

/// 0 to 1, clamped; what is above 1 is taken as per cent.
fn read_progress(raw: &RawValue) -> Option<f64> {
    let text = text_of(raw)?;
    let number: f64 = text.trim_end_matches('%').parse().ok()?;
    let share = if number > 1.0 { number / 100.0 } else { number };
    share.is_finite().then(|| share.clamp(0.0, 1.0))
}

/// A JSON object whose values are not parsed before they are asked for.
///
/// A list and not a map: answers have few fields, and a search costs less than hashing them.
#[derive(Clone)]
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The object that may be a task: itself, or what an envelope holds as `data`.
    fn task(&self) -> Cow<'_, Self> {
        match self.object("data") {
            // A task may have data of its own, with ids that are not the task's.
            Some(data) if !self.is_task() && data.has_any(&DATA_OF_A_TASK) => Cow::Owned(data),
            _ => Cow::Borrowed(self),
        }
    }

    fn read(raw: &'a RawValue) -> Option<Self> {
        Self::parse(raw.get())
    }

    fn parse(json: &'a str) -> Option<Self> {
        if !json.starts_with('{') {
            return None;
        }
        let mut parser = serde_json::Deserializer::from_str(json);
        let object = parser.deserialize_map(ObjectVisitor).ok()?;
        // With something behind the object it is no JSON; `repair` passes over that.
        parser.end().ok()?;
        Some(object)
    }

    /// The value of a field that is there and not null; of a field written twice, the last.
    fn get(&self, field: &str) -> Option<&'a RawValue> {
        let (_, raw) = self.0.iter().rev().find(|(key, _)| key == field)?;
        (raw.get() != "null").then_some(*raw)
    }

    fn has_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.get(field).is_some())
    }

    /// The text of a field that holds text or a number.
    fn text(&self, field: &str) -> Option<Cow<'a, str>> {
        self.get(field).and_then(text_of)
    }

    /// The same, to keep.
    fn owned(&self, field: &str) -> Option<String> {
        self.text(field).map(Cow::into_owned)
    }

    fn object(&self, field: &str) -> Option<Self> {
        self.get(field).and_then(Self::read)
    }

    fn id(&self, field: &str) -> Option<TaskId> {
        self.text(field)?.parse().ok()
    }

    /// Whether it names a task and shows it.
    fn is_task(&self) -> bool {
        let shown = self.text("status").is_some() || self.has_any(&["output", "outputs"]);
        shown && (self.id("id").is_some() || self.id("task_id").is_some())
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // As many as the service documents for a task, and some.
        let mut fields = Vec::with_capacity(12);
        while let Some((BorrowedText(key), value)) = map.next_entry()? {
            fields.push((key, value));
        }
        Ok(Object(fields))
    }
}

/// A text that borrows where it can: a plain `Cow` never does.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Text as it is, a number or a boolean as it is written; nothing else.
fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        // Without an escape a text is what stands between its quotes.
        b'"' if !json.contains('\\') => Some(Cow::Borrowed(json.trim_matches('"'))),
        b'"' => serde_json::from_str(json).ok().map(|BorrowedText(text)| text),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

fn one_or_many(raw: &RawValue) -> Vec<&RawValue> {
    if raw.get().starts_with('[') {
        return serde_json::from_str(raw.get()).unwrap_or_default();
    }
    vec![raw]
}

/// Where a task's pictures may stand.
const OUTPUTS: [&str; 3] = ["output", "outputs", "content"];

/// How deep links are looked for in them: far deeper than any answer that was seen, which is four.
const DEEPEST_OUTPUT: u32 = 64;

/// The field in which a body names an exchange.
const REQUEST_ID: &str = "request_id";

/// Headers in which a service names an exchange.
const OWN_NAMES: [&str; 6] = [
    "x-request-id",
    "request-id",
    "x-trace-id",
    "x-correlation-id",
    "x-tt-logid",
    "x-amzn-requestid",
];

/// Headers in which a network before the service does.
const NAMES_IN_BETWEEN: [&str; 3] = ["cf-ray", "x-amz-cf-id", "x-amz-request-id"];

const MAX_RELATIVE_LINK_BYTES: usize = 2_048;

/// Characters.
const MAX_EXCERPT_CHARS: usize = 160;
/// Characters, as many as the journal keeps.
const MAX_MESSAGE_CHARS: usize = 500;

/// What tells an envelope's `data` that is a task from other data.
const DATA_OF_A_TASK: [&str; 6] = ["id", "task_id", "request_id", "status", "output", "outputs"];

/// The URL a storage endpoint answers with (docs/reference/service.md).
pub(crate) fn uploaded_url(body: AnswerBody<'_>) -> Option<String> {
    let read = Body::read(body)?;
    read.top.owned("url").or_else(|| read.top.object("data")?.owned("url"))
}
