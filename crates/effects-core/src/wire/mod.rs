//! From the bytes of an answer to types: the answer tables, the task, its pictures and its bill.
//!
//! A run reads the answer to its submission with [`answer::SubmissionAnswer`], and to each poll with
//! [`answer::Look`].

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod picture;
pub(crate) mod raw;
pub(crate) mod repair;
pub(crate) mod task;
pub(crate) mod trouble;
pub(crate) mod usage;
