//! [`verify`]: the handler of `POST /_emulator/verify`, which counts the recorded requests that fit a
//! [`RequestMatch`] (endpoint, task, status, headers, body …), says whether there were as many as expected,
//! and shows those that nearly fit. Tests in any language assert with it over HTTP; `requests.rs` filters
//! its list with a [`RequestMatch`], too.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use effects_core::Template;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::read;
use crate::endpoint::Endpoint;
use crate::seen_request::{MAX_BODY_BYTES, SeenRequest};
use crate::state::EmulatorState;
use crate::template_id::{self, TemplateId};
use crate::whole_numbers;
use crate::wire::refusal::ApiRefusal;

/// `POST /_emulator/verify`
#[utoipa::path(post, path = "/_emulator/verify", tag = "control", request_body = Verify,
    responses((status = 200, body = Verification)))]
pub(crate) async fn verify(
    State(state): State<Arc<EmulatorState>>,
    body: Bytes,
) -> Result<Json<Verification>, ApiRefusal> {
    let Verify { matching, count, at_least, at_most } = read(&body)?;
    let (min_count, max_count) = match (count, at_least, at_most) {
        (None, None, None) => (1, usize::MAX),
        // All bounds that are given have to hold.
        (count, min_count, max_count) => (
            // `None` is less than any number, so the larger of those that are given remains.
            count.max(min_count).unwrap_or(0),
            count.into_iter().chain(max_count).min().unwrap_or(usize::MAX),
        ),
    };
    let (mut matched, mut near) = (Vec::new(), Vec::new());
    for request in state.requests(0) {
        let differs = matching.differences(&state, &request);
        if differs.is_empty() {
            matched.push(request);
        // A request that differs in all that is asked for is not near.
        } else if differs.len() < matching.fields() {
            near.push(Near { request, differs });
        }
    }
    // The newest of those that differ least.
    near.sort_by_key(|near| (near.differs.len(), std::cmp::Reverse(near.request.number)));
    near.truncate(MAX_NEAR);
    let found = matched.len();
    matched.truncate(MAX_MATCHED);
    let wanted = match (min_count, max_count) {
        (min_count, max_count) if min_count == max_count => format!("exactly {min_count}"),
        (min_count, usize::MAX) => format!("at least {min_count}"),
        (0, max_count) => format!("at most {max_count}"),
        (min_count, max_count) => format!("{min_count} to {max_count}"),
    };
    let message = format!("{found} matching requests, {wanted} wanted");
    Ok(Json(Verification {
        verified: (min_count..=max_count).contains(&found),
        message,
        found,
        matched,
        near,
    }))
}

/// Which requests are meant: those for which all holds that is given.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestMatch {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) method: Option<String>,
    /// The path with its query; `*` stands for any text.
    pub(crate) path: Option<String>,
    /// The id of the task that it is about.
    pub(crate) task: Option<String>,
    /// The template of that task.
    #[serde(deserialize_with = "template_id::deserialize")]
    #[schema(value_type = Option<TemplateId>)]
    pub(crate) template: Option<Template>,
    #[serde(deserialize_with = "whole_numbers::number")]
    #[schema(minimum = 100, maximum = 599)]
    pub(crate) status: Option<u16>,
    /// The kind of fault that it met.
    pub(crate) fault: Option<String>,
    pub(crate) authorized: Option<bool>,
    /// When it came at the earliest, in milliseconds since the epoch.
    #[serde(deserialize_with = "whole_numbers::number")]
    pub(crate) since: Option<u64>,
    pub(crate) body_hash: Option<String>,
    /// Headers that it has; `*` stands for any text.
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON that its body contains: objects may have more keys.
    pub(crate) body: Option<Value>,
}

impl RequestMatch {
    /// How many things it asks for.
    fn fields(&self) -> usize {
        let Self {
            endpoint,
            method,
            path,
            task,
            template,
            status,
            fault,
            authorized,
            since,
            body_hash,
            headers,
            body,
        } = self;
        let given = [
            endpoint.is_some(),
            method.is_some(),
            path.is_some(),
            task.is_some(),
            template.is_some(),
            status.is_some(),
            fault.is_some(),
            authorized.is_some(),
            since.is_some(),
            body_hash.is_some(),
            body.is_some(),
        ];
        given.iter().filter(|given| **given).count() + headers.len()
    }

    /// What of a request is not as it asks; nothing if it is one of those meant.
    pub(crate) fn differences(&self, state: &EmulatorState, seen: &SeenRequest) -> Vec<Difference> {
        let mut differs = Vec::new();
        let mut compare = |field: &str, holds: bool, wanted: Value, found: Value| {
            if !holds {
                differs.push(Difference { field: field.to_owned(), wanted, found });
            }
        };
        if let Some(wanted) = self.endpoint {
            compare("endpoint", wanted == seen.endpoint, json!(wanted), json!(seen.endpoint));
        }
        if let Some(wanted) = &self.method {
            let holds = wanted.eq_ignore_ascii_case(&seen.method);
            compare("method", holds, json!(wanted), json!(seen.method));
        }
        if let Some(wanted) = &self.path {
            compare("path", fits(wanted, &seen.path), json!(wanted), json!(seen.path));
        }
        if let Some(wanted) = &self.task {
            let holds = seen.task.as_ref() == Some(wanted);
            compare("task", holds, json!(wanted), json!(seen.task));
        }
        if let Some(wanted) = &self.template {
            // A look has no template in it, so a request's template is that of its task.
            let of_task = |id: &String| state.tasks.with(id, |task| task.template.clone());
            let found = seen.task.as_ref().and_then(of_task).flatten();
            let holds = found.as_ref() == Some(wanted);
            compare("template", holds, json!(wanted), json!(found));
        }
        if let Some(wanted) = self.status {
            compare("status", seen.status == Some(wanted), json!(wanted), json!(seen.status));
        }
        if let Some(wanted) = &self.fault {
            compare("fault", seen.fault == Some(wanted), json!(wanted), json!(seen.fault));
        }
        if let Some(wanted) = self.authorized {
            let holds = wanted == seen.authorized;
            compare("authorized", holds, json!(wanted), json!(seen.authorized));
        }
        if let Some(wanted) = self.since {
            compare("since", seen.at >= wanted, json!(wanted), json!(seen.at));
        }
        if let Some(wanted) = &self.body_hash {
            let holds = seen.body_hash.as_ref() == Some(wanted);
            compare("body_hash", holds, json!(wanted), json!(seen.body_hash));
        }
        for (name, wanted) in &self.headers {
            // A header may come several times: one that fits is enough.
            let mut values = seen.headers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
            let holds = values.clone().any(|(_, value)| fits(wanted, value));
            let found = values.next().map(|(_, value)| value);
            compare(&format!("headers.{name}"), holds, json!(wanted), json!(found));
        }
        if let Some(wanted) = &self.body {
            let found = if seen.body_bytes > MAX_BODY_BYTES {
                // What is cut off is no JSON to compare, so it never matches, and the difference
                // says why.
                json!(format!("{} bytes, of which only {MAX_BODY_BYTES} are kept", seen.body_bytes))
            } else {
                serde_json::from_str(&seen.body).unwrap_or_else(|_| json!(seen.body))
            };
            compare("body", contains(&found, wanted), wanted.clone(), found);
        }
        differs
    }
}

/// What a request is not like.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Difference {
    field: String,
    wanted: Value,
    found: Value,
}

/// How often requests of a kind should have come.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    #[serde(rename = "match", default)]
    matching: RequestMatch,
    /// Exactly so many.
    #[serde(default, deserialize_with = "whole_numbers::number")]
    count: Option<usize>,
    #[serde(default, deserialize_with = "whole_numbers::number")]
    at_least: Option<usize>,
    #[serde(default, deserialize_with = "whole_numbers::number")]
    at_most: Option<usize>,
}

/// Whether as many came as should have, and which.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verification {
    verified: bool,
    message: String,
    /// How many matched.
    found: usize,
    /// The first hundred of them.
    matched: Vec<SeenRequest>,
    /// The three that came closest without matching.
    near: Vec<Near>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Near {
    request: SeenRequest,
    differs: Vec<Difference>,
}

/// Whether a text is as a pattern says, in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            // The last part has to be the end. Each before it was taken where it comes first, which
            // leaves the most text to those after it.
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Whether JSON has all that other JSON has: objects may have more keys, lists no more items.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

const MAX_MATCHED: usize = 100;
const MAX_NEAR: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for pattern in ["/a/b", "*", "/a/*", "*/b", "/*b", "/*/*", "*a*b*", "/a/b*"] {
            assert!(fits(pattern, "/a/b"), "{pattern}");
        }
        for pattern in ["", "/a", "/b*", "*a", "*c*", "/a/b/*", "*b*a"] {
            assert!(!fits(pattern, "/a/b"), "{pattern}");
        }
        // The two ends may not share a letter.
        assert!(!fits("ab*ba", "aba"));
    }

    #[test]
    fn json_contains_what_has_fewer_keys() {
        let found = json!({"a": [{"b": 1, "c": "x"}], "d": null});
        for wanted in [json!({}), json!({"d": null}), json!({"a": [{"b": 1}]})] {
            assert!(contains(&found, &wanted), "{wanted}");
        }
        for wanted in [json!([]), json!({"e": 1}), json!({"a": []}), json!({"a": [{"b": 2}]})] {
            assert!(!contains(&found, &wanted), "{wanted}");
        }
    }
}
