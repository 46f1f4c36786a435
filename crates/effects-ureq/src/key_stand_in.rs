//! [`KeyStandIn`]: what ureq is handed in place of the API key. ureq logs every byte it writes and reads at
//! trace level, line by line in hexadecimal, and the key would be among them. `connection.rs` makes one for
//! each exchange and calls it on the way to and from the socket.
//!
//! The stand-in is as long as the key, which takes its place on the way to the socket. Where an answer
//! repeats the key, a mark of the same length takes its place before ureq reads it, and once the answer is
//! whole, [`KeyStandIn::restore`] puts back what stood there: the core decodes what the gateway said. An
//! answer that repeats the key in two pieces, each read apart, is logged as it came.

use effects_core::ApiKey;
use effects_core::gateway::Answer;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use memchr::memchr_iter;
use ureq::unversioned::transport::Buffers;

/// Stands in for the key of one exchange; the default for none.
#[derive(Default)]
pub(crate) struct KeyStandIn {
    /// The header's value, `Bearer …`, until it has taken the stand-in's place.
    header: Option<HeaderValue>,
    key: Option<ApiKey>,
    /// What stood where marks stand, by their number.
    marked: Vec<Vec<u8>>,
}

impl KeyStandIn {
    /// The stand-in of the key in these headers, which have it instead from now on.
    pub(crate) fn replace_key_in(headers: &mut HeaderMap) -> Self {
        let value = headers.get_mut(AUTHORIZATION);
        let header = value.map(|value| std::mem::replace(value, stand_in(value.len())));
        let key = header.as_ref().and_then(|header| {
            let key = header.as_bytes().rsplit(|byte| *byte == b' ').next()?;
            ApiKey::new(String::from_utf8(key.to_vec()).ok()?).ok()
        });
        Self { header, key, marked: Vec::new() }
    }

    /// Puts the key in the stand-in's place in what leaves, if the request's head is in it.
    pub(crate) fn put_key_into(&mut self, output: &mut [u8]) {
        if let Some(value) = &self.header
            && insert_key(output, value)
        {
            // Looked for once: what follows the head may hold the same bytes.
            self.header = None;
        }
    }

    /// Puts marks in the place of what repeats the key in what has arrived.
    pub(crate) fn mark(&mut self, buffers: &mut dyn Buffers) {
        if let Some(key) = &self.key {
            mark(buffers, key, &mut self.marked);
        }
    }

    /// The answer as the gateway gave it, with what stood where marks stand.
    pub(crate) fn restore(&self, answer: Answer) -> Answer {
        let marked = &self.marked;
        if marked.is_empty() {
            return answer;
        }
        let restored_headers = |mut headers: HeaderMap| {
            for value in headers.values_mut() {
                // What stood in a header on the wire can stand in one here.
                if let Ok(restored) = HeaderValue::from_bytes(&unmark(value.as_bytes(), marked)) {
                    *value = restored;
                }
            }
            headers
        };
        match answer {
            Answer::Answered { status, headers, body } => Answer::Answered {
                status,
                headers: restored_headers(headers),
                body: unmark(&body, marked).into(),
            },
            Answer::BrokenOff { status, headers, body, reason } => Answer::BrokenOff {
                status,
                headers: restored_headers(headers),
                body: unmark(&body, marked).into(),
                reason,
            },
            // No words of ureq's hold bytes that are no text.
            unanswered => unanswered,
        }
    }
}

/// A value of this length that is no secret.
fn stand_in(length: usize) -> HeaderValue {
    let text = STAND_IN.repeat(length / STAND_IN.len() + 1);
    let mut value =
        HeaderValue::from_str(&text[..length]).unwrap_or(HeaderValue::from_static(STAND_IN));
    value.set_sensitive(true);
    value
}

/// Puts the value in the stand-in's place, if the head is here.
fn insert_key(head: &mut [u8], value: &HeaderValue) -> bool {
    let header = memchr_iter(HEADER[0], head).find(|at| head[*at..].starts_with(HEADER));
    let Some(at) = header.map(|at| at + HEADER.len()) else {
        return false;
    };
    let stands = head.get_mut(at..at + value.len());
    let Some(stands) = stands.filter(|stands| **stands == *stand_in(value.len()).as_bytes()) else {
        return false;
    };
    stands.copy_from_slice(value.as_bytes());
    true
}

/// Puts a mark in the place of every repetition of the key; lengths stay, since a head may have stated
/// them.
fn mark(buffers: &mut dyn Buffers, key: &ApiKey, marked: &mut Vec<Vec<u8>>) {
    let Some(mut found) = key.find_in(buffers.input()) else {
        return;
    };
    let mut input = buffers.input().to_vec();
    loop {
        let number = marked.len();
        marked.push(input[found.clone()].to_vec());
        let mark = mark_of(number, found.len());
        input[found.clone()].copy_from_slice(&mark);
        match key.find_in(&input[found.end..]) {
            Some(next) => found = found.end + next.start..found.end + next.end,
            None => break,
        }
    }
    // What has been read can only be changed by reading it again.
    buffers.input_consume(input.len());
    buffers.input_append_buf()[..input.len()].copy_from_slice(&input);
    buffers.input_appended(input.len());
}

/// The mark with this number: bytes that no text in UTF-8 holds together, so that none is taken for
/// one, and that may stand in a header.
fn mark_of(number: usize, length: usize) -> Vec<u8> {
    let mut mark = vec![MARK_END; length];
    mark[0] = MARK_BEGIN;
    for (position, byte) in mark[1..=MARK_DIGITS].iter_mut().enumerate() {
        // Six bits each, of the smallest bytes that are not ASCII.
        *byte = 0x80 | (number >> (6 * position)) as u8 & 0x3f;
    }
    mark
}

/// The text with what stood where marks stand.
fn unmark(text: &[u8], marked: &[Vec<u8>]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == MARK_BEGIN) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let digits = rest.iter().skip(1).take(MARK_DIGITS).rev();
        let number = digits.fold(0, |number, byte| number << 6 | usize::from(byte & 0x3f));
        match marked.get(number).filter(|stood| rest.starts_with(&mark_of(number, stood.len()))) {
            Some(stood) => {
                plain.extend_from_slice(stood);
                rest = &rest[stood.len()..];
            }
            None => {
                plain.push(MARK_BEGIN);
                rest = &rest[1..];
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

// ureq writes names of headers as the `http` crate has them: in lower case.
const HEADER: &[u8] = b"\r\nauthorization: ";
const STAND_IN: &str = "the-key-comes-later-";

// Bytes that occur in no text in UTF-8.
const MARK_BEGIN: u8 = 0xff;
const MARK_END: u8 = 0xfe;
/// Enough for every repetition in the longest answer; a key that is looked for has room for them.
const MARK_DIGITS: usize = 4;

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::LazyBuffers;

    use super::*;

    #[test]
    fn the_key_takes_the_stand_ins_place_and_nothing_else_moves() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        let mut stand_in = KeyStandIn::replace_key_in(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "the-key-co");
        stand_in.put_key_into(&mut b"no head at all".to_vec());
        let head = b"GET / HTTP/1.1\r\nauthorization: the-key-co\r\n\r\n";
        let mut sent = head.to_vec();
        stand_in.put_key_into(&mut sent);
        assert_eq!(sent, b"GET / HTTP/1.1\r\nauthorization: Bearer abc\r\n\r\n");
        let mut body = head.to_vec();
        stand_in.put_key_into(&mut body);
        assert_eq!(body, head, "it is there already");
    }

    #[test]
    fn a_repeated_key_is_marked_where_it_stands_and_put_back() {
        let (key, mut marked) = (ApiKey::new("abc/1234").unwrap(), Vec::new());
        let text = br"<abc/1234>, abc\/1234abc\u002f1234, abc/123";
        let mut buffers = LazyBuffers::new(64, 64);
        buffers.input_append_buf()[..text.len()].copy_from_slice(text);
        buffers.input_appended(text.len());
        mark(&mut buffers, &key, &mut marked);
        let read = buffers.input().to_vec();
        assert_eq!((read.len(), marked.len()), (text.len(), 3));
        assert_eq!(key.find_in(&read), None);
        assert!(read.starts_with(b"<\xff") && read.ends_with(b", abc/123"));
        assert_eq!(unmark(&read, &marked), text);
        // Bytes that look like marks and are none: too short, or with a number that no mark has.
        for other in [&b"\xff"[..], b"\xff\x80\x80\x80\x80", b"\xff\xbf\xbf\xbf\xbf\xfe\xfe\xfe"] {
            assert_eq!(unmark(other, &marked), other);
        }
    }

    #[test]
    fn a_short_key_changes_nothing_of_an_answer() {
        let mut marked = Vec::new();
        let mut buffers = LazyBuffers::new(64, 64);
        buffers.input_append_buf()[..6].copy_from_slice(b"task-1");
        buffers.input_appended(6);
        mark(&mut buffers, &ApiKey::new("task").unwrap(), &mut marked);
        assert_eq!((buffers.input(), marked.len()), (&b"task-1"[..], 0));
    }
}
