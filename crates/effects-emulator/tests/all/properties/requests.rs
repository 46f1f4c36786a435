//! Bytes that are no HTTP, and HTTP with any path, method, header and body.

use std::sync::LazyLock;

use effects_emulator::Emulator;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{ENDPOINTS, cases, start, status};
use crate::common::*;

static EMULATOR: LazyLock<Emulator> = LazyLock::new(start);

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"];

/// Headers that something is made of, beside unknown ones.
const HEADERS: &[&str] = &[
    "X-Odd",
    "X-Model",
    "X-Request-Id",
    "Idempotency-Key",
    "Content-Type",
    "Accept",
    "Cookie",
    "Expect",
    "Upgrade",
    "Range",
    "Origin",
];

fn line_byte() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("ends a line", |byte| *byte >= 32 || *byte == 9)
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        4 => prop::sample::select(HEADERS).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}",
    ];
    let value = prop_oneof![
        vec(line_byte(), 0..60),
        Just(b"100-continue".to_vec()),
        Just(b"multipart/form-data; boundary=edge".to_vec()),
        Just(b"application/json".to_vec()),
    ];
    (name, value)
}

fn authorization(key: &str, kind: u8, odd: &[u8]) -> Vec<u8> {
    let start: &[u8] = match kind {
        0..=3 => return format!("Bearer {key}").into_bytes(),
        4 => b"Key ",
        5 => b"Bearer test_fail_",
        6 => b"Bearer test_status_",
        _ => b"",
    };
    [start, odd].concat()
}

/// A body that tells its length, or tells it wrong, or comes in chunks, whole ones or not.
fn framed(body: &[u8], framing: u8) -> Vec<u8> {
    let length = body.len();
    let (head, body) = match framing {
        0..=3 => (format!("Content-Length: {length}\r\n\r\n"), body.to_vec()),
        4 => (format!("Content-Length: {}\r\n\r\n", length + 7), body.to_vec()),
        5 => {
            let head = format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n");
            (head, [body, b"\r\n0\r\n\r\n"].concat())
        }
        6 => ("Transfer-Encoding: chunked\r\n\r\n".to_owned(), body.to_vec()),
        _ => (format!("Content-Length: {length}\r\nContent-Length: 1\r\n\r\n"), body.to_vec()),
    };
    [head.as_bytes(), &body].concat()
}

proptest! {
    #![proptest_config(cases(160))]

    #[test]
    fn bytes_that_are_no_http(bytes in vec(any::<u8>(), 0..600)) {
        // A broken connection is an answer to a broken request.
        let answer = raw_to_the_end(&*EMULATOR, &bytes).unwrap_or_default();
        prop_assert!(answer.is_empty() || status(&answer).is_some_and(|status| status < 500));
    }

    #[test]
    fn paths_methods_and_headers_of_any_kind(
        (own, start, end) in prop::sample::select(ENDPOINTS),
        other in prop::option::weighted(0.3, prop::sample::select(METHODS)),
        rest in vec(any::<u8>(), 0..60),
        escaped in any::<bool>(),
        host in vec(line_byte(), 0..30),
        (kind, odd) in (0..9_u8, vec(line_byte(), 0..20)),
        headers in vec(header(), 0..6),
        (body, framing) in (vec(any::<u8>(), 0..200), 0..8_u8),
    ) {
        let rest: Vec<u8> = if escaped {
            rest.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect()
        } else {
            rest.into_iter().filter(|byte| *byte > 32).collect()
        };
        let mut request = format!("{} {start}", other.unwrap_or(own)).into_bytes();
        request.extend([rest.as_slice(), end.as_bytes(), b" HTTP/1.1\r\nHost: "].concat());
        request.extend([host.as_slice(), b"\r\nConnection: close\r\nAuthorization: "].concat());
        request.extend(authorization(EMULATOR.api_key(), kind, &odd));
        for (name, value) in headers {
            request.extend([b"\r\n", name.as_bytes(), b": ", &value].concat());
        }
        request.extend(b"\r\n");
        request.extend(framed(&body, framing));
        // Part of the body may still be on its way when the connection is given up.
        let answer = raw(&*EMULATOR, &request).unwrap_or_default();
        // A key such as `test_status_503` asks for it.
        let asked = kind == 6;
        prop_assert!(
            answer.is_empty() || status(&answer).is_some_and(|status| asked || status < 500),
            "{}\n{}", String::from_utf8_lossy(&request), String::from_utf8_lossy(&answer)
        );
    }

    #[test]
    fn uploads_with_any_form(
        body in vec(any::<u8>(), 0..300), edge in "[ -~]{0,20}", framed in any::<bool>(),
    ) {
        let body = if framed {
            [b"--edge\r\n".as_slice(), &body, b"\r\n--edge--\r\n"].concat()
        } else {
            body
        };
        let key = bearer(&*EMULATOR);
        let form = format!("multipart/form-data; boundary={}", if framed { "edge" } else { &edge });
        let headers = [("Authorization", key.as_str()), ("Content-Type", form.as_str())];
        let answer = send(&*EMULATOR, "POST", "/api/v1/storage/files", &headers, &body);
        prop_assert!(answer.status < 500);
    }
}
