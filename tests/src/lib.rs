//! What no single crate owns, and what its tests share.

pub mod vectors;
