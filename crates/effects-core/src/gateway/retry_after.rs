//! Reads times from the headers of an answer: [`retry_after`], how long the service asks to wait (seconds,
//! or a date, which counts from the answer's own `Date`), and [`answered_at`], that `Date`. `Reply` in
//! `gateway/call.rs` reads both for a run that waits, `wire/answer.rs` the first for rejections, and
//! `Batch` for its throttle.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

use crate::time::Time;

/// How long the answer asks to wait: seconds as written, or a date measured against the answer's
/// own `Date`, so that a wrong clock on either side does not matter.
///
/// `None` where there is no such header, or a date with nothing to measure it against.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // Fractions are not in the RFC; some servers send them all the same.
    if let Ok(seconds) = text.parse::<f64>() {
        // A negative number, an infinite one and `nan` parse as numbers; none of them is a time.
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = date(text)?;
    let now = date(header(headers, DATE)?)?;
    // A date that is over asks for no wait.
    Some(until.duration_since(now).unwrap_or_default())
}

/// When an answer was made, by the clock of the server that made it; to the second.
pub(crate) fn answered_at(headers: &HeaderMap) -> Option<Time> {
    let since = date(header(headers, DATE)?)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Time::from_millis(0) + since)
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(retry_after_value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after_value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn both_forms_read_and_a_date_is_measured_against_the_answers_own() {
        let (noon, later) = ("Sun, 06 Nov 1994 12:00:00 GMT", "Sun, 06 Nov 1994 12:00:07 GMT");
        assert_eq!(read("7", None), Some(Duration::from_secs(7)));
        assert_eq!(read(" 1.5 ", None), Some(Duration::from_millis(1_500)));
        assert_eq!(read(later, Some(noon)), Some(Duration::from_secs(7)));
        assert_eq!(read(noon, Some(later)), Some(Duration::ZERO));
        assert_eq!(read(later, None), None);
        assert_eq!(read("-3", None), None);
        assert_eq!(read("soon", Some(noon)), None);
    }
}
