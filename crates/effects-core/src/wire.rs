//! The wire, read tolerantly: every variant of WIRE.md section 9.1 decodes.
//!
//! Objects are read field by field over borrowed JSON text, so that a surprise in one field costs
//! that field alone, numbers keep their digits (a cost never passes through a float), and what is
//! not asked for is never parsed.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::code::ServiceCode;
use crate::effect::{Picture, Usage};
use crate::raw::RawJson;
use crate::task::{ServiceError, Status, Task};
use crate::task_id::TaskId;
use crate::time::{Time, parse_iso};

/// An answer of the service, as far as its body could be read.
pub(crate) struct Body<'a> {
    raw: &'a str,
    top: Object<'a>,
}

impl<'a> Body<'a> {
    /// `None` when the body is not a JSON object.
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let raw = str::from_utf8(body).ok()?.trim_matches([' ', '\t', '\r', '\n']);
        Some(Self { raw, top: Object::parse(raw)? })
    }

    /// The object that may be a task: the body, or what an envelope holds as `data`.
    fn task_object(&self) -> Cow<'_, Object<'a>> {
        match self.top.object("data") {
            // A task may have data of its own, with ids that are not the task's.
            Some(data) if !self.top.is_task() && data.has_any(&DATA_OF_A_TASK) => Cow::Owned(data),
            _ => Cow::Borrowed(&self.top),
        }
    }

    /// The id of the task the answer speaks of.
    ///
    /// An error's `request_id` names a request, not a task, so it counts only where no error is.
    pub(crate) fn task_id(&self) -> Option<TaskId> {
        let task = self.task_object();
        task.id("id")
            .or_else(|| task.id("task_id"))
            .or_else(|| self.top.id("id"))
            .or_else(|| self.top.id("task_id"))
            .or_else(|| if self.error().is_none() { task.id("request_id") } else { None })
    }

    /// The task the answer shows: the one that was asked for, whatever ids the answer has; where
    /// none was, the one it names.
    ///
    /// `None` when nothing in the answer speaks of a task.
    pub(crate) fn task(&self, asked: Option<&TaskId>) -> Option<Task> {
        let task = self.task_object();
        let answered = self.task_id();
        // An envelope's `status` is an object and speaks of the exchange, not of a task.
        let status = task.text("status").map(|word| Status::from(&*word));
        if answered.is_none() && status.is_none() && !task.has_any(&["output", "outputs"]) {
            return None;
        }
        let id = asked.cloned().or(answered)?;
        Some(Task {
            status,
            model: task.owned("model"),
            created_at: task.get("created_at").and_then(read_time),
            progress: task.get("progress").and_then(read_progress),
            pictures: read_pictures(&task, &id),
            usage: task.object("usage").map(|usage| read_usage(&usage)),
            error: task.get("error").and_then(read_error),
            metadata: task.object("metadata").and(task.get("metadata")).map(RawJson::from),
            raw: RawJson::of_checked(self.raw),
            id,
        })
    }

    /// The error the answer speaks of, in any of the forms of WIRE.md section 7.1.
    pub(crate) fn error(&self) -> Option<ServiceError> {
        let top = &self.top;
        if let Some(error) = top.get("error").and_then(read_error) {
            // A bare code inside is explained beside it.
            let message = if error.message.is_empty() { top.owned("message") } else { None };
            return Some(ServiceError { message: message.unwrap_or(error.message), ..error });
        }
        if let Some(status) = top.object("status")
            && self.envelope_status().is_some_and(|status| status >= 400)
        {
            let code = status.text("error_code").or_else(|| status.text("code"));
            return Some(service_error(code, status.text("message")));
        }
        if let Some(detail) = top.text("detail").filter(|detail| !detail.is_empty()) {
            return Some(service_error(None, Some(detail)));
        }
        let code = top.text("code").filter(|code| !matches!(&**code, "" | "0" | "200"));
        let message = top.text("message").filter(|message| !message.is_empty());
        match (code, message) {
            (Some(code), Some(message)) => Some(service_error(Some(code), Some(message))),
            _ => None,
        }
    }

    /// The exchange's status inside an envelope: `{"status":{"code":404,…},"data":null}`.
    pub(crate) fn envelope_status(&self) -> Option<u16> {
        self.top.object("status")?.text("code")?.parse().ok()
    }

    /// The name the service gave the exchange, for its support.
    fn request_id(&self) -> Option<String> {
        self.top.owned("request_id")
    }
}

/// The words of an error answer whatever its form: JSON, HTML, plain text, nothing.
pub(crate) fn error_of(body: &[u8]) -> ServiceError {
    if let Some(read) = Body::read(body) {
        let message = || ["message", "error_message", "msg"].iter().find_map(|f| read.top.text(f));
        return read.error().unwrap_or_else(|| service_error(read.top.text("code"), message()));
    }
    service_error(None, Some(excerpt(body).into()))
}

/// The name of an exchange, from the answer's header or body.
pub(crate) fn request_id_of(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let header = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    header.map(str::to_owned).or_else(|| Body::read(body)?.request_id())
}

/// A line of a body that is not JSON, for a person to recognise it by.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let text = text.trim();
    if text.starts_with('<') {
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        return match title {
            Some((title, _)) => format!("an HTML page: {}", one_line(title)),
            None => "an HTML page".to_owned(),
        };
    }
    one_line(text)
}

fn one_line(text: &str) -> String {
    const MOST: usize = 160;
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if let Some((cut, _)) = line.char_indices().nth(MOST) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

fn service_error(code: Option<Cow<'_, str>>, message: Option<Cow<'_, str>>) -> ServiceError {
    ServiceError {
        code: code.filter(|code| !code.is_empty()).map(|code| ServiceCode::from(&*code)),
        message: message.map(|message| one_line(&message)).unwrap_or_default(),
    }
}

/// Text, or an object with a code and one of three words for the message; null and empty are none.
fn read_error(raw: &RawValue) -> Option<ServiceError> {
    if let Some(text) = text_of(raw) {
        return (!text.is_empty() && text != "false").then(|| service_error(None, Some(text)));
    }
    let object = Object::read(raw)?;
    let code = object.text("code").filter(|code| !matches!(&**code, "" | "0"));
    let message = ["error_message", "message", "detail", "msg"]
        .into_iter()
        .filter_map(|field| object.text(field))
        .find(|message| !message.is_empty());
    (code.is_some() || message.is_some()).then(|| service_error(code, message))
}

/// `output` as groups or as one object, or `outputs` flat; items without a usable URL are skipped.
fn read_pictures(task: &Object<'_>, id: &TaskId) -> Vec<Picture> {
    let groups = task.get("output").map(one_or_many).unwrap_or_default();
    let grouped =
        groups.into_iter().filter_map(Object::read).flat_map(|group| match group.get("content") {
            Some(content) => one_or_many(content),
            None => Vec::new(),
        });
    let flat = task.get("outputs").map(one_or_many).unwrap_or_default();
    grouped.chain(flat).filter_map(|item| read_picture(item, id)).collect()
}

fn read_picture(item: &RawValue, id: &TaskId) -> Option<Picture> {
    let item = Object::read(item)?;
    let kind = item.text("type").unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "image" | "image_url") {
        return None;
    }
    let url = usable(item.text("url")?.trim());
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) || url.parse::<http::Uri>().is_err() {
        return None;
    }
    let size = item.text("size").or_else(|| item.text("file_size"));
    let job_id = item.owned("jobId").or_else(|| item.owned("job_id"));
    Some(Picture {
        task_id: id.clone(),
        url,
        size: size.and_then(|size| size.parse().ok()),
        job_id,
    })
}

/// The URL with the few characters encoded that no HTTP client sends: a picture that is paid for is
/// not given up for a space in its name.
fn usable(url: &str) -> String {
    let mut usable = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            ' ' | '<' | '>' | '`' => usable.push_str(&format!("%{:02X}", u32::from(c))),
            c => usable.push(c),
        }
    }
    usable
}

fn read_usage(usage: &Object<'_>) -> Usage {
    let decimal = |field| usage.text(field).and_then(|text| read_decimal(&text));
    Usage { cost: decimal("cost"), discount: decimal("discount") }
}

fn read_decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_scientific(text).ok())
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
    fn read(raw: &'a RawValue) -> Option<Self> {
        Self::parse(raw.get())
    }

    fn parse(json: &'a str) -> Option<Self> {
        if !json.starts_with('{') {
            return None;
        }
        let mut parser = serde_json::Deserializer::from_str(json);
        let object = parser.deserialize_map(ObjectVisitor).ok()?;
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
        while let Some((Text(key), value)) = map.next_entry()? {
            fields.push((key, value));
        }
        Ok(Object(fields))
    }
}

/// A text that borrows where it can: a plain `Cow` never does.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Text as it is, a number or a boolean as it is written; nothing else.
fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok().map(|Text(text)| text),
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

/// What tells an envelope's `data` that is a task from other data.
const DATA_OF_A_TASK: [&str; 6] = ["id", "task_id", "request_id", "status", "output", "outputs"];

/// The URL a storage endpoint answers with (`WIRE.md` section 8).
pub(crate) fn uploaded_url(body: &[u8]) -> Option<String> {
    let read = Body::read(body)?;
    read.top.owned("url").or_else(|| read.top.object("data")?.owned("url"))
}
