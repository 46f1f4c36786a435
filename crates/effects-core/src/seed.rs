//! [`Seed`]: eight random bytes, from which a [`Run`](crate::Run) draws all its randomness (jitter, request
//! ids) through [`Rng`], so that the same seed gives the same run; `Retries`, `Batch` and downloads draw
//! theirs so, too. Clients take seeds from the system (`fresh_seed` of `effects-client`), tests and the
//! testkit's simulation choose them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The eight bytes from which a run draws its jitter and its request ids.
///
/// A driver takes them from the system's source of randomness. Same seed, same answers, same run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Seed(u64);

impl Seed {
    /// A seed out of eight bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Starts drawing.
    pub(crate) const fn rng(self) -> Rng {
        Rng(self.0)
    }
}

impl From<u64> for Seed {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// A stream of numbers out of a seed (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Lets what is drawn from here on depend on this seed, too.
    pub(crate) const fn mix_in(&mut self, seed: Seed) {
        self.0 ^= seed.0;
    }

    /// A number in `0.0..1.0`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A UUID (version 4 in form) that also depends on `salt`.
    ///
    /// The salt keeps two runs apart even where a driver gave both the same seed.
    pub(crate) const fn uuid(&mut self, salt: u64) -> Uuid {
        // The salt is mixed first, so that salts which differ in one bit differ in many.
        let mut mixed = Self(self.next() ^ Self(salt).next());
        let (high, low) = (mixed.next(), mixed.next());
        // Version 4 and the variant 10, in the bits that RFC 9562 gives them.
        Uuid { high: high & !0xf000 | 0x4000, low: low & !(0b11 << 62) | 0b10 << 62 }
    }
}

/// A UUID in its sixteen bytes: a run holds two, and only on the wire and on record are they texts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Uuid {
    high: u64,
    low: u64,
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Five numbers through the formatter took a fifteenth of all that a run costs.
        let (high, low) = (self.high.to_be_bytes(), self.low.to_be_bytes());
        let mut text = [b'-'; UUID_LENGTH];
        let mut at = 0;
        for byte in high.into_iter().chain(low) {
            at += usize::from(matches!(at, 8 | 13 | 18 | 23));
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 0xf)];
            at += 2;
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
/// Thirty-two digits in five groups.
const UUID_LENGTH: usize = 36;

impl From<Uuid> for String {
    fn from(uuid: Uuid) -> Self {
        uuid.to_string()
    }
}

/// Reads what is written here, and nothing that would be written otherwise.
impl TryFrom<String> for Uuid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.replace('-', "");
        let read = digits.split_at_checked(16).and_then(|(high, low)| {
            let number = |digits| u64::from_str_radix(digits, 16).ok();
            Some(Self { high: number(high)?, low: number(low)? })
        });
        read.filter(|uuid| uuid.to_string() == text).ok_or_else(|| format!("{text:?} is no UUID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_a_salt_tells_runs_apart() {
        let mut one = Seed::from(7).rng();
        let mut other = Seed::from_bytes([7, 0, 0, 0, 0, 0, 0, 0]).rng();
        assert_eq!(one.uuid(1), other.uuid(1));
        assert_ne!(one.uuid(1), other.uuid(2));
        let id = one.uuid(3).to_string();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        assert!((0.0..1.0).contains(&one.unit()));
    }

    #[test]
    fn a_uuid_is_read_as_it_is_written_and_not_otherwise() {
        let uuid = Seed::from(9).rng().uuid(4);
        let text = uuid.to_string();
        assert_eq!(Uuid::try_from(text.clone()), Ok(uuid));
        let odd =
            ["", "é", &text[1..], &text.replace('-', ""), &text.to_uppercase()].map(str::to_owned);
        for odd in odd {
            assert!(Uuid::try_from(odd.clone()).is_err(), "{odd}");
        }
    }
}
