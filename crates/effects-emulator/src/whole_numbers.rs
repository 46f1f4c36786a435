//! [`number`]: reads a whole number from JSON, also one that is written `2.0`, since some languages
//! write no other; a fraction or a number that does not fit is an error. `POST /_emulator/verify`
//! (`control/verify.rs`) reads its bounds, status and time with it.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// For `#[serde(deserialize_with)]`.
pub(crate) fn number<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let is_whole = |value: &f64| value.fract() == 0.0 && (0.0..=MAX_EXACT).contains(value);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole")]
    let whole = || number.as_f64().filter(is_whole).map(|value| value as u64);
    // As an integer first: a large one would be rounded as a double.
    let value = number.as_u64().or_else(whole).and_then(|value| T::try_from(value).ok());
    value
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{number} is no whole number that fits")))
}

/// The largest of the doubles below which all whole numbers are doubles.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
