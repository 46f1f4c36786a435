//! [`ApiKey`]: the API key of an account. It prints as dots, and finds and redacts itself in texts, also
//! escaped. `ClientBuilder`, and programs that embed the core, make one for an
//! [`Endpoint`](super::Endpoint), which sends it; `effects login` stores one. The decoders in `wire` redact
//! what they keep of an answer, except a task's id; cassettes, the command and messages about upload
//! programs are redacted by it, too. Both clients and the command refuse requests that repeat it.
//!
//! A gateway may repeat the key in an answer: in an error's words, a redirect, a task's metadata. The
//! core decodes an answer first and takes the key out of the texts it keeps afterwards (`wire/body.rs`),
//! so no decision is made on a text that was changed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::header::HeaderValue;
use memchr::{memchr_iter, memchr3};

use crate::signed_url::redacted_in;

/// The key of an account. It prints as dots. Cloning it allocates nothing.
#[derive(Clone, Eq, PartialEq)]
pub struct ApiKey(Arc<str>);

impl ApiKey {
    /// The shortest key that is looked for in answers, in characters: a shorter one stands in too
    /// many words that have nothing to do with it, ids and field names among them.
    pub const SHORTEST_SEARCHED: usize = 8;

    /// A key as the service's site shows it; white space around it is dropped, and a byte order mark before it,
    /// with which some editors begin a file.
    ///
    /// # Errors
    ///
    /// [`InvalidApiKey`] when it is empty, or holds what cannot stand in a header. The message
    /// does not repeat it.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidApiKey> {
        let key: String = key.into();
        let key = key.trim_start_matches('\u{feff}').trim();
        if key.is_empty() {
            return Err(InvalidApiKey("is empty"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey("holds spaces, or characters outside ASCII"));
        }
        Ok(Self(key.into()))
    }

    /// The key of a request that carries none.
    pub(crate) fn none() -> Self {
        Self("".into())
    }

    /// The key itself, for handing it on to what needs it: another client, a child process.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a person should know of a key that is [too short](Self::SHORTEST_SEARCHED) to be looked
    /// for in answers; clients say it once, where the key is set.
    ///
    /// ```
    /// use effects_core::ApiKey;
    ///
    /// assert!(ApiKey::new("a-long-key")?.warning().is_none());
    /// assert!(ApiKey::new("short")?.warning().unwrap().contains("5 characters"));
    /// # Ok::<(), effects_core::InvalidApiKey>(())
    /// ```
    pub fn warning(&self) -> Option<String> {
        let (length, least) = (self.0.len(), Self::SHORTEST_SEARCHED);
        let plural = if length == 1 { "" } else { "s" };
        (length < least).then(|| {
            format!(
                "the API key has {length} character{plural}: one with fewer than {least} is not \
                 taken out of the gateway's answers, so a gateway that repeats it brings it into \
                 messages, logs and the journal"
            )
        })
    }

    /// Where a text repeats the key: letter for letter, or with characters written as the escapes
    /// of JSON (`\/`, `\u002b`), a URL (`%2B`) or HTML (`&#43;`).
    ///
    /// An HTTP stack that logs the bytes it reads keeps the key out of its logs by this. What the
    /// core keeps of an answer needs no such care.
    pub fn find_in(&self, text: &[u8]) -> Option<Range<usize>> {
        let key = self.0.as_bytes();
        if key.len() < Self::SHORTEST_SEARCHED {
            return None;
        }
        if memchr3(b'\\', b'%', b'&', text).is_none() {
            // Nothing is escaped: the usual case, for which there is a faster search.
            return memchr_iter(key[0], text)
                .find(|start| text[*start..].starts_with(key))
                .map(|start| start..start + key.len());
        }
        (0..text.len()).find_map(|start| {
            // Most places can begin neither the key nor an escape of its first character.
            let could_begin = text[start] == key[0] || matches!(text[start], b'\\' | b'%' | b'&');
            let end = if could_begin { end_of(key, text, start) } else { None };
            end.map(|end| start..end)
        })
    }

    /// The text with `[key]` in place of every repetition of the key.
    ///
    /// ```
    /// let key = effects_core::ApiKey::new("secret/key")?;
    /// assert_eq!(key.redact("no such key: secret%2Fkey"), "no such key: [key]");
    /// # Ok::<(), effects_core::InvalidApiKey>(())
    /// ```
    pub fn redact<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        let Some(mut found) = self.find_in(text.as_bytes()) else {
            return text;
        };
        let (mut clean, mut rest) = (String::with_capacity(text.len()), &*text);
        loop {
            // What was found begins and ends with ASCII, so the text can be cut there.
            clean.push_str(&rest[..found.start]);
            clean.push_str(MARK);
            rest = &rest[found.end..];
            match self.find_in(rest.as_bytes()) {
                Some(next) => found = next,
                None => break,
            }
        }
        clean.push_str(rest);
        Cow::Owned(clean)
    }

    /// The text without the key, and without permissions in the URLs that it holds: what is kept of an
    /// answer beside the result.
    pub(crate) fn clean<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        redacted_in(self.redact(text))
    }

    /// JSON with `[key]` in place of every repetition of the key, and otherwise letter for letter as
    /// it was. It is still JSON: a string is searched as what it says, and written anew if that
    /// repeats the key; a number that does becomes a string.
    pub fn redact_json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        // Without a backslash every string says what is written there, so one search of the whole
        // is enough.
        let escaped = json.contains('\\');
        if self.0.len() < Self::SHORTEST_SEARCHED
            || (!escaped && self.find_in(json.as_bytes()).is_none())
        {
            return Cow::Borrowed(json);
        }
        let (mut clean, mut rest) = (String::with_capacity(json.len()), json);
        while !rest.is_empty() {
            let (token, after) = rest.split_at(token_length(rest));
            clean.push_str(&self.redact_token(token));
            rest = after;
        }
        Cow::Owned(clean)
    }

    fn redact_token<'a>(&self, token: &'a str) -> Cow<'a, str> {
        let said: Cow<'_, str> = if token.starts_with('"') && token.contains('\\') {
            // Half a surrogate pair is no text; what is written is searched then.
            serde_json::from_str(token).map_or(Cow::Borrowed(token), Cow::<str>::Owned)
        } else {
            Cow::Borrowed(token.trim_matches('"'))
        };
        match self.redact(&*said) {
            Cow::Borrowed(_) => Cow::Borrowed(token),
            Cow::Owned(clean) => Cow::Owned(serde_json::Value::from(clean).to_string()),
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        // `new` let nothing pass that cannot stand in a header.
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .unwrap_or(HeaderValue::from_static("Bearer"));
        // `HeaderValue` then hides itself in debug output, and HTTP/2 keeps it out of its tables
        // (RFC 7541, 7.1.3).
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A text that cannot be a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the API key {0}: copy it again from the API key page of the service's site")]
pub struct InvalidApiKey(&'static str);

/// Where the key ends that begins here, if one does.
fn end_of(mut key: &[u8], text: &[u8], mut at: usize) -> Option<usize> {
    while let Some((&wanted, rest)) = key.split_first() {
        let left = text.get(at..)?;
        let escaped = escape(left).filter(|(byte, _)| *byte == wanted).map(|(_, length)| length);
        key = rest;
        at += if left.first() == Some(&wanted) {
            // A character that begins an escape of itself: `&` and `&amp;`.
            if let Some(end) = escaped.and_then(|length| end_of(rest, text, at + length)) {
                return Some(end);
            }
            if wanted == b'\\' {
                // Each encoding of a text doubles them.
                key = &rest[backslashes(rest)..];
                backslashes(left)
            } else {
                1
            }
        } else {
            escaped?
        };
    }
    Some(at)
}

/// The ASCII character whose escape a text begins with, and the length of that.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    match text.first()? {
        b'\\' => {
            let slashes = backslashes(text);
            let (letter, digits) = (*text.get(slashes)?, slashes + 1);
            match letter {
                b'u' => hexadecimal(text.get(digits..digits + 4)?).map(|byte| (byte, digits + 4)),
                b'x' => hexadecimal(text.get(digits..digits + 2)?).map(|byte| (byte, digits + 2)),
                _ => Some((letter, digits)),
            }
        }
        b'%' => hexadecimal(text.get(1..3)?).map(|byte| (byte, 3)),
        // Bounded, since a text may have a lone ampersand and its next semicolon far away.
        b'&' => {
            let end = text.iter().take(LONGEST_ENTITY).position(|byte| *byte == b';')?;
            let byte = match &text[1..end] {
                b"amp" => b'&',
                b"lt" => b'<',
                b"gt" => b'>',
                b"quot" => b'"',
                b"apos" => b'\'',
                [b'#', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
                [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
                _ => return None,
            };
            Some((byte, end + 1))
        }
        _ => None,
    }
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The length of the string, the number or word, or the one other character that JSON begins with.
fn token_length(json: &str) -> usize {
    let bytes = json.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    match bytes.first() {
        Some(b'"') => {
            let mut at = 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            (at + 1).min(bytes.len())
        }
        Some(byte) if is_word(byte) => bytes.iter().take_while(|byte| is_word(byte)).count(),
        // Outside strings JSON is ASCII.
        _ => json.chars().next().map_or(0, char::len_utf8),
    }
}

/// What stands where the key stood.
const MARK: &str = "[key]";

/// `&#x0000002b;`
const LONGEST_ENTITY: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ApiKey {
        ApiKey::new(text).unwrap()
    }

    #[test]
    fn a_repeated_key_is_found_in_every_spelling() {
        let key = key("abc/d+e&f");
        for spelled in [
            r"abc/d+e&f",
            r"abc\/d+e&f",
            r"abc\\\/d\u002be\u0026f",
            r"\u0061bc\u002Fd+e&f",
            r"abc\x2fd+e&f",
            "abc%2Fd%2be%26f",
            "abc&#47;d&#43;e&amp;f",
            "abc&#x2f;d&#X2B;e&#38;f",
        ] {
            assert_eq!(key.redact(format!("<{spelled}>, {spelled}!")), "<[key]>, [key]!");
        }
        for other in ["abc/d+e&", "abc/d+e&g", r"abc\u002gd+e&f", "abc%2", "abc&#47", "ü", ""] {
            assert_eq!(key.redact(other), other);
        }
        let key = self::key(r"a\\b%2Fc&amp;");
        assert_eq!(key.redact(r"a\\b%2Fc&amp; a\\\\b%2Fc&amp;"), "[key] [key]");
    }

    #[test]
    fn json_stays_json_and_letter_for_letter_what_it_was() {
        let key = key("nab/12345678");
        let json = |text: &str| {
            let clean = key.redact_json(text).into_owned();
            serde_json::from_str::<serde_json::Value>(&clean).unwrap();
            clean
        };
        let plain = r#"{"a": "\nab\/1234567", "b": [1.50, -0, true], "c": "\u00fc ü \ud83d"}"#;
        assert_eq!(key.redact_json(plain), plain);
        assert_eq!(
            json(r#"{"a":"nab\/12345678\n", "b":"\u006eab/12345678"}"#),
            r#"{"a":"[key]\n", "b":"[key]"}"#
        );
        // A line break before `nab` is no part of it, and `\n` no letter.
        assert_eq!(json(r#"["\nnab/12345678"]"#), r#"["\n[key]"]"#);
        // JSON inside JSON, and Go's way with HTML.
        assert_eq!(json(r#"["{\"k\":\"nab\\\/12345678\"}"]"#), r#"["{\"k\":\"[key]\"}"]"#);
        assert_eq!(json(r#"["nab\u0026#47;12345678"]"#), r#"["[key]"]"#);
        assert_eq!(json(r#"{"nab/12345678":{}}"#), r#"{"[key]":{}}"#);
        let number = self::key("12345678");
        assert_eq!(number.redact_json(r#"{"n":123456789,"m":1}"#), r#"{"n":"[key]9","m":1}"#);
    }

    #[test]
    fn a_short_key_is_not_looked_for_and_warned_of() {
        for short in ["i", "id", "task", "seven77"] {
            let key = key(short);
            assert_eq!(key.redact("the task's id is seven77"), "the task's id is seven77");
            assert_eq!(key.redact_json(r#"{"id":"task"}"#), r#"{"id":"task"}"#);
            let warning = key.warning().unwrap();
            assert!(warning.contains(&format!("{} character", short.len())), "{warning}");
        }
        assert!(key("eight888").warning().is_none());
    }

    #[test]
    fn what_an_editor_puts_around_a_key_is_dropped() {
        assert_eq!(key("\u{feff} secret/key\r\n").expose(), "secret/key");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_being_repeated() {
        for bad in ["", " \n", "two words", "schlüssel", "line\nbreak"] {
            let error = ApiKey::new(bad).unwrap_err().to_string();
            assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
        }
    }
}
