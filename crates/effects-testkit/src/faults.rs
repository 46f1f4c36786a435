//! [`Faults`]: draws random [`ExchangeFault`]s from a seed, so that a run that went wrong can be repeated.
//! [`Service::faults`](crate::Service::faults) takes them for every exchange without a script; tests of the
//! core set them, its property tests above all. [`SplitMix64`] is the random generator, also of the
//! simulation.

use std::time::Duration;

use crate::exchange_outcome::ExchangeOutcome;
use crate::response::Response;

/// A way in which an exchange goes wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ExchangeFault {
    /// No socket listens: the request never leaves.
    ConnectionRefused,
    /// The request is lost.
    LostBefore,
    /// The request is served, the answer lost.
    LostAfter,
    /// The request is served, the answer comes after 31 to 90 s: later than most wait.
    Late,
    /// The answer takes up to 5 s.
    Slow,
    /// HTTP 425.
    TooEarly,
    /// HTTP 429.
    Throttled,
    /// HTTP 429 with `Retry-After` in seconds, 1 to 120.
    ThrottledSeconds,
    /// HTTP 429 with `Retry-After` as a date.
    ThrottledDate,
    /// HTTP 503 with the gateway's own code for too many requests, and `Retry-After`.
    Busy,
    /// HTTP 503 with the words of something in between.
    Unavailable,
    /// HTTP 500 with an error in JSON; a submission was served all the same.
    ServerError,
    /// HTTP 502 with a page in HTML; the request was served all the same.
    BadGateway,
    /// HTTP 408.
    RequestTimeout,
    /// HTTP 504; the request was served all the same.
    GatewayTimeout,
    /// The request is served, the answer is no JSON.
    Garbage,
    /// The request is served, the answer is a page in HTML under HTTP 200.
    Html,
    /// The request is served, the answer ends early.
    Truncated,
    /// The request is served, the answer is empty.
    Empty,
    /// HTTP 400 with an error of the service.
    BadRequest,
    /// HTTP 401.
    KeyRefused,
    /// HTTP 402.
    OutOfCredit,
    /// HTTP 403.
    Forbidden,
    /// HTTP 404.
    NotFound,
    /// HTTP 302.
    Redirect,
}

impl ExchangeFault {
    /// What can pass: a poll that meets only these is made again until it is answered.
    pub const TRANSIENT: [Self; 19] = [
        Self::ConnectionRefused,
        Self::LostBefore,
        Self::LostAfter,
        Self::Late,
        Self::Slow,
        Self::TooEarly,
        Self::Throttled,
        Self::ThrottledSeconds,
        Self::ThrottledDate,
        Self::Busy,
        Self::Unavailable,
        Self::ServerError,
        Self::BadGateway,
        Self::RequestTimeout,
        Self::GatewayTimeout,
        Self::Garbage,
        Self::Html,
        Self::Truncated,
        Self::Empty,
    ];

    /// What does not pass.
    pub const PERMANENT: [Self; 6] = [
        Self::BadRequest,
        Self::KeyRefused,
        Self::OutOfCredit,
        Self::Forbidden,
        Self::NotFound,
        Self::Redirect,
    ];

    fn exchange_outcome(self, rng: &mut SplitMix64) -> ExchangeOutcome {
        let error = |status, code, message| {
            Response::json(format!(r#"{{"error":{{"code":{code},"message":"{message}"}}}}"#))
                .status(status)
        };
        let throttled = || error(429, 1002, "rate limited");
        let html = |status| {
            let page = format!("<html><title>{status} from a proxy</title></html>");
            Response::html(page).status(status)
        };
        match self {
            Self::ConnectionRefused => ExchangeOutcome::NotSent,
            Self::LostBefore => ExchangeOutcome::LostBefore,
            Self::LostAfter => ExchangeOutcome::LostAfter,
            // Beyond the 30 s that a request is given unless a policy says otherwise.
            Self::Late => {
                ExchangeOutcome::Served.after(Duration::from_millis(31_000 + rng.below(59_000)))
            }
            Self::Slow => ExchangeOutcome::Served.after(Duration::from_millis(rng.below(5_000))),
            Self::TooEarly => Response::new(425).into(),
            Self::Throttled => throttled().into(),
            Self::ThrottledSeconds => throttled().retry_after(rng.up_to(120)).into(),
            Self::ThrottledDate => throttled().retry_after_date(rng.up_to(120)).into(),
            Self::Busy => error(503, 1002, "rate limited").retry_after(rng.up_to(20)).into(),
            Self::Unavailable => Response::new(503).body("no healthy upstream").into(),
            // Served, since answers like these say nothing of whether there is a task.
            Self::ServerError => ExchangeOutcome::ServedBut(error(500, 3_009_095, "internal")),
            Self::BadGateway => ExchangeOutcome::ServedBut(html(502)),
            Self::RequestTimeout => Response::new(408).into(),
            Self::GatewayTimeout => ExchangeOutcome::ServedBut(html(504)),
            Self::Garbage => ExchangeOutcome::garbage(),
            Self::Html => ExchangeOutcome::html(),
            Self::Truncated => ExchangeOutcome::Truncated(1 + rng.up_to(60) as usize),
            Self::Empty => ExchangeOutcome::ServedBut(Response::new(200)),
            Self::BadRequest => error(400, 3_009_004, "Invalid size parameter").into(),
            Self::KeyRefused => Response::json(r#"{"error":"Missing Token"}"#).status(401).into(),
            Self::OutOfCredit => error(402, 40_201, "Insufficient credits").into(),
            Self::Forbidden => error(403, 403, "permission denied").into(),
            Self::NotFound => Response::json(r#"{"message":"not found"}"#).status(404).into(),
            Self::Redirect => Response::redirect(302, "https://elsewhere.example/login").into(),
        }
    }
}

/// Random faults. Same seed, same exchanges, same faults.
///
/// ```
/// use effects_testkit::{ExchangeFault, Faults};
///
/// let mut faults = Faults::new(7).rate(0.5).among(&[ExchangeFault::LostBefore, ExchangeFault::Throttled]);
/// let exchange_outcomes: Vec<String> = (0..4).map(|_| format!("{:?}", faults.draw())).collect();
///
/// let mut again = Faults::new(7).rate(0.5).among(&[ExchangeFault::LostBefore, ExchangeFault::Throttled]);
/// assert!(exchange_outcomes.iter().all(|exchange_outcome| *exchange_outcome == format!("{:?}", again.draw())));
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    rng: SplitMix64,
    rate: f64,
    menu: Vec<ExchangeFault>,
}

impl Faults {
    /// One exchange in three goes wrong, in one of the ways that can pass.
    pub fn new(seed: u64) -> Self {
        Self { rng: SplitMix64(seed), rate: 1.0 / 3.0, menu: ExchangeFault::TRANSIENT.to_vec() }
    }

    /// The share of exchanges that go wrong, `0.0..=1.0`.
    #[must_use]
    pub fn rate(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    /// The ways in which they go wrong, each as likely as the others. Without any, nothing does.
    #[must_use]
    pub fn among(self, menu: &[ExchangeFault]) -> Self {
        Self { menu: menu.to_vec(), ..self }
    }

    /// What becomes of the next exchange.
    pub fn draw(&mut self) -> ExchangeOutcome {
        let goes_well = self.rng.share() >= self.rate;
        let index = self.rng.below(self.menu.len() as u64);
        match usize::try_from(index).ok().and_then(|index| self.menu.get(index).copied()) {
            Some(fault) if !goes_well => fault.exchange_outcome(&mut self.rng),
            _ => ExchangeOutcome::Served,
        }
    }
}

/// A stream of numbers out of a seed (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Low numbers are a little likelier; for bounds so far below 2^64 that does not show.
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// 1 to `max`.
    fn up_to(&mut self, max: u32) -> u32 {
        1 + u32::try_from(self.below(u64::from(max))).unwrap_or(0)
    }

    /// A number in `0.0..1.0`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
