//! [`Latency`]: how long tasks take: a [`Spread`] (a time, a range or a log-normal distribution) for all
//! templates, and others for some of them. `Options` has it, set by tests in Rust and Python, by examples,
//! and by `effects emulator` from its command line. `EmulatorState::due` draws the time of each new task
//! from it, by the seed and the task's number, for `lifecycle.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use effects_core::Template;

use crate::bad_option::BadOption;
use crate::rng;

/// How long tasks take, in the emulator's time, beyond what painting takes anyway.
///
/// Written as one spread for all templates, then any number of `template=spread`, separated by
/// commas. A spread is a time (`2s`, `500ms`), a range (`2s..9s`) or a log-normal distribution by
/// its median and its sigma (`lognormal:12s:0.5`).
///
/// ```
/// use std::time::Duration;
/// use effects_core::Template;
/// use effects_emulator::{Latency, Spread};
///
/// let latency: Latency = "2s,glass_ball=5s..9s,my_world=lognormal:12s:0.5".parse()?;
/// assert_eq!(latency.spread(&Template::FeltKeychain), Spread::Fixed(Duration::from_secs(2)));
/// assert!("2 parsecs".parse::<Latency>().is_err());
/// # Ok::<(), effects_emulator::BadOption>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    usual: Spread,
    by_template: BTreeMap<Template, Spread>,
}

impl Latency {
    /// No wait beyond the painting: a task is done as soon as its picture is.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same spread for every template.
    pub fn of(usual: Spread) -> Self {
        Self { usual, by_template: BTreeMap::new() }
    }

    /// Every task takes this long.
    pub fn fixed(span: Duration) -> Self {
        Self::of(Spread::Fixed(span))
    }

    /// The same, with a spread of its own for one template.
    #[must_use]
    pub fn with(mut self, template: Template, spread: Spread) -> Self {
        self.by_template.insert(template, spread);
        self
    }

    /// The spread that holds for a template.
    pub fn spread(&self, template: &Template) -> Spread {
        self.by_template.get(template).copied().unwrap_or(self.usual)
    }

    /// How long the `count`-th task takes.
    pub(crate) fn sample(&self, template: &Template, seed: u64, count: u64) -> Duration {
        match self.spread(template) {
            Spread::Fixed(span) => span,
            Spread::Range { shortest, longest } => {
                let width = longest.saturating_sub(shortest);
                shortest + width.mul_f64(rng::unit(seed, LATENCY_SERIES, count))
            }
            Spread::LogNormal { median, sigma } => {
                let factor = (sigma * rng::normal(seed, LATENCY_SERIES, count)).exp();
                let seconds = median.as_secs_f64() * factor;
                // A wide spread may draw more seconds than a `Duration` holds.
                Duration::try_from_secs_f64(seconds)
                    .map_or(MAX_LATENCY, |span| span.min(MAX_LATENCY))
            }
        }
    }
}

impl FromStr for Latency {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let mut latency = Self::none();
        for (place, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once('=') {
                None if place == 0 => latency.usual = part.parse()?,
                None => {
                    return Err(BadOption::new(
                        "latency",
                        part,
                        "only the first spread is for all templates; write `template=spread` for one",
                    ));
                }
                Some((id, spread)) => {
                    let template: Template = id
                        .trim()
                        .parse()
                        .map_err(|error| BadOption::new("latency", part, &format!("{error}")))?;
                    latency.by_template.insert(template, spread.trim().parse()?);
                }
            }
        }
        Ok(latency)
    }
}

/// How long the tasks of one template take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always this long.
    Fixed(Duration),
    /// Evenly spread between two times.
    Range {
        /// The shortest time.
        shortest: Duration,
        /// The longest time.
        longest: Duration,
    },
    /// Log-normal: half of the tasks take less than the median, a few take much longer.
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the time's natural logarithm.
        sigma: f64,
    },
}

impl Default for Spread {
    fn default() -> Self {
        Self::Fixed(Duration::ZERO)
    }
}

impl FromStr for Spread {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let wrong = |rule: &str| BadOption::new("latency", text, rule);
        let time = |part: &str| span(part).ok_or_else(|| wrong(RULE));
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let (median, sigma) = rest.split_once(':').ok_or_else(|| wrong(RULE))?;
            let sigma: f64 = sigma.parse().map_err(|_| wrong(RULE))?;
            if !(0.0..=10.0).contains(&sigma) {
                return Err(wrong("the sigma of a log-normal spread is in 0..=10"));
            }
            return Ok(Self::LogNormal { median: time(median)?, sigma });
        }
        if let Some((shortest, longest)) = text.split_once("..") {
            let (shortest, longest) = (time(shortest)?, time(longest)?);
            if longest < shortest {
                return Err(wrong("a range goes from the shorter time to the longer"));
            }
            return Ok(Self::Range { shortest, longest });
        }
        time(text).map(Self::Fixed)
    }
}

/// The same text [`FromStr`] reads.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(span) => write!(f, "{}s", span.as_secs_f64()),
            Self::Range { shortest, longest } => {
                write!(f, "{}s..{}s", shortest.as_secs_f64(), longest.as_secs_f64())
            }
            Self::LogNormal { median, sigma } => {
                write!(f, "lognormal:{}s:{sigma}", median.as_secs_f64())
            }
        }
    }
}

/// A time with its unit, `ms`, `s`, `m` or `h`; a bare number is seconds.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= MAX_LATENCY)
}

const RULE: &str =
    "a spread is a time such as `2s`, a range such as `2s..9s`, or `lognormal:MEDIAN:SIGMA`";

/// The longest time of a task: a year.
const MAX_LATENCY: Duration = Duration::from_secs(365 * 24 * 3600);

/// The series that latencies are drawn from ([`rng`]).
// The letters of `latency!`. Fault rules draw by their places in the plan, which are small numbers,
// so the two never share a series.
const LATENCY_SERIES: u64 = 0x6c61_7465_6e63_7921;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn spreads_read_and_write_the_same_text() {
        for text in ["2s", "0.5s", "2s..9s", "lognormal:12s:0.5"] {
            let spread: Spread = text.parse().unwrap();
            assert_eq!(spread.to_string(), text);
        }
        assert_eq!("1500ms".parse(), Ok(Spread::Fixed(seconds(1.5))));
        assert_eq!("3".parse(), Ok(Spread::Fixed(seconds(3.0))));
        assert_eq!("2m".parse(), Ok(Spread::Fixed(seconds(120.0))));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_rule() {
        for text in ["", "s", "-2s", "9s..2s", "lognormal:12s", "lognormal:12s:99", "2s,3s", "1e9h"]
        {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
        let error = "1s,glas_ball=2s".parse::<Latency>().unwrap_err();
        assert!(error.to_string().contains("glass_ball"), "{error}");
    }

    #[test]
    fn samples_keep_to_their_spread_and_repeat() {
        let latency: Latency = "2s..9s,my_world=lognormal:12s:0.5".parse().unwrap();
        let mut shorter = 0;
        for count in 0..2_000 {
            let span = latency.sample(&Template::GlassBall, 1, count);
            assert!((seconds(2.0)..=seconds(9.0)).contains(&span));
            assert_eq!(span, latency.sample(&Template::GlassBall, 1, count));
            shorter += u32::from(latency.sample(&Template::MyWorld, 1, count) < seconds(12.0));
        }
        // 1,000 are expected, with a standard deviation of 22.
        assert!((900..=1_100).contains(&shorter), "{shorter} of 2000 under the median");
    }
}
