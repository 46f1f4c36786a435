//! Chance for runs and for names.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use effects_core::Seed;

/// A seed nobody can guess.
pub fn fresh_seed() -> Seed {
    Seed::from(random_number())
}

/// The standard library's hasher is keyed from the system's source of randomness, each instance
/// differently, so its hash of nothing is eight random bytes.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}
