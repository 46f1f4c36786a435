//! The outermost layer of a connection: it knows when a request begins to leave, and puts the key
//! in only then.
//!
//! ureq logs every byte it writes and reads at trace level, line by line in hexadecimal, and the key
//! would be among them. So it is handed a stand-in of the same length, and the key takes its place on
//! the way to the socket. Where an answer repeats the key, a mark of the same length takes its place
//! before ureq reads it, and once the answer is whole, [`Under::restore`] puts back what stood there:
//! the core decodes what the gateway said. An answer that repeats the key in two pieces, each read
//! apart, is logged as it came.

use std::cell::RefCell;

use effects_core::{Answer, ApiKey};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// What is known of the exchange that this thread makes.
#[derive(Default)]
struct Exchange {
    /// Whether bytes of the request were handed to a connection. Connecting, a proxy's CONNECT and
    /// the TLS handshake come before that, in connectors further in.
    left: bool,
    /// The header's value, `Bearer …`, until it has taken the stand-in's place.
    header: Option<HeaderValue>,
    key: Option<ApiKey>,
    /// What stood where marks stand, by their number.
    marked: Vec<Vec<u8>>,
}

thread_local! {
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

/// Begins an exchange in this thread. It ends when the guard is dropped, with the answer's last
/// byte read.
pub(crate) fn begin(headers: Option<&mut HeaderMap>) -> Under {
    let value = headers.and_then(|headers| headers.get_mut(AUTHORIZATION));
    let header = value.map(|value| std::mem::replace(value, stand_in(value.len())));
    let key = header.as_ref().and_then(|header| {
        let key = header.as_bytes().rsplit(|byte| *byte == b' ').next()?;
        ApiKey::new(String::from_utf8(key.to_vec()).ok()?).ok()
    });
    EXCHANGE.set(Exchange { left: false, header, key, marked: Vec::new() });
    Under
}

/// An exchange under way in this thread.
pub(crate) struct Under;

impl Under {
    /// Whether the request began to leave.
    pub(crate) fn has_left(&self) -> bool {
        EXCHANGE.with_borrow(|exchange| exchange.left)
    }

    /// The answer as the gateway gave it, with what stood where marks stand.
    pub(crate) fn restore(&self, answer: Answer) -> Answer {
        EXCHANGE.with_borrow(|exchange| {
            let marked = &exchange.marked;
            if marked.is_empty() {
                return answer;
            }
            let restored_headers = |mut headers: HeaderMap| {
                for value in headers.values_mut() {
                    // What stood in a header on the wire can stand in one here.
                    if let Ok(restored) = HeaderValue::from_bytes(&unmark(value.as_bytes(), marked))
                    {
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
        })
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        EXCHANGE.take();
    }
}

/// The layer, as ureq makes it.
#[derive(Debug)]
pub(crate) struct Outermost;

impl<In: Transport> Connector<In> for Outermost {
    type Out = Layer<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(Layer))
    }
}

/// The layer round one connection.
#[derive(Debug)]
pub(crate) struct Layer<In>(In);

impl<In: Transport> Transport for Layer<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        EXCHANGE.with_borrow_mut(|exchange| {
            exchange.left = true;
            if let Some(value) = &exchange.header
                && put_in(&mut self.0.buffers().output()[..amount], value)
            {
                exchange.header = None;
            }
        });
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let come = self.0.await_input(timeout)?;
        EXCHANGE.with_borrow_mut(|exchange| {
            if let Some(key) = &exchange.key {
                mark(self.0.buffers(), key, &mut exchange.marked);
            }
        });
        Ok(come)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// A value of this length that is no secret.
fn stand_in(length: usize) -> HeaderValue {
    let text: String = STAND_IN.chars().cycle().take(length).collect();
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(STAND_IN));
    value.set_sensitive(true);
    value
}

/// Puts the value in the stand-in's place, if the head is here.
fn put_in(head: &mut [u8], value: &HeaderValue) -> bool {
    let Some(at) = find(head, HEADER).map(|at| at + HEADER.len()) else {
        return false;
    };
    let stands = head.get_mut(at..at + value.len());
    let Some(stands) = stands.filter(|stands| **stands == *stand_in(value.len()).as_bytes()) else {
        return false;
    };
    stands.copy_from_slice(value.as_bytes());
    true
}

/// Puts a mark in the place of every repetition of the key; lengths stay, since a head may have told
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
    for (place, byte) in mark[1..=MARK_DIGITS].iter_mut().enumerate() {
        // Six bits each, of the smallest bytes that are not ASCII.
        *byte = 0x80 | (number >> (6 * place)) as u8 & 0x3f;
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

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let first = *pattern.first()?;
    let last = text.len().checked_sub(pattern.len())?;
    (0..=last).find(|&at| text[at] == first && text[at..].starts_with(pattern))
}

const HEADER: &[u8] = b"\r\nauthorization: ";
const STAND_IN: &str = "the-key-comes-later-";

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
        let under = begin(Some(&mut headers));
        assert_eq!(headers[AUTHORIZATION], "the-key-co");
        assert!(!under.has_left());
        let value = HeaderValue::from_static("Bearer abc");
        let mut head = b"GET / HTTP/1.1\r\nauthorization: the-key-co\r\n\r\n".to_vec();
        assert!(put_in(&mut head, &value));
        assert_eq!(head, b"GET / HTTP/1.1\r\nauthorization: Bearer abc\r\n\r\n");
        assert!(!put_in(&mut head, &value), "it is there already");
        assert!(!put_in(&mut b"no head at all".to_vec(), &value));
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
