//! [`BadOption`]: why an option is refused. The parsers of `Latency`, `ClockKind`, `Pictures`, `Dialect`
//! and `Validation` return it, and so does `Options::check`, whose refusal `StartError::Option` carries
//! to the program that starts an emulator.

use std::fmt;

/// A text that sets no option: which option, what was said, what the rule is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadOption {
    option: &'static str,
    value: String,
    rule: String,
}

impl BadOption {
    pub(crate) fn new(option: &'static str, value: &str, rule: &str) -> Self {
        Self { option, value: value.to_owned(), rule: rule.to_owned() }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` does not do: {}", self.option, self.value, self.rule)
    }
}

impl std::error::Error for BadOption {}
