//! A scripted service, a virtual clock and seeded faults, for testing code built on `effects-core`.

pub mod http;
