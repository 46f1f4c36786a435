//! From the bytes of an answer to types: the answer tables, the task, its pictures and its bill.
//!
//! `answer.rs` reads the answer to a submission and to a look; [`Task`](crate::Task) is what a look
//! shows, and [`Trouble`] what went wrong.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod picture;
pub(crate) mod raw;
pub(crate) mod repair;
pub(crate) mod response_excerpt;
pub(crate) mod task;
pub(crate) mod trouble;
pub(crate) mod usage;

pub use code::FaultSide;
pub use raw::RawJson;
pub use response_excerpt::ResponseExcerpt;
pub use trouble::{Rejection, Trouble};
