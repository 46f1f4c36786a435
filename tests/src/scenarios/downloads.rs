//! [`scenarios`]: downloads of pictures that come whole, break off, are redirected, or have the wrong
//! size. `tests/all/conformance.rs` plays it over the Rust clients, `tests/all/python.rs` over the
//! Python ones.
//!
//! A download carries no key, costs nothing, and may be repeated; what arrives is the picture, kept with
//! a warning where it is odd, or nothing.

use std::time::Duration;

use bytes::Bytes;
use effects_core::ErrorKind;
use effects_jobs::Download;
use effects_testkit::http::{Behaviour, ConnectionAfter, Framing, Response};

use crate::scenario::Scenario;
use crate::world::picture;

/// Everything that can happen to a download.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = whole();
    all.extend(passing());
    all.extend(redirected());
    all.extend(sized());
    all.extend(kept());
    all.extend(never());
    all
}

/// The task is completed at once; then this happens to its picture, so often.
fn downloads(name: &'static str, behaviours: Vec<Behaviour>) -> Scenario {
    Scenario::new(name, move |world| {
        world.creates([world.completed()]);
        world.downloads(behaviours.clone());
    })
    .looks(0)
}

/// The same without a size in the task: the answer's own length is all there is to go by.
fn without_size(name: &'static str, behaviours: Vec<Behaviour>) -> Scenario {
    with_size(name, None, behaviours)
}

/// The same with this size in the task, right or wrong.
fn with_size(name: &'static str, size: Option<usize>, behaviours: Vec<Behaviour>) -> Scenario {
    let size = size.map(|size| format!(r#","size":{size}"#)).unwrap_or_default();
    Scenario::new(name, move |world| {
        let url = world.picture_url();
        let output = format!(r#""output":[{{"content":[{{"url":"{url}"{size}}}]}}]"#);
        world.creates([Response::json(world.completed_with(&output))]);
        world.downloads(behaviours.clone());
    })
    .looks(0)
}

fn served() -> Response {
    Response::new(200).header("Content-Type", "image/png").body(picture())
}

fn tries(scenario: Scenario, expected: usize) -> Scenario {
    scenario.then(move |witness| assert_eq!(witness.downloads.len(), expected))
}

/// It arrives byte for byte, however it is sent.
fn whole() -> Vec<Scenario> {
    let drip =
        // Five pieces in a second and a half, none of them late by itself.
        Behaviour::Drip { response: served(), piece: 20_000, every: Duration::from_millis(300) };
    vec![
        downloads("a picture", vec![served().into()]),
        downloads("a picture in chunks", vec![served().framed(Framing::Chunked(777)).into()]),
        downloads("a picture up to the end", vec![served().framed(Framing::UntilClose).into()]),
        downloads("a picture called something else", {
            vec![Response::new(200).header("Content-Type", "text/plain").body(picture()).into()]
        }),
        downloads("a picture, slowly, for longer than one request may take", vec![drip])
            .policy(|policy| policy.request_timeout = Duration::from_millis(1_000)),
        // The host of a picture is a stranger: it learns neither the key nor the name
        // of the exchange.
        downloads("a picture asked for without a key", vec![]).then(|witness| {
            let seen = &witness.downloads[0];
            assert_eq!(seen.header("authorization"), None);
            assert_eq!(seen.header("x-request-id"), None);
            assert_eq!(seen.header("cookie"), None);
            assert_eq!(seen.header("referer"), None);
        }),
    ]
    .into_iter()
    .map(|scenario| tries(scenario, 1))
    .collect()
}

/// One bad download never ends a good task.
fn passing() -> Vec<Scenario> {
    let one = |name, fault: Behaviour| {
        tries(downloads(name, vec![fault]), 2).reports_download("again in")
    };
    let half =
        |framing| Behaviour::Truncate { response: served().framed(framing), body_bytes: 5_000 };
    let quick = |scenario: Scenario| {
        scenario.policy(|policy| policy.request_timeout = Duration::from_millis(700))
    };
    let page = Response::html("<html><title>Sign in</title></html>");
    let mut all = vec![
        one("a download: reset", Behaviour::Reset),
        one("a download: closed", Behaviour::Close),
        one("a download: no HTTP", Behaviour::Raw("nonsense\r\n\r\n".into())),
        one("a download: half", half(Framing::Length)),
        one("a download: half, in chunks", half(Framing::Chunked(1_000))),
        one("a download: half, up to the end", half(Framing::UntilClose)),
        one("a download: half a head", Behaviour::TruncateHead { response: served(), bytes: 30 }),
        one("a download: 408", Response::new(408).into()),
        one("a download: 429", Response::new(429).into()),
        one("a download: 500", Response::new(500).into()),
        one("a download: 503", Response::new(503).header("Retry-After", "0").into()),
        one("a download: 404 at first", Response::new(404).into()),
        one("a download: HTML in its place", page.clone().into()),
        one("a download: nothing in its place", Response::new(200).into()),
        one("a download: a shorter picture", {
            Response::new(200).body(picture().slice(..50_000)).into()
        }),
        one("a download: a longer picture", {
            Response::new(200).body([&picture()[..], b"more"].concat()).into()
        }),
        one("a download: too long by its own word", {
            served()
                .framed(Framing::ClaimedLength(Download::MAX_BYTES + 1))
                .and(ConnectionAfter::Close)
                .into()
        }),
        one("a download: a connection given up", {
            Response::new(500).and(ConnectionAfter::CloseUnannounced).into()
        }),
    ];
    all.push(tries(
        downloads(
            "a download: every fault after the other",
            vec![
                Behaviour::Reset,
                half(Framing::Length),
                Response::new(502).into(),
                page.into(),
                Behaviour::Close,
            ],
        ),
        6,
    ));
    all.push(tries(
        without_size("a download: half, without a size", vec![half(Framing::Length)]),
        2,
    ));
    all.push(tries(
        // Nothing but the end of the PNG itself tells that only a half came.
        without_size("a download: half, without any length", vec![half(Framing::UntilClose)]),
        2,
    ));
    all.push(quick(one("a download: no answer in time", Behaviour::Hang)));
    all.push(quick(one("a download: stuck half-way", {
        Behaviour::HangAfter { response: served(), body_bytes: 5_000 }
    })));
    all
}

/// A redirect is followed, without the key: hosts of pictures do redirect.
fn redirected() -> Vec<Scenario> {
    [
        ("a download: 301", 301),
        ("a download: 302", 302),
        ("a download: 307", 307),
        ("a download: 308", 308),
    ]
    .into_iter()
    .map(|(name, status)| {
        Scenario::new(name, move |world| {
            world.creates([world.completed()]);
            world.downloads([Response::redirect(status, world.elsewhere.url("/moved.png"))]);
            world.elsewhere.otherwise(world.served());
        })
        .then(|witness| {
            let seen = witness.world.elsewhere.requests();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].target, "/moved.png");
            assert_eq!(seen[0].header("authorization"), None);
        })
    })
    .collect()
}

/// A size that is not the picture's own is the service's error, and no reason to throw away what is
/// whole by its format and by what HTTP says of it.
fn sized() -> Vec<Scenario> {
    let length = picture().len();
    let packed = gzip(&picture());
    let packed_length = packed.len();
    let packed = Response::new(200).header("Content-Encoding", "gzip").body(packed);
    let wrong = "bytes where the service said";
    [
        (with_size("a picture said to be longer", Some(length + 9), vec![]), Some(wrong)),
        (with_size("a picture said to be shorter", Some(length - 9), vec![]), Some(wrong)),
        (with_size("a picture said to be huge", Some(1 << 40), vec![]), Some(wrong)),
        (with_size("a picture said to be nothing", Some(0), vec![]), None),
        (
            with_size("a picture of a wrong size in chunks", Some(7), {
                vec![served().framed(Framing::Chunked(777)).into()]
            }),
            Some(wrong),
        ),
        (
            with_size("a picture of a wrong size, without a length", Some(7), {
                vec![served().framed(Framing::UntilClose).into()]
            }),
            Some(wrong),
        ),
        (
            without_size("a picture without any length", {
                vec![served().framed(Framing::UntilClose).into()]
            }),
            None,
        ),
        (downloads("a packed picture", vec![packed.clone().into()]), None),
        (
            // The size may be that of the body as it was packed: that is no reason for a warning.
            with_size("a packed picture of its packed size", Some(packed_length), {
                vec![packed.clone().into()]
            }),
            None,
        ),
        (with_size("a packed picture of a wrong size", Some(7), vec![packed.into()]), Some(wrong)),
    ]
    .into_iter()
    .map(|(scenario, warning)| match warning {
        Some(words) => tries(scenario, 1).reports_download(words),
        None => tries(scenario, 1),
    })
    .collect()
}

/// What the service serves again and again is all there is: it is paid for, so it is kept.
fn kept() -> Vec<Scenario> {
    let always = |name, answer: Response, kept: Bytes| {
        let scenario = Scenario::new(name, move |world| {
            world.creates([world.completed()]);
            world.pictures.otherwise(answer.clone());
        });
        // What came three times is taken for all there is.
        tries(scenario, 3).saves(kept).reports_download("kept")
    };
    let avif: Bytes = [&b"\0\0\0\x1cftypavif\0\0\0\0"[..], &picture()[..]].concat().into();
    let served_avif = Response::new(200).header("Content-Type", "image/avif").body(avif.clone());
    let (short, long) = (picture().slice(..50_000), [&picture()[..], b"more"].concat());
    vec![
        always(
            "a download: a shorter picture for ever",
            Response::new(200).body(short.clone()),
            short,
        ),
        always(
            "a download: a longer picture for ever",
            Response::new(200).body(long.clone()),
            long.into(),
        ),
        always(
            "a download: a whole picture of a false length for ever",
            served().framed(Framing::ClaimedLength(100_009)).and(ConnectionAfter::Close),
            picture(),
        ),
        always("a download: a picture of an unknown format", served_avif.clone(), avif.clone()),
        tries(
            with_size("a picture of an unknown format, of its size", Some(avif.len()), {
                vec![served_avif.into()]
            }),
            1,
        )
        .saves(avif)
        .reports_download("kept"),
    ]
}

/// These bytes as gzip has them, unpacked as they are: what a host of pictures may do to them.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Deflate, without flags, time or the name of a system.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // A block that is stored as it is has at most 65,535 bytes.
    let pieces = bytes.chunks(60_000);
    let last = pieces.len() - 1;
    for (index, piece) in pieces.enumerate() {
        let length = piece.len() as u16;
        packed.push(u8::from(index == last));
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(piece);
    }
    // CRC-32, bit by bit.
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    packed.extend_from_slice(&(!crc).to_le_bytes());
    packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    packed
}

/// What will not become a picture ends with the task and the picture's URL.
fn never() -> Vec<Scenario> {
    let ends = |name, answer: Behaviour, max_tries: usize| {
        Scenario::new(name, move |world| {
            world.creates([world.completed()]);
            world.pictures.otherwise(answer.clone());
        })
        .fails_with_task(ErrorKind::Download)
        .then(move |witness| {
            let message = &witness.failure().message;
            assert!(message.contains(&witness.world.picture_url()), "{message}");
            assert!(message.contains("it is paid for"), "{message}");
            assert!(witness.downloads.len() <= max_tries, "{} tries", witness.downloads.len());
        })
    };
    let page = Response::html("<html><title>Sign in</title></html>");
    vec![
        // A link that is refused has expired, and asking again does not bring it back.
        ends("a download: 403", Response::new(403).into(), 1)
            .then(|witness| assert!(witness.failure().message.contains("expired"))),
        ends("a download: 410", Response::new(410).into(), 1),
        ends("a download: 404 after the grace", Response::new(404).into(), 1)
            .policy(|policy| policy.not_found_grace = Duration::ZERO),
        ends(
            "a download: HTML called a picture for ever",
            page.clone().header("Content-Type", "image/png").into(),
            3,
        ),
        ends("a download: HTML for ever", page.into(), 3)
            .then(|witness| assert!(witness.failure().message.contains("not a picture"))),
        ends(
            "a download: half a picture without any length for ever",
            Behaviour::Truncate {
                response: served().framed(Framing::UntilClose),
                body_bytes: 5_000,
            },
            usize::MAX,
        )
        .policy(|policy| policy.wait_timeout = Duration::from_millis(150)),
        ends("a download: 500 for ever", Response::new(500).into(), usize::MAX)
            .policy(|policy| policy.wait_timeout = Duration::from_millis(150)),
        ends(
            "a download: a redirect for ever",
            Response::redirect(302, "/ball.png").into(),
            usize::MAX,
        )
        .policy(|policy| policy.wait_timeout = Duration::from_millis(150)),
    ]
}
