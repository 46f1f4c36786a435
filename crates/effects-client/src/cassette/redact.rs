//! [`Redactor`]: removes from exchanges what a cassette must not hold: the keys that it saw in the headers
//! of requests, permissions in signed URLs, headers that a client does not read, and the photos in
//! requests, of which it keeps a [`hash`]. `recorder.rs` redacts what it writes, and `player.rs` the
//! requests that it compares with the cassette's.
//!
//! What is redacted twice is what it was, so both see the same requests.

use bytes::Bytes;
use effects_core::ApiKey;
use effects_core::signed_url::redacted_in;
use effects_core::wire::ResponseExcerpt;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::format::{TapedBody, TapedRequest};

/// The keys that requests carried.
#[derive(Default)]
pub(super) struct Redactor {
    keys: Vec<ApiKey>,
}

impl Redactor {
    /// Takes the key of these headers out of everything from now on.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = value.and_then(|value| ApiKey::new(value.strip_prefix("Bearer ")?).ok());
        if let Some(key) = key.filter(|key| !self.keys.contains(key)) {
            self.keys.push(key);
        }
    }

    /// A text without keys, and without permissions in the URLs that it holds.
    pub(super) fn text(&self, text: &str) -> String {
        let keyless = self.keys.iter().fold(text.to_owned(), |text, key| key.redact(text).into());
        redacted_in(keyless).into_owned()
    }

    /// Of an answer's headers, those that a client reads.
    pub(super) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let is_kept = |name: &HeaderName| {
            KEPT_HEADERS.contains(name) || ResponseExcerpt::keeps(name.as_str())
        };
        let kept = headers.iter().filter(|(name, _)| is_kept(name));
        kept.filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), self.text(value.to_str().ok()?)))
        })
        .collect()
    }

    /// What is kept of a body that was sent: of a photo its hash.
    pub(super) fn request_body(&self, body: &Bytes) -> Option<TapedBody> {
        if body.is_empty() {
            return None;
        }
        Some(self.readable(body, true).unwrap_or_else(|| hash(body)))
    }

    /// A request of a cassette as it would be recorded now: an earlier version may have kept more.
    pub(super) fn recorded_again(&self, request: TapedRequest) -> TapedRequest {
        let TapedRequest { method, target, body } = request;
        let target = self.text(&target);
        let again = |body: TapedBody| match body.text() {
            Some(text) => {
                self.request_body(&Bytes::copy_from_slice(text.as_bytes())).unwrap_or(body)
            }
            None => body,
        };
        TapedRequest { method, target, body: body.map(again) }
    }

    /// What is kept of a body that came; `None` of one that is no text, whose bytes a file has to keep.
    pub(super) fn answer_body(&self, body: &Bytes) -> Option<TapedBody> {
        self.readable(body, false)
    }

    fn readable(&self, body: &Bytes, is_sent: bool) -> Option<TapedBody> {
        if body.len() > MAX_TEXT_BYTES {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?;
        let as_text = || TapedBody { text: Some(self.text(text)), ..TapedBody::default() };
        // In the file, JSON of `null` would read as a body without JSON.
        if serde_json::from_str::<&RawValue>(text).is_err() || text.trim() == "null" {
            return Some(as_text());
        }
        let keyless =
            self.keys.iter().fold(text.to_owned(), |text, key| key.redact_json(&text).into());
        let clean = strings_mapped(&keyless, |string| match string.strip_prefix("data:") {
            // A request of a cassette is redacted once more when it is read: a hash stays what it
            // is.
            Some(photo) if is_sent && !photo.starts_with(HASHED) => {
                format!("data:{HASHED}{}", sha256(photo.as_bytes()))
            }
            _ => redacted_in(string).into_owned(),
        });
        // A string for a string leaves JSON as it was.
        let json = RawValue::from_string(clean).ok();
        Some(
            json.map_or_else(as_text, |json| TapedBody {
                json: Some(json),
                ..TapedBody::default()
            }),
        )
    }
}

/// What is kept of bytes that are no text.
pub(super) fn hash(body: &[u8]) -> TapedBody {
    let (sha256, bytes) = (Some(sha256(body)), Some(body.len()));
    TapedBody { sha256, bytes, ..TapedBody::default() }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON whose strings are what this makes of them, and which is otherwise letter for letter as it was.
fn strings_mapped(json: &str, map: impl Fn(&str) -> String) -> String {
    let (mut clean, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('"') {
        let (before, string) = rest.split_at(at);
        clean.push_str(before);
        let (token, after) = string.split_at(string_length(string));
        // Half a surrogate pair is no text and stays.
        match serde_json::from_str::<String>(token).map(|said| (map(&said), said)) {
            Ok((mapped, said)) if mapped != said => {
                clean.push_str(&Value::from(mapped).to_string());
            }
            _ => clean.push_str(token),
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// The length of the JSON string that a text begins with, with its quotes.
fn string_length(text: &str) -> usize {
    let (bytes, mut at) = (text.as_bytes(), 1);
    while at < bytes.len() && bytes[at] != b'"' {
        // What follows a backslash may be a quote, and does not end the string.
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Headers of answers that a client reads, beside those that errors and effects keep. Cookies are not among
/// them.
const KEPT_HEADERS: [HeaderName; 3] =
    [http::header::LOCATION, http::header::RETRY_AFTER, http::header::TRANSFER_ENCODING];

/// What stands before the hash of a photo that a request carried.
const HASHED: &str = "sha256=";

/// The longest text that stands in a cassette itself.
const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        let headers = HeaderMap::from_iter([(
            AUTHORIZATION,
            HeaderValue::from_static("Bearer key/for+tests"),
        )]);
        redactor.learn(&headers);
        redactor
    }

    fn json(body: Option<TapedBody>) -> String {
        body.unwrap().json.unwrap().get().to_owned()
    }

    #[test]
    fn keys_and_permissions_are_taken_out_however_they_are_written() {
        let redactor = redactor();
        let body =
            br#"{"a": "see https:\/\/h.example\/a?size=1\u0026sig=hunter2, or key\/for+tests",
            "b":[1.50,"https://me:hunter2@h.example/b.png"]}"#;
        let clean = json(redactor.answer_body(&Bytes::from_static(body)));
        assert!(!clean.contains("hunter2") && !clean.contains("for+tests"), "{clean}");
        assert!(clean.contains("https://h.example/a?size=1&sig=redacted"), "{clean}");
        assert!(clean.contains(r#""b":[1.50,"https://h.example/b.png"]"#), "{clean}");
        assert_eq!(json(redactor.answer_body(&clean.clone().into())), clean, "twice is once");
        let text = "http error at https://h.example/?token=hunter2> 'key%2Ffor+tests'";
        let clean = redactor.text(text);
        assert_eq!(clean, "http error at https://h.example/?token=redacted> '[key]'");
        assert_eq!(redactor.text(&clean), clean);
    }

    #[test]
    fn a_photo_inside_a_request_is_kept_as_its_hash() {
        let body = Bytes::from_static(br#"{"image":"data:image/png;base64,AAAA"}"#);
        let sent = json(redactor().request_body(&body));
        assert!(!sent.contains("AAAA") && sent.contains("data:sha256="), "{sent}");
        assert_eq!(json(redactor().answer_body(&body)), std::str::from_utf8(&body).unwrap());
        let sent = redactor().request_body(&Bytes::from_static(b"\xff\xd8photo")).unwrap();
        assert_eq!(
            (sent.bytes, sent.sha256.map(|hash| hash.len()), sent.file),
            (Some(7), Some(64), None)
        );
    }

    #[test]
    fn of_an_answers_headers_no_cookie_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", HeaderValue::from_static("session=hunter2"));
        headers.insert("location", HeaderValue::from_static("https://h.example/?sig=hunter2"));
        let kept = redactor().headers(&headers);
        assert_eq!(kept, [("location".to_owned(), "https://h.example/?sig=redacted".to_owned())]);
    }
}
