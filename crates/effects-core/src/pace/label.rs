//! [`Label`]: names tasks that are expected to take equally long; for this model, the id of the template. A
//! `Submission` brings one (`Template` converts into it), and its `Run` keeps it: by it
//! [`Pacer`](super::Pacer) learns how long the task took, and plans the polls of later runs. The core's
//! `Batch` keeps a plan for each label, `Models` the durations for later processes, and the report of
//! `effects batch` looks these up.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word for tasks of one kind, whose durations are learnt together: a template's id, say.
///
/// It has 1 to 128 bytes, and neither white space nor control characters.
///
/// ```
/// use effects_core::Template;
/// use effects_core::pace::Label;
///
/// let label: Label = "glass_ball".parse()?;
/// assert_eq!(label, Label::from(&Template::GlassBall));
/// assert!("glass ball".parse::<Label>().is_err());
/// # Ok::<(), effects_core::pace::InvalidLabel>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Label(Cow<'static, str>);

impl Label {
    /// A label that the program itself spells, and that keeps to the rule. It allocates nothing.
    pub(crate) const fn from_static(label: &'static str) -> Self {
        Self(Cow::Borrowed(label))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(label: &str) -> Result<Self, Self::Err> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if label.is_empty() || label.len() > 128 || label.chars().any(odd) {
            return Err(InvalidLabel(label.chars().take(128).collect()));
        }
        Ok(Self(label.to_owned().into()))
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidLabel;

    fn try_from(label: String) -> Result<Self, Self::Error> {
        label.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0.into_owned()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no [`Label`]; it is shown cut to 128 characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidLabel(String);

impl fmt::Display for InvalidLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "label {:?}: must have 1 to 128 bytes, and neither white space nor control characters",
            self.0
        )
    }
}

impl std::error::Error for InvalidLabel {}
