//! Everything that can happen, in lists.

pub mod create;
pub mod deadlines;
pub mod dialects;
pub mod downloads;
pub mod echoes;
pub mod looks;
pub mod uploads;
