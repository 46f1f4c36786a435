//! Makes the [`ResponseExcerpt`] of an answer: chosen headers and, where wanted, the beginning of the body,
//! without the key and without permissions in URLs. `wire/answer.rs` calls it for errors, single polls and
//! the observers of exchanges (such as Python's hooks), `run/outcome.rs` for the end of a run.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::AnswerBody;
use crate::wire::body::request_id_of;
use crate::wire::response_excerpt::ResponseExcerpt;

impl ResponseExcerpt {
    /// The excerpt of a response that was read as a task.
    pub(crate) fn without_body(
        status: StatusCode,
        headers: &HeaderMap,
        body: AnswerBody<'_>,
    ) -> Box<Self> {
        Box::new(Self {
            status: status.as_u16(),
            request_id: request_id_of(headers, body),
            headers: kept_headers(headers, body.key),
            body: None,
        })
    }

    /// The excerpt of another response, with the beginning of its body.
    pub(crate) fn with_body(
        status: StatusCode,
        headers: &HeaderMap,
        body: AnswerBody<'_>,
    ) -> Box<Self> {
        let mut excerpt = Self::without_body(status, headers, body);
        excerpt.body = Some(beginning(body)).filter(|text| !text.is_empty());
        excerpt
    }
}

fn kept_headers(headers: &HeaderMap, key: &ApiKey) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = headers
        .keys()
        .filter(|name| ResponseExcerpt::keeps(name.as_str()))
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            // Cut only once the key is out: the beginning of a key is too much of it.
            let value = cut(key.clean(values.join(", ")), MAX_HEADER_BYTES);
            (name.as_str().to_owned(), value)
        })
        .collect();
    kept.sort_unstable();
    kept
}

fn beginning(body: AnswerBody<'_>) -> String {
    // Enough that a key which the cut goes through is found, however each of its letters is escaped.
    let searched = &body.bytes[..body.bytes.len().min(MAX_SEARCHED_BYTES)];
    cut(body.key.clean(String::from_utf8_lossy(searched)), MAX_BODY_BYTES)
}

/// The text, or the beginning of it that is at max_bytes so many bytes long.
fn cut(text: Cow<'_, str>, max_bytes: usize) -> String {
    let mut text = text.into_owned();
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

/// Bytes.
const MAX_BODY_BYTES: usize = 2_048;
const MAX_HEADER_BYTES: usize = 512;
const MAX_SEARCHED_BYTES: usize = 32_768;
