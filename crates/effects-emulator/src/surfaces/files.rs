//! [`file()`]: the HTTP handler of `GET /files/{name}`: sends a picture or an upload from the
//! `FileStore`, whole or a byte range of it, without asking for a key; a link that has expired gets
//! 403. `routes.rs` leads requests to it, and `openapi.rs` describes it.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use crate::file_kind::FileKind;
use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// `GET /files/{name}`
#[utoipa::path(get, path = "/files/{name}", tag = "files", params(("name" = String, Path)),
    responses((status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "A part of it, as `Range` asks", content_type = "application/octet-stream")))]
pub(crate) async fn file(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    let now = state.clock.now();
    if expires(&uri).is_some_and(|end| end <= now) {
        // 403 and not 404, as S3 answers a signed link that has run out.
        return Err(ApiRefusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the link has expired"));
    }
    let name = uri.path().strip_prefix("/files/").unwrap_or_default();
    let file = state.files.get(name, now).await;
    let file = file.ok_or_else(|| ApiRefusal::not_found("there is no such file, or no longer"))?;
    let kind = HeaderValue::from_static(FileKind::of(&file).media_type());
    let always = [
        (CONTENT_TYPE, kind),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        // Uploads are anybody's bytes: a browser must not take them for a page.
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let whole = file.len();
    match headers.get(RANGE).and_then(|range| part(range.to_str().ok()?, whole)) {
        None => Ok((always, file).into_response()),
        Some(Some(part)) => {
            // `Content-Range` names the last byte, and not the one after it.
            let content_range = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
            let status = StatusCode::PARTIAL_CONTENT;
            Ok((status, always, [(CONTENT_RANGE, content_range)], file.slice(part)).into_response())
        }
        Some(None) => {
            let message = format!("Range: the file has {whole} bytes");
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let mut refusal = ApiRefusal::new(status, "BAD_REQUEST", message).into_response();
            let content_range = HeaderValue::from_str(&format!("bytes */{whole}"));
            refusal
                .headers_mut()
                .insert(CONTENT_RANGE, content_range.expect("a number is plain ASCII"));
            Ok(refusal)
        }
    }
}

/// When a link says it ends, in the clock's milliseconds.
fn expires(uri: &Uri) -> Option<u64> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("expires="))?.parse().ok()
}

/// The part of a file that a `Range` asks for; `Some(None)` where the file has no such part, `None`
/// for what is no range of bytes or several of them, which HTTP lets a server answer whole.
fn part(range: &str, whole: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let part = match (first.trim(), last.trim()) {
        // A suffix that is longer than the file is all of it (RFC 9110, section 14.1.2).
        ("", last) => whole.saturating_sub(last.parse().ok()?)..whole,
        (first, "") => first.parse().ok()?..whole,
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            // No valid range, which a server may pass over (RFC 9110, section 14.2).
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(whole)
        }
    };
    Some(Some(part).filter(|part| part.start < part.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_part_of_the_file() {
        for (range, expected) in [
            ("bytes=0-3", Some(Some(0..4))),
            ("bytes=4-", Some(Some(4..10))),
            ("bytes=-3", Some(Some(7..10))),
            ("bytes=-30", Some(Some(0..10))),
            ("bytes=8-99", Some(Some(8..10))),
            ("bytes=10-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=3-2", None),
            ("bytes=0-1,4-5", None),
            ("bytes=a-", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }
}
