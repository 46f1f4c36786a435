//! [`InputProblem`]: one thing that is wrong with what the user gave: a request, a row of a manifest, an
//! option, or the API key in a wrong place. [`Problems`]: all of them, found before anything is sent; the
//! first in the order of the service's codes decides the exit code. The checks of requests, of a batch's
//! rows and options, of files to be written, and of words of the command line that hold the key make them;
//! `Failure::Invalid`, `effects check` and the report of a bad row (`RowReport`) print them.

use std::fmt;

use effects_core::{Error, ErrorKind, InvalidRequest, ServiceCode, Template, Violation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::known_key::KnownKey;

/// One thing that is wrong with what was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InputProblem {
    #[serde(serialize_with = "by_name")]
    #[schema(value_type = String)]
    pub(crate) kind: ErrorKind,
    /// The service's code for it, if it has one.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<ServiceCode>,
    /// The parameter's name on the wire, if it is one.
    pub(crate) field: Option<&'static str>,
    /// What was given.
    pub(crate) value: Option<String>,
    /// The rule, and the way out.
    pub(crate) message: String,
    /// Templates that were probably meant.
    #[schema(value_type = Vec<String>)]
    pub(crate) suggestions: Vec<Template>,
}

impl InputProblem {
    /// An option that cannot be used.
    pub(crate) fn option(message: impl Into<String>) -> Self {
        Self::plain(ErrorKind::Misconfigured, message.into())
    }

    /// A file that is no photo. It has the service's code for a missing image.
    pub(crate) fn photo(given: &str, error: &Error) -> Self {
        Self {
            code: Some(ServiceCode::MissingImage),
            field: Some("image_input1"),
            value: Some(given.to_owned()),
            ..Self::plain(error.kind(), error.to_string())
        }
    }

    /// Something about a row of a manifest that the service has no code for.
    pub(crate) fn row(field: Option<&'static str>, message: String) -> Self {
        Self { field, ..Self::plain(ErrorKind::InvalidRequest, message) }
    }

    /// A key that is another row's, in the order of this name, if it has one.
    pub(crate) fn key(message: &str, scope: Option<&str>) -> Self {
        let way_out = match scope {
            None => "an order with a name of its own (--scope NAME) has keys of its own".to_owned(),
            Some(scope) => {
                format!("keys count within the order {scope:?}: another one has its own")
            }
        };
        Self::row(Some("key"), format!("{message}; {way_out}"))
    }

    /// The same with `[key]` where it repeats the API key.
    pub(crate) fn without_key(self, key: &KnownKey) -> Self {
        let clean = |text: String| key.redact(text).into_owned();
        Self { value: self.value.map(clean), message: clean(self.message), ..self }
    }

    fn plain(kind: ErrorKind, message: String) -> Self {
        Self { kind, code: None, field: None, value: None, message, suggestions: Vec::new() }
    }
}

impl From<Violation> for InputProblem {
    fn from(violation: Violation) -> Self {
        Self {
            kind: ErrorKind::InvalidRequest,
            message: violation.message_with("`effects templates`"),
            code: Some(violation.code),
            field: Some(violation.field),
            value: violation.value,
            suggestions: violation.suggestions,
        }
    }
}

impl From<Error> for InputProblem {
    fn from(error: Error) -> Self {
        Self { field: error.field(), ..Self::plain(error.kind(), error.to_string()) }
    }
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong: never empty.
#[derive(Clone, Debug)]
pub(crate) struct Problems {
    first: ErrorKind,
    list: Vec<InputProblem>,
}

impl Problems {
    /// The problems, if there are any, in the order of the service's codes and without a code last.
    pub(crate) fn among(mut list: Vec<InputProblem>) -> Option<Self> {
        // `~` comes after every digit. The sort keeps the order of equals.
        list.sort_by_key(|problem| {
            problem.code.as_ref().map_or("~".to_owned(), |code| code.as_str().to_owned())
        });
        // It decides the exit code.
        let first = list.first()?.kind;
        Some(Self { first, list })
    }

    /// The same with `[key]` where they repeat the API key.
    pub(crate) fn without_key(self, key: &KnownKey) -> Self {
        let list = self.list.into_iter().map(|problem| problem.without_key(key)).collect();
        Self { list, ..self }
    }

    /// Each of them.
    pub(crate) fn list(&self) -> &[InputProblem] {
        &self.list
    }

    /// The kind of the first.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.first
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// The violations of a request, as problems.
pub(crate) fn violations(invalid: &InvalidRequest) -> impl Iterator<Item = InputProblem> + '_ {
    invalid.violations().iter().cloned().map(InputProblem::from)
}

fn by_name<S: serde::Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}
