//! Parsers of option values for clap: times ([`duration`], [`time_limit`], [`Poll`]), money ([`usd`]),
//! headers, parameters ([`param`]) and template ids ([`TemplateIdParser`]); [`with_words`] lets a shell
//! complete the words that a value usually is. The global options (`global.rs`), `BatchOptions` and the
//! arguments of the commands parse their values with them; the manifest of a batch
//! (`batch/manifest/columns.rs`) reads parameters with [`json_or_text`].

use std::ffi::OsStr;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use effects_core::gateway::RequestHeaders;
use effects_core::journal::RowNumber;
use effects_core::{Pace, Template};
use rust_decimal::Decimal;
use serde_json::Value;

/// When to look at a running task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Poll {
    /// As the library finds best.
    Auto,
    /// Every so often.
    Every(Duration),
}

impl Poll {
    /// The pace it means. A gateway inside this command has nothing else to do than to answer.
    pub(crate) fn pace(self, embedded: bool) -> Pace {
        match self {
            Self::Every(interval) => Pace::fixed(interval),
            Self::Auto if embedded => Pace::fixed(EMBEDDED_INTERVAL),
            Self::Auto => Pace::default(),
        }
    }
}

impl FromStr for Poll {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match span(text) {
            Some(interval) if !interval.is_zero() => Ok(Self::Every(interval)),
            _ => Err("give `auto`, or a number of seconds above 0".to_owned()),
        }
    }
}

/// A parser whose value is usually one of some words, which completions offer. Unlike clap's own parser of
/// such words, it leaves it to `parser` what else a value may be.
pub(crate) fn with_words<P: TypedValueParser>(
    words: impl IntoIterator<Item = &'static str>,
    parser: P,
) -> WithWords<P> {
    WithWords { words: words.into_iter().collect(), parser }
}

/// What [`with_words`] makes.
#[derive(Clone)]
pub(crate) struct WithWords<P> {
    words: Vec<&'static str>,
    parser: P,
}

impl<P: TypedValueParser> TypedValueParser for WithWords<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        option: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        self.parser.parse_ref(command, option, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().copied().map(PossibleValue::new)))
    }
}

/// Reads `90`, `90s`, `1.5m`, `1h`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    span(text).ok_or_else(|| "give a time such as 90, 90s, 10m or 1h, up to a year".to_owned())
}

/// Reads a time in which something is to be done: 0 leaves none.
pub(crate) fn time_limit(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    if limit.is_zero() {
        let why = "no time is left for anything then, so nothing would be sent: give a time such as 90s or \
                   10m, or leave it out for no limit";
        return Err(why.to_owned());
    }
    Ok(limit)
}

/// Reads an amount of money: `5`, `0.03`. Decimal, never a float.
pub(crate) fn usd(text: &str) -> Result<Decimal, String> {
    // `Decimal` reads a sign, too. `from_str_exact` refuses digits that it would have to round away.
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let amount = Decimal::from_str_exact(text).ok().filter(|_| plain);
    amount.ok_or_else(|| "give an amount in USD such as 5 or 0.03".to_owned())
}

/// Reads a whole number within these bounds.
pub(crate) fn whole<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("give a whole number from {least} to {most}"))
    }
}

/// Reads the number of a row of the journal.
pub(crate) fn row_number(text: &str) -> Result<RowNumber, String> {
    text.parse().map_err(|_| "give a row's number, as `effects tasks` prints it".to_owned())
}

/// Reads the name of an order. Blanks around it do not count.
pub(crate) fn order_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("give a name, or no --scope".to_owned()) } else { Ok(name.to_owned()) }
}

/// Reads `NAME: VALUE`, a header that a caller may give.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("give NAME: VALUE, such as 'X-Team: studio'")?;
    let (name, value) = (name.trim(), value.trim());
    // Checked as the command line is read: a header that
    // cannot be sent, or is the command's own, is exit code 2.
    RequestHeaders::default().with(name, value).map_err(|invalid| invalid.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The value of a parameter as it is typed: JSON, and what is none is text. What begins like an object, a list or
/// a quoted text and is no JSON is a slip, and would be paid for as text.
pub(crate) fn json_or_text(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|error| {
        if !text.trim_start().starts_with(['{', '[', '"']) {
            return Ok(text.into());
        }
        Err(format!(
            "parameter {name:?} has the value {text:?}, which begins like JSON and is none ({error}): give it \
             whole, or as a text in JSON: {}",
            Value::from(text)
        ))
    })
}

/// Reads `NAME=VALUE`, whose value is JSON or text.
pub(crate) fn param(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), json_or_text(name, value)?))
        }
        _ => Err("give NAME=VALUE, such as seed=3".to_owned()),
    }
}

/// Takes any text for a template's id, since the rules are checked together later; shells complete the
/// known ones.
#[derive(Clone, Debug)]
pub(crate) struct TemplateIdParser;

impl TypedValueParser for TemplateIdParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        static KNOWN: [Template; 30] = Template::ALL;
        let value = |known: &'static Template| PossibleValue::new(known.id()).help(known.title());
        Some(Box::new(KNOWN.iter().map(value)))
    }
}

fn span(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    // An error for what is too long for a `Duration`.
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST)
}

const EMBEDDED_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_with_and_without_a_unit() {
        for (text, seconds) in [
            ("90", 90.0),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h", 3600.0),
            ("250ms", 0.25),
            ("0", 0.0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        // `1e9h` has no unit that is known, and 10000 h are more than a year.
        for text in ["", "s", "-1", "1d", "1e9h", "nan", "inf", "1 m", "9999h9", "10000h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(usd("5.10").unwrap().to_string(), "5.10");
        // Among them what a float or a spreadsheet would take.
        for text in ["", "-1", "1e3", "five", "$5", "1,5", "."] {
            assert!(usd(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pace_is_auto_or_above_zero() {
        assert_eq!("auto".parse(), Ok(Poll::Auto));
        assert_eq!("0.5".parse(), Ok(Poll::Every(Duration::from_millis(500))));
        assert!("0".parse::<Poll>().is_err());
        assert!("fast".parse::<Poll>().is_err());
        assert_eq!(Poll::Auto.pace(false), Pace::default());
        assert_ne!(Poll::Auto.pace(true), Pace::default());
    }
}
