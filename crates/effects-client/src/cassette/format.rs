//! [`Tape`] and its [`TapedExchange`]s: the file of a cassette, as JSON. `recorder.rs` writes it and
//! `player.rs` reads it; `redact.rs` and `difference.rs` work on its [`TapedRequest`] and [`TapedBody`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use effects_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::unusable;

/// A whole cassette.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Tape {
    pub(super) format: Cow<'static, str>,
    pub(super) version: u32,
    /// The library that recorded it.
    #[serde(default)]
    pub(super) recorded_by: Cow<'static, str>,
    /// The gateway; paths of requests are below it.
    pub(super) base_url: String,
    pub(super) exchanges: Vec<TapedExchange>,
}

/// One exchange.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TapedExchange {
    /// When it began, in seconds from the first one on.
    #[serde(default)]
    pub(super) at: f64,
    /// How long it took, in seconds.
    #[serde(default)]
    pub(super) took: f64,
    pub(super) request: TapedRequest,
    pub(super) answer: TapedAnswer,
}

/// What was sent, without the key and without headers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TapedRequest {
    pub(super) method: String,
    /// The path at the gateway, or a URL elsewhere.
    pub(super) target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<TapedBody>,
}

/// What came back: an answer with a status, or why there was none.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct TapedAnswer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<TapedBody>,
    /// Why only a part of the body came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) broken_off: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_sent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) untrusted: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<String>,
}

/// A body: JSON letter for letter, another text, or a hash of anything else, with the file that has it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct TapedBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) json: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<usize>,
    /// Beside the cassette. What was sent has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

impl Tape {
    /// Reads a cassette.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        // A device or a pipe may never end.
        if !path.is_file() {
            return Err(unusable(path, "it is no regular file"));
        }
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => unusable(path, NO_CASSETTE),
            _ => unusable(path, &error.to_string()),
        })?;
        let tape: Self = serde_json::from_str(&text).map_err(|error| {
            // Only a cassette may be removed: a file named by mistake is the user's own.
            let is_cassette = text.starts_with('{') && text.contains(&format!("\"{FORMAT}\""));
            let (line, column) = (error.line(), error.column());
            unusable(
                path,
                &if is_cassette {
                    format!(
                        "it is no whole cassette (see line {line}, column {column}); to record anew, \
                         remove it"
                    )
                } else {
                    NO_CASSETTE.to_owned()
                },
            )
        })?;
        if tape.format != FORMAT || tape.version > VERSION {
            let found = format!("{} of version {}", tape.format, tape.version);
            let known = format!("this library reads {FORMAT} up to version {VERSION}");
            return Err(unusable(path, &format!("it is {found}, and {known}")));
        }
        Ok(tape)
    }
}

impl TapedRequest {
    /// What tells it from requests that may have other answers.
    pub(super) fn identity(&self) -> String {
        let body = self.body.as_ref().map_or_else(String::new, |body| match &body.json {
            // However its fields are ordered.
            Some(json) => serde_json::from_str::<Value>(json.get())
                .map_or_else(|_| json.get().to_owned(), |value| value.to_string()),
            None => body.text().or(body.sha256.as_deref()).unwrap_or_default().to_owned(),
        });
        [&self.method, " ", &self.target, "\n", &body].concat()
    }
}

impl TapedBody {
    /// What it says, where it is text.
    pub(super) fn text(&self) -> Option<&str> {
        self.json.as_ref().map(|json| json.get()).or(self.text.as_deref())
    }
}

/// Where a URL leads: its path below one of these gateways, else the URL.
pub(super) fn target<'a>(url: &'a str, gateways: &[&str]) -> &'a str {
    let below =
        // Another host may begin with the gateway's name: `https://a.example` and
        // `https://a.example.org`.
        |gateway: &&str| url.strip_prefix(*gateway).filter(|rest| rest.starts_with(['/', '?']));
    gateways.iter().find_map(below).unwrap_or(url)
}

/// Why a file that is something else is neither replayed nor recorded to.
const NO_CASSETTE: &str = "it is no cassette: name another file";
/// What the field `format` says.
pub(super) const FORMAT: &str = "effects-cassette";
/// The version that this library writes, and the latest that it reads.
pub(super) const VERSION: u32 = 1;
/// How a file ends after its last exchange. The next one is written over it.
pub(super) const END: &str = "\n]}\n";
