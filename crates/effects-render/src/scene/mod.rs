//! Paints scenes, the SVG files with directives that describe the templates: [`paint`] onto a new canvas,
//! [`draw_over`] over a finished picture (both in `painter.rs`). `painting.rs` calls [`paint`] for every
//! picture and `test_card.rs` for its own; `contact_sheet.rs` draws its labels with [`draw_over`].
//! [`SceneError`] is a mistake in a scene; the filters return it too.
//!
//! See the crate's front page for the language. [`markup`] reads a file into nodes, [`expression`]
//! computes, [`painter`] walks the nodes and paints, [`svg`] checks and draws what SVG there is,
//! [`lettering`] draws titles, [`wash`] backgrounds.

pub(crate) mod expression;
mod lettering;
mod markup;
mod painter;
mod svg;
mod wash;

pub(crate) use painter::{SceneInput, draw_over, paint};

/// A mistake in a scene: in a file of this crate's, or in the text that a caller has painted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SceneError(String);

impl SceneError {
    /// A fault in these words. They may quote the scene, of which the beginning is enough.
    pub(crate) fn new(what: String) -> Self {
        let end = what.floor_char_boundary(MAX_SHOWN_CHARS);
        Self(if end < what.len() { format!("{}…", &what[..end]) } else { what })
    }
}

/// The number, unless it is larger than `limit` either way, or none at all: sizes and sums that are
/// made of it would not fit into their types.
pub(crate) fn bounded(number: f64, limit: f64, source: &str) -> Result<f64, SceneError> {
    // No comparison holds for what is no number, so that is refused as well.
    if number.abs() <= limit {
        return Ok(number);
    }
    Err(SceneError::new(format!(
        "`{source}` is {number:?}: numbers lie between -{limit} and {limit}"
    )))
}

/// Bytes of a fault's words.
const MAX_SHOWN_CHARS: usize = 600;
