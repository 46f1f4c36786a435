//! Signed URLs, which are permissions: [`signature_parameter`] recognises one, [`shown`] leaves the
//! permission out, [`redacted`] replaces the secret values of a URL, and [`redacted_in`] those of every URL
//! in a text. `effects-jobs` refuses rows that only a signed URL identifies, and compares photos by
//! [`host_and_path`]. Journal rows (`RowOutcome`, `effects-jobs`) and messages (`Reference`, the command)
//! have URLs as [`shown`]; `ApiKey` cleans answers by [`redacted_in`], `effects-client` its cassettes.
//!
//! What shows or keeps a URL of a photo or a picture, a journal above all, goes through [`shown`].

use std::borrow::Cow;

/// The parameter by which a URL looks signed, as it is written there.
///
/// Such a URL is made anew each time, so it names nothing.
pub fn signature_parameter(url: &str) -> Option<&str> {
    parameters(url).map(|(name, _)| name).find(|name| {
        let plain = plain(name);
        PREFIXES.iter().any(|prefix| plain.starts_with(prefix)) || SIGNED.contains(&plain.as_str())
    })
}

/// Whether a URL may be a permission: who has it may fetch, or more, without a key.
fn is_permission(url: &str) -> bool {
    signature_parameter(url).is_some()
        || parameters(url)
            .any(|(name, value)| value.len() > LONG || SECRET.contains(&plain(name).as_str()))
}

fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    // Some servers take a semicolon for a separator, too. A parameter without `=` may be a token
    // itself.
    query.split(['&', ';']).map(|pair| pair.split_once('=').unwrap_or((pair, pair)))
}

fn plain(name: &str) -> String {
    // A server decodes the names of parameters, so a hyphen and an underscore may come as escapes.
    name.to_ascii_lowercase().replace("%2d", "-").replace("%5f", "_")
}

/// A URL as people may see it: without user name, password and fragment, and without a query that
/// could be a permission.
pub fn shown(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        // A data URL is the photo itself and may have megabytes.
        return cut(url, MAX_DATA_URL_CHARS);
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = match query {
        "" => String::new(),
        _ if is_permission(url) => "?…".to_owned(),
        query => format!("?{query}"),
    };
    cut(&format!("{scheme}://{host}{path}{query}"), MAX_SHOWN_CHARS)
}

/// A URL without user name, password and fragment, and with `redacted` in place of every value in its query
/// that is a permission or may be: all but numbers and the values of parameters that say how a picture is
/// shown. Its parameters stay, so that what is redacted twice is what it was.
///
/// ```
/// use effects_core::signed_url::redacted;
///
/// let url = "https://me:pw@store.example/a.png?size=512&X-Amz-Signature=0a1b2c&pw=no#top";
/// let clean = "https://store.example/a.png?size=512&X-Amz-Signature=redacted&pw=redacted";
/// assert_eq!(redacted(url), clean);
/// assert_eq!(redacted(clean), clean);
/// ```
pub fn redacted(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let Some((path, query)) = path.split_once('?') else {
        return format!("{scheme}://{host}{path}");
    };
    let mut clean = format!("{scheme}://{host}{path}?");
    for pair in query.split_inclusive(['&', ';']) {
        let (pair, separator) = match pair.strip_suffix(['&', ';']) {
            Some(before) => (before, &pair[before.len()..]),
            None => (pair, ""),
        };
        match pair.split_once('=') {
            Some((name, value)) if is_secret(name, value) => {
                clean.push_str(&format!("{name}=redacted"));
            }
            // A query without `=` can be a token.
            None if is_secret("", pair) => clean.push_str("redacted"),
            _ => clean.push_str(pair),
        }
        clean.push_str(separator);
    }
    clean
}

/// A text with each URL in it [`redacted`], also where JSON or HTML has escaped it.
///
/// ```
/// use effects_core::signed_url::redacted_in;
///
/// let text = r#"{"from":"https:\/\/store.example\/a.png?v=3\u0026sig=0a1b2c"}"#;
/// let clean = r#"{"from":"https://store.example/a.png?v=3&sig=redacted"}"#;
/// assert_eq!(redacted_in(text), clean);
/// assert_eq!(redacted_in("no URL: http is a protocol"), "no URL: http is a protocol");
/// ```
pub fn redacted_in<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    if !text.contains("http") {
        return text;
    }
    let (mut clean, mut rest) = (String::with_capacity(text.len()), &*text);
    while let Some(at) = rest.find("http") {
        let (before, found) = rest.split_at(at);
        clean.push_str(before);
        let is_url = SCHEMES.iter().any(|scheme| found.starts_with(scheme));
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        let end = if is_url { found.find(is_end).unwrap_or(found.len()) } else { "http".len() };
        let (url, after) = found.split_at(end);
        clean.push_str(&if is_url { redacted_token(url) } else { Cow::Borrowed(url) });
        rest = after;
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// A URL as it stands in a text. One that JSON has escaped is written without escapes where it changes.
fn redacted_token(token: &str) -> Cow<'_, str> {
    if !token.contains('\\') {
        return Cow::Owned(redacted(token));
    }
    let read = token.replace("\\/", "/").replace("\\u0026", "&").replace("\\u003d", "=");
    // A quote that ends the string of JSON within a string.
    let read = read.trim_end_matches('\\');
    let clean = redacted(read);
    if clean == read {
        Cow::Borrowed(token)
    } else {
        Cow::Owned(clean + &token[token.trim_end_matches('\\').len()..])
    }
}

/// Whether a parameter is a part of a permission, or may be.
fn is_secret(name: &str, value: &str) -> bool {
    let plain = plain(name);
    let is_harmless = is_number(value) || HARMLESS.contains(&plain.as_str());
    !(is_harmless || value.is_empty() || value == "redacted")
        || value.len() > LONG
        || PREFIXES.iter().any(|prefix| plain.starts_with(prefix))
        || SIGNED.contains(&plain.as_str())
        || SECRET.contains(&plain.as_str())
}

/// A number, or two as of a size: too little to be a permission.
fn is_number(value: &str) -> bool {
    value.len() <= MAX_NUMBER_BYTES
        && value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'x'))
}

/// Whether a URL, kept as it was [`shown`], is all there and can be followed.
pub fn is_whole(shown: &str) -> bool {
    !shown.is_empty() && !shown.ends_with('…')
}

/// The host and path of a URL, without what may differ between two links to one picture: scheme,
/// credentials, query and fragment. A URL that is no link (`data:`) is returned whole.
pub fn host_and_path(url: &str) -> &str {
    let end = if url.contains("://") { url.find(['?', '#']) } else { None };
    let url = &url[..end.unwrap_or(url.len())];
    match url.split_once("://") {
        Some((_, rest)) => {
            let authority = rest.find('/').unwrap_or(rest.len());
            rest[..authority].rfind('@').map_or(rest, |at| &rest[at + 1..])
        }
        None => url,
    }
}

fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    text.chars().take(max_chars).chain(['…']).collect()
}

/// What the parameters of signed URLs begin with: those of Amazon, Google, Alibaba, Volcengine,
/// Tencent, and the services that copied them.
const PREFIXES: [&str; 6] = ["x-amz-", "x-goog-", "x-oss-", "x-tos-", "x-obs-", "q-sign"];

/// The other parameters that come with a signature: Amazon's older form and CloudFront, Google's,
/// Alibaba's and Huawei's older forms, Azure, and everybody else's words for the same.
const SIGNED: [&str; 20] = [
    "signature",
    "expires",
    "key-pair-id",
    "awsaccesskeyid",
    "googleaccessid",
    "ossaccesskeyid",
    "accesskeyid",
    "security-token",
    "sig",
    "sign",
    "token",
    "access_token",
    "access-token",
    "auth_key",
    "auth-key",
    "authorization",
    "hmac",
    "expiry",
    "sigv",
    "jwt",
];

/// Parameters that are permissions, though they may stay the same.
const SECRET: [&str; 18] = [
    "key",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "authkey",
    "code",
    "credential",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "pw",
    "pwd",
    "secret",
    "session",
];

/// Parameters that say how a picture is shown, and what may be read of it.
const HARMLESS: [&str; 14] = [
    "crop", "dpr", "fit", "fm", "format", "h", "height", "lang", "q", "quality", "size", "v", "w",
    "width",
];

/// How the URLs in a text begin; JSON may escape their slashes.
const SCHEMES: [&str; 4] = ["http://", "https://", "http:\\/\\/", "https:\\/\\/"];
const MAX_NUMBER_BYTES: usize = 12;

/// The longest value of a parameter that is taken to say something harmless.
const LONG: usize = 24;
const MAX_SHOWN_CHARS: usize = 500;
const MAX_DATA_URL_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_links_of_the_big_stores_are_told_from_plain_ones() {
        for (url, parameter) in [
            (
                "https://b.s3.amazonaws.com/c.jpg?X-Amz-Algorithm=AWS4&X-Amz-Signature=1",
                "X-Amz-Algorithm",
            ),
            ("https://b.s3.amazonaws.com/c.jpg?v=1&Signature=1&Expires=2", "Signature"),
            ("https://storage.googleapis.com/b/c.jpg?X-Goog-Signature=1", "X-Goog-Signature"),
            ("https://a.blob.core.windows.net/b/c.jpg?sv=2025&se=2026&sig=x%3D", "sig"),
            ("https://d.cloudfront.net/c.jpg?Key-Pair-Id=K", "Key-Pair-Id"),
            ("https://b.oss-cn-hangzhou.aliyuncs.com/c.jpg?OSSAccessKeyId=1", "OSSAccessKeyId"),
            ("https://b.cos.ap-x.myqcloud.com/c.jpg?q-sign-algorithm=sha1", "q-sign-algorithm"),
            ("https://example.com/c.jpg?token=1#t", "token"),
        ] {
            assert_eq!(signature_parameter(url), Some(parameter), "{url}");
            assert!(shown(url).ends_with("/c.jpg?…"), "{}", shown(url));
        }
        for url in [
            "https://example.com/c.jpg",
            "https://example.com/c.jpg?width=512&v=3",
            "https://example.com/c.jpg?key=1&se=2",
            "https://example.com/token=1/c.jpg",
            "https://example.com/c.jpg#token=1",
            "data:image/png;base64,iVBORw0KGgo=",
        ] {
            assert_eq!(signature_parameter(url), None, "{url}");
        }
    }

    #[test]
    fn what_is_shown_and_compared_holds_no_permission() {
        assert_eq!(shown("https://me:pw@example.com/c.jpg?v=3#x"), "https://example.com/c.jpg?v=3");
        let long = "https://example.com/c.jpg?a=0123456789012345678901234";
        assert_eq!(shown(long), "https://example.com/c.jpg?…");
        assert_eq!(shown("https://example.com/c.jpg?v=1&Key=2"), "https://example.com/c.jpg?…");
        assert_eq!(shown("https://me:pw@example.com?v=1"), "https://example.com?v=1");
        assert!(shown(&format!("data:image/png;base64,{}", "A".repeat(99))).chars().count() < 50);
        assert_eq!(host_and_path("https://me:pw@example.com/c.jpg?sig=1#x"), "example.com/c.jpg");
        assert_eq!(host_and_path("https://example.com"), "example.com");
        assert_eq!(host_and_path("data:image/png;base64,a?b"), "data:image/png;base64,a?b");
    }
}
