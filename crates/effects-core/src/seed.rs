//! Chance as an argument: eight bytes from the driver, and everything random follows from them.

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
    pub(crate) const fn dice(self) -> Dice {
        Dice(self.0)
    }
}

impl From<u64> for Seed {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// A stream of numbers out of a seed (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0.0..1.0`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A UUID (version 4 in form) that also depends on `salt`.
    ///
    /// The salt keeps two runs apart even where a driver gave both the same seed.
    pub(crate) fn uuid(&mut self, salt: u64) -> String {
        let mut mixed = Self(self.next() ^ Self(salt).next());
        let (high, low) = (mixed.next(), mixed.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_a_salt_tells_runs_apart() {
        let mut one = Seed::from(7).dice();
        let mut other = Seed::from_bytes([7, 0, 0, 0, 0, 0, 0, 0]).dice();
        assert_eq!(one.uuid(1), other.uuid(1));
        assert_ne!(one.uuid(1), other.uuid(2));
        let id = one.uuid(3);
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
        assert!((0.0..1.0).contains(&one.unit()));
    }
}
