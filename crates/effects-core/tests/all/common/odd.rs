//! Answers and policies of every form, drawn at random, for tests of properties.

use std::time::Duration;

use effects_core::gateway::{Answer, CallId, CallResult};
use effects_core::pace::Learned;
use effects_core::{Backoff, Deadline, Pace, Policy, Repeat, Run, Time};
use effects_testkit::result_of;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;

/// An answer of any form, sensible or not.
#[derive(Clone, Debug)]
pub(crate) enum Odd {
    Answer { status: u16, headers: Vec<(usize, Vec<u8>)>, body: Vec<u8> },
    NotSent,
    Lost,
    BrokenOff { status: u16, body: Vec<u8> },
}

impl Odd {
    pub(crate) fn give(&self, run: &mut Run, now: Time, call: CallId) {
        run.reply(now, call, &self.result());
    }

    /// What a call comes to with it.
    pub(crate) fn result(&self) -> CallResult {
        result_of(match self {
            Self::NotSent => Answer::NotSent("refused".to_owned()),
            Self::Lost => Answer::Lost("reset".to_owned()),
            Self::BrokenOff { status, body } => Answer::BrokenOff {
                status: StatusCode::from_u16(*status).unwrap(),
                headers: HeaderMap::new(),
                body: body.clone().into(),
                reason: "reset".to_owned(),
            },
            Self::Answer { status, headers, body } => {
                let mut map = HeaderMap::new();
                for (name, value) in headers {
                    let name = HeaderName::from_static(HEADERS[name % HEADERS.len()]);
                    if let Ok(value) = HeaderValue::from_bytes(value) {
                        map.append(name, value);
                    }
                }
                let status = StatusCode::from_u16(*status).unwrap();
                Answer::Answered { status, headers: map, body: body.clone().into() }
            }
        })
    }

    /// Whether it can leave open if a task was made: a lost answer, a success, 408, a 5xx, and
    /// every redirect but those that ask for the same request elsewhere.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Self::NotSent => false,
            Self::Lost | Self::BrokenOff { .. } => true,
            Self::Answer { status, .. } => !matches!(status, 307 | 308 | 400..=407 | 409..=499),
        }
    }
}

const HEADERS: [&str; 5] = ["retry-after", "date", "content-type", "x-request-id", "location"];

/// Values as they occur on the wire, and some that do not.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        (0..1_000u32).prop_map(|number| format!("\"{number}\"")),
        vec(any::<char>(), 0..8)
            .prop_map(|text| serde_json::to_string(&text.iter().collect::<String>()).unwrap()),
        prop_oneof![
            Just("completed"),
            Just("FAILED"),
            Just("in_progress"),
            Just("polishing"),
            Just("done"),
            Just("https://x.test/y z.png"),
            Just("ftp://x"),
            Just("1e999"),
            Just("0.1e-28"),
            Just("2025-11-24T16:00:00Z"),
            Just("99999-99-99"),
            Just("t-1"),
            Just("..")
        ]
        .prop_map(|word| format!("{word:?}")),
    ]
}

fn field() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("id"),
        Just("task_id"),
        Just("request_id"),
        Just("status"),
        Just("data"),
        Just("error"),
        Just("message"),
        Just("code"),
        Just("output"),
        Just("outputs"),
        Just("content"),
        Just("url"),
        Just("type"),
        Just("usage"),
        Just("cost"),
        Just("discount"),
        Just("progress"),
        Just("created_at"),
        Just("metadata"),
        Just("detail"),
        Just("error_message"),
    ]
}

/// JSON with the wire's words in places where they may or may not belong.
fn json() -> impl Strategy<Value = String> {
    value().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec((field(), inner.clone()), 0..8).prop_map(|fields| {
                let fields: Vec<String> =
                    fields.iter().map(|(field, value)| format!("{field:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => json().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
        1 => (json(), 0..60usize).prop_map(|(json, cut)| {
            let mut bytes = json.into_bytes();
            bytes.truncate(bytes.len().saturating_sub(cut));
            bytes
        }),
        2 => Just(crate::common::RUNNING.as_bytes().to_vec()),
        1 => Just(crate::common::COMPLETED.as_bytes().to_vec()),
    ]
}

fn header() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let value = prop_oneof![
        vec(any::<u8>(), 0..20),
        (0..100_000u32).prop_map(|number| number.to_string().into_bytes()),
        Just(b"Sun, 06 Nov 1994 08:49:37 GMT".to_vec()),
        Just(b"Fri, 31 Dec 9999 23:59:59 GMT".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"1e300".to_vec()),
        Just(b"NaN".to_vec()),
    ];
    (0..HEADERS.len(), value)
}

pub(crate) fn odd() -> impl Strategy<Value = Odd> {
    let status = prop_oneof![
        4 => Just(200u16),
        2 => prop_oneof![Just(425u16), Just(429), Just(503), Just(404), Just(500), Just(408)],
        1 => 100..=999u16,
    ];
    prop_oneof![
        6 => (status, vec(header(), 0..3), body())
            .prop_map(|(status, headers, body)| Odd::Answer { status, headers, body }),
        1 => Just(Odd::NotSent),
        1 => Just(Odd::Lost),
        1 => (100..=999u16, body()).prop_map(|(status, body)| Odd::BrokenOff { status, body }),
    ]
}

pub(crate) fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// Policies anybody could set, with waits that a test can sit through.
pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    let backoff = || {
        (millis(250..5_000), prop_oneof![Just(2.0), 0.0..4.0f64], millis(250..20_000), 0.0..0.5f64)
            .prop_map(|(first, factor, most, jitter)| Backoff { first, factor, most, jitter })
    };
    let learned = (proptest::option::of(millis(0..5_000)), millis(0..5_000), millis(500..20_000))
        .prop_map(|(worth, floor, ceiling)| {
            Pace::Learned(Learned { worth, floor: floor.max(Duration::from_millis(100)), ceiling })
        });
    let pace = prop_oneof![
        millis(100..20_000).prop_map(Pace::fixed),
        backoff().prop_map(Pace::Backoff),
        learned
    ];
    let repeat = prop_oneof![Just(Repeat::Never), Just(Repeat::Safe), Just(Repeat::Always)];
    let times = (millis(1..60_000), millis(0..120_000), millis(0..40_000), millis(0..90_000));
    let ends = (millis(0..10_000), proptest::option::of(millis(1..120_000)));
    let all = (pace, backoff(), repeat, times, ends, 0..5u32);
    all.prop_map(|(pace, retry, repeat, times, ends, in_a_row)| Policy {
        pace,
        retry,
        repeat,
        request_timeout: times.0,
        wait_timeout: times.1,
        last_look: ends.0,
        deadline: ends.1.map(Deadline::after),
        first_answer_timeout: times.2.max(times.3),
        not_found_grace: times.2,
        retry_after_most: times.3,
        unknown_in_a_row: in_a_row,
        gateway: None,
        is_replay: false,
        headers: Default::default(),
    })
}
