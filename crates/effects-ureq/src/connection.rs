//! The outermost layer of a connection: it knows when a request begins to leave, and puts the key
//! in only then.
//!
//! ureq logs every byte it writes and reads at trace level, line by line in hexadecimal, and the key
//! would be among them. So it is handed a stand-in of the same length, the key takes its place on
//! the way to the socket, and where an answer repeats the key it is blotted out before ureq reads
//! it. An answer that repeats it in two pieces, each read apart, still passes here; what the client
//! keeps and prints is redacted once more, when the answer is whole.

use std::cell::RefCell;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// What is known of the exchange that this thread makes.
#[derive(Default)]
struct Exchange {
    /// Whether bytes of the request were handed to a connection. Connecting, a proxy's CONNECT and
    /// the TLS handshake come before that, in connectors further in.
    left: bool,
    key: Option<Key>,
}

struct Key {
    /// The header's value, `Bearer …`, until it has taken the stand-in's place.
    header: Option<HeaderValue>,
    /// The key itself.
    bytes: Vec<u8>,
}

thread_local! {
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

/// Begins an exchange in this thread. It ends when the guard is dropped, with the answer's last
/// byte read.
pub(crate) fn begin(headers: Option<&mut HeaderMap>) -> Under {
    let key = headers.and_then(|headers| {
        let value = headers.get_mut(AUTHORIZATION)?;
        let bytes = value.as_bytes().rsplit(|byte| *byte == b' ').next()?.to_vec();
        let header = Some(std::mem::replace(value, stand_in(value.len())));
        Some(Key { header, bytes })
    });
    EXCHANGE.set(Exchange { left: false, key });
    Under
}

/// An exchange under way in this thread.
pub(crate) struct Under;

impl Under {
    /// Whether the request began to leave.
    pub(crate) fn has_left(&self) -> bool {
        EXCHANGE.with_borrow(|exchange| exchange.left)
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
            if let Some(Key { header, .. }) = &mut exchange.key
                && let Some(value) = header
                && put_in(&mut self.0.buffers().output()[..amount], value)
            {
                *header = None;
            }
        });
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let come = self.0.await_input(timeout)?;
        EXCHANGE.with_borrow(|exchange| {
            if let Some(key) = &exchange.key {
                blot_out(self.0.buffers(), &key.bytes);
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

/// Writes over every occurrence of the key; lengths stay, since a head may have told them.
fn blot_out(buffers: &mut dyn Buffers, key: &[u8]) {
    if find(buffers.input(), key).is_none() {
        return;
    }
    let mut input = buffers.input().to_vec();
    while let Some(at) = find(&input, key) {
        input[at..at + key.len()].fill(b'*');
    }
    // What has been read can only be changed by reading it again.
    buffers.input_consume(input.len());
    buffers.input_append_buf()[..input.len()].copy_from_slice(&input);
    buffers.input_appended(input.len());
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let first = *pattern.first()?;
    let last = text.len().checked_sub(pattern.len())?;
    (0..=last).find(|&at| text[at] == first && text[at..].starts_with(pattern))
}

const HEADER: &[u8] = b"\r\nauthorization: ";
const STAND_IN: &str = "the-key-comes-later-";

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
    fn an_echo_is_written_over_where_it_stands() {
        let mut buffers = LazyBuffers::new(64, 64);
        buffers.input_append_buf()[..13].copy_from_slice(b"<abc>, abcabc");
        buffers.input_appended(13);
        blot_out(&mut buffers, b"abc");
        assert_eq!(buffers.input(), b"<***>, ******");
    }
}
