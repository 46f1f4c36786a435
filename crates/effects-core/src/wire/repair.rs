//! [`repair`]: makes JSON of an answer that is almost JSON (cut off, or with `NaN`, wrong quotes and the
//! like), so that the id of a paid task is not lost to a fault of form; a member whose value was cut or is
//! no JSON becomes `null`. `wire/answer.rs` tries it on the answer to a submission that broke off or that
//! `Body` cannot read.

/// The object that a body begins with, as JSON; `None` where it begins with something else.
///
/// It passes over commas in excess and in want, raw control characters and broken escapes inside
/// strings, quotes of the other kind, names without quotes, words that are no JSON (`NaN`), bytes that
/// are no UTF-8, and text after the object. A string or number that is cut becomes `null`,
/// since its end is not known.
pub(crate) fn repair(body: &[u8]) -> Option<String> {
    // Bytes that are no UTF-8 become U+FFFD, by which the caller knows an id that was damaged.
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if !text.starts_with('{') {
        return None;
    }
    let mut object = Repaired::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            '"' | '\'' => string_length(rest, c),
            _ if is_word(c) => rest.find(|c| !is_word(c)),
            _ => Some(c.len_utf8()),
        };
        // The last token was cut.
        let Some(length) = token else { break };
        let (token, after) = rest.split_at(length);
        // Without the white space, since a name is known by the colon behind it.
        rest = after.trim_start();
        match c {
            '{' | '[' => object.open(c),
            '}' | ']' => object.close(c),
            '"' | '\'' => object.scalar(quoted(&token[1..length - 1]), rest.starts_with(':')),
            _ if !is_word(c) => {}
            _ if rest.starts_with(':') => object.scalar(quoted(token), true),
            _ => object.scalar(word(token), false),
        }
        if object.open.is_empty() {
            break;
        }
    }
    while let Some(bracket) = object.open.last() {
        object.close(closing(*bracket));
    }
    Some(object.json)
}

/// The JSON written so far, and the brackets that are open in it.
#[derive(Default)]
struct Repaired {
    json: String,
    open: Vec<char>,
    /// The name of a member whose value comes next.
    name: Option<String>,
}

impl Repaired {
    fn open(&mut self, bracket: char) {
        self.begin_value();
        self.json.push(bracket);
        self.open.push(bracket);
    }

    /// Closes up to the bracket that this one closes; one that closes nothing is passed over.
    fn close(&mut self, bracket: char) {
        // The innermost of its kind: in `{"a":[1}` the list that is open inside is closed with it.
        let Some(depth) = self.open.iter().rposition(|open| closing(*open) == bracket) else {
            return;
        };
        while self.open.len() > depth {
            if self.name.is_some() {
                self.value("null");
            }
            self.json.extend(self.open.pop().map(closing));
        }
    }

    fn scalar(&mut self, json: String, is_name: bool) {
        let in_object = self.open.last() == Some(&'{');
        match (in_object, is_name) {
            (true, true) => {
                if self.name.is_some() {
                    self.value("null");
                }
                self.name = Some(json);
            }
            // A value without a name says nothing.
            (true, false) if self.name.is_none() => {}
            _ => self.value(&json),
        }
    }

    fn value(&mut self, json: &str) {
        self.begin_value();
        self.json.push_str(json);
    }

    fn begin_value(&mut self) {
        if !matches!(self.json.chars().last(), None | Some('{' | '[')) {
            self.json.push(',');
        }
        if self.open.last() == Some(&'{') {
            // Only an object or a list comes here without a name: `scalar` leaves out what has
            // none.
            self.json.push_str(&self.name.take().unwrap_or_else(|| "\"\"".to_owned()));
            self.json.push(':');
        }
    }
}

fn closing(bracket: char) -> char {
    if bracket == '{' { '}' } else { ']' }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "+-._".contains(c)
}

/// The length of a string with its quotes; `None` where it does not end.
fn string_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some(end.0 + 1)
}

/// What stands between quotes of either kind, as a string of JSON.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    let mut chars = text.chars();
    json.push('"');
    while let Some(c) = chars.next() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => {
                let left = chars.as_str();
                let is_escape = match left.chars().next() {
                    // Four digits must follow; `get` is none where the text ends or a character
                    // would be cut.
                    Some('u') => left.get(1..5).is_some_and(is_hexadecimal),
                    Some(letter) => "\"\\/bfnrt".contains(letter),
                    None => false,
                };
                // A backslash that escapes nothing is dropped.
                if is_escape {
                    json.push('\\');
                    json.extend(chars.next());
                }
            }
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A word without quotes: itself if it is JSON, and otherwise nothing.
fn word(word: &str) -> String {
    let known = serde_json::from_str::<&serde_json::value::RawValue>(word).is_ok();
    if known { word.to_owned() } else { "null".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_almost_json_becomes_json() {
        for (body, json) in [
            (r#"{"a":NaN,"b":[1,2,],}"#, r#"{"a":null,"b":[1,2]}"#),
            (r#"{"a":1 "b":"2"}"#, r#"{"a":1,"b":"2"}"#),
            ("{\"a\":\"x\ny\u{0}\"}", r#"{"a":"x\u000ay\u0000"}"#),
            (r#"{'a': 'it"s', b: True}"#, r#"{"a":"it\"s","b":null}"#),
            (r#"{"a":"C:\users\'n\u00fc"}"#, r#"{"a":"C:users'n\u00fc"}"#),
            (r#"{"a":{"b":[{"c":"x"#, r#"{"a":{"b":[{"c":null}]}}"#),
            (r#"{"a":1,"b":12"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":"b":"c"}"#, r#"{"a":null,"b":"c"}"#),
            (r#"{"a":[1}"#, r#"{"a":[1]}"#),
            (r#"{"a":1]}"#, r#"{"a":1}"#),
            (r#"{"a":1}{"a":2}"#, r#"{"a":1}"#),
            (r#"{1,{"b":2}}"#, r#"{"":{"b":2}}"#),
            ("{", "{}"),
            (r#"{"a"#, "{}"),
            (r#"{"a":"\"#, r#"{"a":null}"#),
            (r#"{"a":"\u12"}"#, r#"{"a":"u12"}"#),
        ] {
            assert_eq!(repair(body.as_bytes()).as_deref(), Some(json), "{body}");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
        }
        assert_eq!(repair(b"\xef\xbb\xbf {\"a\":\"\xff\"}").unwrap(), "{\"a\":\"\u{fffd}\"}");
        for other in ["", "null", "[{}]", "<html>{}</html>", "OK"] {
            assert_eq!(repair(other.as_bytes()), None);
        }
    }

    proptest::proptest! {
        // Characters that the repair treats each in a way of its own, so that short texts meet most
        // cases.
        #[test]
        fn whatever_comes_out_is_json(body in "[{}\\[\\]:,\"'\\\\a-c0-9u \\-.\n]{0,60}") {
            if let Some(json) = repair(format!("{{{body}").as_bytes()) {
                let read = serde_json::from_str::<Box<serde_json::value::RawValue>>(&json);
                proptest::prop_assert!(read.is_ok(), "{json}");
            }
        }
    }
}
