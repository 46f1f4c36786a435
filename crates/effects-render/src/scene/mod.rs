//! Scenes: a template as data, and the machine that paints it.
//!
//! See the crate's front page for the language. [`markup`] reads a file into nodes, [`expression`]
//! computes, [`painter`] walks the nodes and paints, [`lettering`] draws titles,
//! [`wash`] backgrounds.

pub(crate) mod expression;
mod lettering;
mod markup;
mod painter;
mod wash;

pub(crate) use painter::{Stage, draw_over, paint};

/// A mistake in a scene file: ours, never the caller's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}
