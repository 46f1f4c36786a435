//! Reproducible random numbers, the same on every machine. [`hash_unit`] makes one number of two, for
//! scenes (`rand`), the textures of `tiles.rs` and the filters `fur`, `patchwork` and `voxel`.
//! [`NoiseSequence`] draws one number after the other from a seed, for the felt texture and the filter
//! `fur`.

/// A number in `0.0..1.0` that depends on both arguments and on nothing else.
pub(crate) fn hash_unit(i: u32, k: u32) -> f64 {
    f64::from(hash(i, k)) / 4_294_967_296.0
}

/// Mixes two numbers into one that looks random.
pub(crate) fn hash(i: u32, k: u32) -> u32 {
    let mut x = i.wrapping_mul(0x9E37_79B9) ^ k.wrapping_mul(0x85EB_CA6B) ^ 0x27D4_EB2F;
    x ^= x >> 15;
    x = x.wrapping_mul(0x2C1B_3C6D);
    x ^= x >> 12;
    x = x.wrapping_mul(0x297A_2D39);
    x ^ (x >> 15)
}

/// A xorshift32 generator, for the felt texture and for fur.
#[derive(Clone, Debug)]
pub(crate) struct NoiseSequence(u32);

impl NoiseSequence {
    pub(crate) fn new(seed: u32) -> Self {
        // From 0 a xorshift never moves.
        Self(hash(seed, 77).max(1))
    }

    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f32 {
        // 24 bits are all that an `f32` holds exactly.
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }
}
