//! [`BadOption`]: why an option of an emulator is refused: its name, its value, and the rule that it
//! breaks. The parsers of `Latency`, `ClockKind`, `Pictures`, `Dialect` and `Validation` return it, and so
//! does `Options::check` when an emulator starts (in `StartError::Option`). `effects emulator` and the
//! Python package show it to the user.

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
