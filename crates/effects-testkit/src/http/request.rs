//! [`ReceivedRequest`]: a request that a `ScriptedServer` received: its target and headers as they were
//! sent, its body with chunks put together. `connection.rs` parses each with [`read`]; tests check them
//! with [`ScriptedServer::requests`](super::ScriptedServer::requests), and a `Behaviour::Decide` is given
//! one to choose what the server does.

use bytes::Bytes;

/// A request the server saw.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedRequest {
    /// `GET`, `POST`, …; the first bytes, escaped, where the head is no HTTP.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Names as they were sent, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, with chunks put together.
    pub body: Bytes,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl ReceivedRequest {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first value of a header, whatever the letter case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 in it is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How far a request is read.
pub(super) enum RequestProgress {
    /// More bytes are needed.
    Partial {
        /// The request without its body, and the length of its head, once the head is whole.
        head: Option<(ReceivedRequest, usize)>,
    },
    /// It is whole and this long.
    Whole(ReceivedRequest, usize),
    /// It is no HTTP.
    NoHttp(ReceivedRequest),
}

/// Reads what has arrived so far.
pub(super) fn read(bytes: &[u8], connection: usize) -> RequestProgress {
    let Some(head_end) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        // A TLS handshake, say, has no head that ends: it is known by its first bytes.
        let looks_like_http =
            bytes.iter().take(16).all(|byte| byte.is_ascii_graphic() || *byte == b' ')
                || find(&bytes[..bytes.len().min(64)], b" HTTP/1").is_some();
        if looks_like_http && bytes.len() < MAX_HEAD_BYTES {
            return RequestProgress::Partial { head: None };
        }
        return RequestProgress::NoHttp(no_http(bytes, connection));
    };
    // Bytes that are no UTF-8 are shown and not refused: a test wants to see them.
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(_version)) = (words.next(), words.next(), words.next())
    else {
        return RequestProgress::NoHttp(no_http(bytes, connection));
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut seen = ReceivedRequest {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Bytes::new(),
        connection,
    };
    // Chunks come before a length where a request has both (RFC 9112, 6.3).
    let body = match seen.header("transfer-encoding") {
        Some(coding) if coding.to_ascii_lowercase().contains("chunked") => {
            chunked(&bytes[head_end..])
        }
        _ => {
            let length = seen.header("content-length").and_then(|length| length.parse().ok());
            let length = length.unwrap_or(0);
            let body = bytes.get(head_end..head_end.saturating_add(length));
            body.map(|body| (body.to_vec(), length))
        }
    };
    match body {
        Some((body, length)) => {
            seen.body = body.into();
            RequestProgress::Whole(seen, head_end + length)
        }
        None => RequestProgress::Partial { head: Some((seen, head_end)) },
    }
}

/// The body of chunks and how long they are on the wire; `None` while the last is missing.
fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line_end = at + find(&bytes[at..], b"\r\n")?;
        let line = std::str::from_utf8(&bytes[at..line_end]).ok()?;
        let length = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        let start = line_end + 2;
        if length == 0 {
            // Trailers end with an empty line.
            let trailers = if bytes[start..].starts_with(b"\r\n") {
                2
            } else {
                find(&bytes[start..], b"\r\n\r\n")? + 4
            };
            return Some((body, start + trailers));
        }
        body.extend_from_slice(bytes.get(start..start.checked_add(length)?)?);
        // The line break behind a chunk, which has to have arrived, too.
        at = start + length + 2;
        bytes.get(..at)?;
    }
}

fn no_http(bytes: &[u8], connection: usize) -> ReceivedRequest {
    ReceivedRequest {
        method: String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).escape_debug().to_string(),
        target: String::new(),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(bytes),
        connection,
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

const MAX_HEAD_BYTES: usize = 64 * 1024;
