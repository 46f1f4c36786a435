//! [`Vectors`]: one file of `tests/vectors`: test vectors of the wire, each an answer ([`AnswerCase`]) or a
//! request ([`RequestCase`]) with what it must mean. `tests/all/vectors.rs` loads each file with [`load`]
//! and checks that the core reads and makes them so.
//!
//! `tests/vectors/README.md` describes the format.

use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use effects_testkit::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A file of vectors: what it is about, and its cases.
#[derive(Clone, Debug, Deserialize)]
// A misspelt field would be a check that is never made.
#[serde(deny_unknown_fields)]
pub struct Vectors<Case> {
    /// What it is about.
    pub about: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// An answer, and what it must be read as.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerCase {
    /// Its name, unique in its file.
    pub name: String,
    /// The section of the wire's description it stems from.
    pub source: String,
    /// The answer.
    pub answer: WireAnswer,
    /// What it means to a submission.
    pub submission: Option<Map<String, Value>>,
    /// What it means to a look at the task [`TASK`].
    pub look: Option<Map<String, Value>>,
}

/// An answer on the wire; its body is given in one of three ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireAnswer {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    /// Written as compact JSON. Null is a body too.
    #[serde(default, deserialize_with = "present")]
    json: Option<Value>,
    text: Option<String>,
    base64: Option<String>,
}

impl WireAnswer {
    /// The answer for the test kit.
    ///
    /// # Panics
    ///
    /// When the vector gives a body in none or several of the three ways.
    pub fn response(&self) -> Response {
        let body = match (&self.json, &self.text, &self.base64) {
            (Some(json), None, None) => Bytes::from(json.to_string()),
            (None, Some(text), None) => Bytes::from(text.clone()),
            (None, None, Some(base64)) => match STANDARD.decode(base64) {
                Ok(bytes) => bytes.into(),
                Err(error) => panic!("base64 {base64:?}: {error}"),
            },
            _ => panic!("a body is given as one of json, text and base64"),
        };
        let response = Response::new(self.status).body(body);
        self.headers.iter().fold(response, |response, (name, value)| match value.as_str() {
            Some(value) => response.header(name, value),
            None => panic!("header {name} is no text: {value}"),
        })
    }
}

/// What is asked for, and what must be sent, or why nothing is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCase {
    /// Its name, unique in its file.
    pub name: String,
    /// A submission.
    pub input: Option<Input>,
    /// A look at this task.
    pub task: Option<String>,
    /// The gateway.
    pub base_url: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// What is sent.
    pub sent: Option<Sent>,
    /// The violations for which nothing is sent.
    pub refused: Option<Vec<Value>>,
}

/// What a caller asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The URL of the photo.
    pub image: Option<String>,
    /// The template.
    pub template_id: Option<String>,
    /// Pixels across.
    pub width: Option<i64>,
    /// Pixels down.
    pub height: Option<i64>,
    /// Whether the template may be one that is not listed.
    #[serde(default)]
    pub allow_unlisted: bool,
}

/// What is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Every header but `user-agent` and those of HTTP itself.
    pub headers: Map<String, Value>,
    /// Headers beside them that hold a UUID each.
    pub uuid_headers: Vec<String>,
    /// The body, to the byte.
    pub body: String,
}

/// The task every look of the vectors is at.
pub const TASK: &str = "d758n65e878c73cmdg20";

/// The file of requests; every other file is of answers.
pub const REQUESTS: &str = "requests.json";

/// The files of answers, in the order of their names.
///
/// # Errors
///
/// Whatever keeps the folder from being read.
pub fn answer_files() -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        let is_vectors = path.extension().is_some_and(|extension| extension == "json");
        if is_vectors && !path.ends_with(REQUESTS) {
            files.push(path);
        }
    }
    // Folders list their files in an order that differs between machines.
    files.sort();
    Ok(files)
}

/// Where the vectors are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Reads a file of vectors.
///
/// # Errors
///
/// Whatever keeps it from being read, with its name.
pub fn load<Case: DeserializeOwned>(path: &Path) -> io::Result<Vectors<Case>> {
    let named =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    serde_json::from_str(&text).map_err(|error| named(&error))
}

/// A field that is there, be it null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    // By itself serde reads null as a field that is not there.
    Value::deserialize(deserializer).map(Some)
}
