//! [`ExtraParams`]: further parameters of a request, which this library does not know but the service may
//! come to take: JSON values by name. A name that is documented or looks misspelt is refused
//! ([`InvalidParam`]). Rust programs, the command and the Python package make them, and `EffectRequest`
//! sends them beside its own; journal rows and names of picture files tell requests apart by them, and the
//! command's reports show them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::template::distance;

/// Parameters beside the four documented ones, by name; none to begin with.
///
/// ```
/// use effects_core::ExtraParams;
///
/// let params = ExtraParams::default().with("seed", 3)?.with("style", "soft")?;
/// assert_eq!(params.to_string(), r#"{"seed":3,"style":"soft"}"#);
/// assert_eq!(r#"{"style": "soft", "seed": 3}"#.parse(), Ok(params));
/// // A misspelt parameter that is known is none that is not.
/// let error = ExtraParams::default().with("widht", 512).unwrap_err();
/// assert!(error.to_string().contains("width"));
/// // 3.0 is the number 3.
/// assert_eq!(ExtraParams::default().with("seed", 3.0)?, ExtraParams::default().with("seed", 3)?);
/// # Ok::<(), effects_core::InvalidParam>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "BTreeMap<String, Value>", into = "BTreeMap<String, Value>")]
pub struct ExtraParams(Option<Arc<BTreeMap<String, Value>>>);

impl ExtraParams {
    /// The same with one more parameter, or with another value of it.
    ///
    /// # Errors
    ///
    /// [`InvalidParam`] for a name that is documented or looks like one, that is none, and for null.
    pub fn with(self, name: &str, value: impl Into<Value>) -> Result<Self, InvalidParam> {
        let value = normal(value.into());
        check(name, &value)?;
        let mut all = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        all.insert(name.to_owned(), value);
        Ok(Self(Some(Arc::new(all))))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Each with its value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().flat_map(|all| all.iter()).map(|(name, value)| (name.as_str(), value))
    }
}

/// As a JSON object without blanks, whose names are in order: two that ask for the same are the same text.
impl fmt::Display for ExtraParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_object(f, self.iter())
    }
}

/// Reads a JSON object.
impl FromStr for ExtraParams {
    type Err = InvalidParam;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        let all: BTreeMap<String, Value> = serde_json::from_str(json).map_err(|error| {
            InvalidParam(format!(
                "extra parameters are no JSON object of names and values: {error}"
            ))
        })?;
        Self::try_from(all)
    }
}

impl TryFrom<BTreeMap<String, Value>> for ExtraParams {
    type Error = InvalidParam;

    fn try_from(all: BTreeMap<String, Value>) -> Result<Self, Self::Error> {
        let all: BTreeMap<_, _> =
            all.into_iter().map(|(name, value)| (name, normal(value))).collect();
        // Each is told that is wrong.
        let wrong = all.iter().filter_map(|(name, value)| check(name, value).err());
        let wrong: Vec<String> = wrong.map(|InvalidParam(why)| why).collect();
        if !wrong.is_empty() {
            return Err(InvalidParam(wrong.join("; ")));
        }
        Ok(Self((!all.is_empty()).then(|| Arc::new(all))))
    }
}

impl From<ExtraParams> for BTreeMap<String, Value> {
    fn from(params: ExtraParams) -> Self {
        params.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

/// An extra parameter that is not sent: its name, the rule, and the way out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidParam(String);

impl fmt::Display for InvalidParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidParam {}

fn check(name: &str, value: &Value) -> Result<(), InvalidParam> {
    let refuse = |why: String| Err(InvalidParam(format!("parameter {name:?} {why}")));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_name) {
        return refuse(format!(
            "cannot be one: give a name of letters, digits, `_`, `-` and `.`, at most {LONGEST_NAME}"
        ));
    }
    if value.is_null() {
        return refuse("is null: give a value, or leave it out".to_owned());
    }
    let plain = name.to_ascii_lowercase();
    if KNOWN.contains(&plain.as_str()) {
        let given_as = given_as(&plain);
        return refuse(format!(
            "is a documented one: give it as {given_as:?}, not as an extra one"
        ));
    }
    // One edit for a short name, two for `image_input1`, `template_id` and `template`.
    let is_near = |known: &&&str| distance(&plain, known) <= 1 + known.len() / 8;
    // A second photo is no misspelt first one.
    let without_digits = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_numbered = without_digits != plain
        && KNOWN.iter().any(|known| known.trim_end_matches('1') == without_digits);
    let is_other = is_numbered || OTHER_WORDS.contains(&plain.as_str());
    match KNOWN.iter().find(is_near).filter(|_| !is_other) {
        Some(meant) => {
            let given_as = given_as(meant);
            refuse(format!(
                "is not known; did you mean {meant:?}? That is given as {given_as:?}, not as an extra one"
            ))
        }
        None => Ok(()),
    }
}

/// A value whose whole numbers are written as such: tables write 3 as `3.0` in a column with gaps, and it is
/// no other request.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|it| number.is_f64() && it.fract() == 0.0);
            whole
                .filter(|it| it.abs() < EXACT)
                .map_or(Value::Number(number), |it| (it as i64).into())
        }
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, normal(value))).collect()
        }
        other => other,
    }
}

/// Floats below this hold whole numbers to the digit.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn write_object<'a>(
    f: &mut fmt::Formatter<'_>,
    members: impl Iterator<Item = (&'a str, &'a Value)>,
) -> fmt::Result {
    f.write_str("{")?;
    for (index, (name, value)) in members.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(f, "{comma}{}:", Value::from(name))?;
        write_value(f, value)?;
    }
    f.write_str("}")
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> =
                object.iter().map(|(name, value)| (name.as_str(), value)).collect();
            // In the order of the names, whatever order serde_json's map has: a feature that any
            // crate of a program can switch on makes that the order of insertion.
            members.sort_unstable_by_key(|(name, _)| *name);
            write_object(f, members.into_iter())
        }
        Value::Array(items) => {
            f.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                f.write_str(if index > 0 { "," } else { "" })?;
                write_value(f, item)?;
            }
            f.write_str("]")
        }
        plain => write!(f, "{plain}"),
    }
}

/// What the command, its manifests and the clients call a documented parameter.
fn given_as(known: &str) -> &str {
    match known {
        "image_input1" => "image",
        "template_id" => "template",
        same => same,
    }
}

/// The documented parameters, by their names on the wire and in this library.
const KNOWN: [&str; 6] = ["image_input1", "image", "template_id", "template", "width", "height"];

/// Words that are one letter away from a documented parameter and mean another thing.
const OTHER_WORDS: [&str; 2] = ["weight", "images"];

const LONGEST_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_and_their_misspellings_are_refused_and_others_pass() {
        for name in ["width", "Height", "template_id", "image_input1", "image", "template"] {
            let error = ExtraParams::default().with(name, 1).unwrap_err().to_string();
            assert!(error.contains("is a documented one: give it as"), "{error}");
        }
        for (name, meant) in [
            ("widht", "width"),
            ("heigth", "height"),
            ("tempalte_id", "template_id"),
            ("imge", "image"),
        ] {
            let error = ExtraParams::default().with(name, 1).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean {meant:?}")), "{error}");
        }
        let all = r#"{"widht": 1, "seed": 2, "template_id": 3}"#.parse::<ExtraParams>();
        let all = all.unwrap_err().to_string();
        assert!(all.contains("\"widht\"") && all.contains("as \"template\""), "{all}");
        for name in ["seed", "weight", "image_input2", "strength", "num_images", "quality"] {
            assert!(ExtraParams::default().with(name, 1).is_ok(), "{name}");
        }
        for (name, value) in [("", Value::from(1)), ("a b", 1.into()), ("seed", Value::Null)] {
            assert!(ExtraParams::default().with(name, value).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_order_of_names_tells_nothing_apart() {
        let read = |json: &str| json.parse::<ExtraParams>().unwrap();
        let one = read(r#"{"b": [1, {"y": 2, "x": "1"}], "a": true}"#);
        let other = read(r#"{"a": true, "b": [1, {"x": "1", "y": 2}]}"#);
        assert_eq!(one.to_string(), other.to_string());
        assert_eq!(one.to_string(), r#"{"a":true,"b":[1,{"x":"1","y":2}]}"#);
        assert_eq!(read("{}"), ExtraParams::default());
        assert!("[1]".parse::<ExtraParams>().is_err());
    }
}
