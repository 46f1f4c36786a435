//! [`Painter`]: the trait by which an emulator paints a photo through a template, and the test card
//! that stands in for a photo that cannot be fetched. `LocalPainter` paints with `effects-render`; Rust
//! programs and tests may give another to `EmulatorBuilder::painter`. `painting.rs` calls it for tasks,
//! `RenderQueue::preview` for the page's small pictures. [`STUB`] is the constant picture that
//! `lifecycle.rs` gives to tasks where `Pictures::Stub` is set, without a painter.

use std::fmt;

use effects_core::Template;

/// Turns photos into pictures. The emulator calls it on threads of its own, several at once.
///
/// The default paints with `effects-render`. Tests that care for traffic rather than pictures bring
/// their own:
///
/// ```
/// use effects_core::Template;
/// use effects_emulator::{Emulator, PaintFailure, Painter};
///
/// struct Echo;
///
/// impl Painter for Echo {
///     fn paint(&self, photo: &[u8], _: &Template, _: u32, _: u32) -> Result<Vec<u8>, PaintFailure> {
///         Ok(photo.to_vec())
///     }
/// }
///
/// let emulator = Emulator::builder().painter(Echo).start()?;
/// # Ok::<(), effects_emulator::StartError>(())
/// ```
pub trait Painter: Send + Sync + 'static {
    /// Paints a photo through a template, to a PNG file of the size asked for.
    ///
    /// # Errors
    ///
    /// [`PaintFailure`] when the photo cannot be read as a picture; the task fails with 3009096. A
    /// panic fails it with 3009095.
    fn paint(
        &self,
        photo: &[u8],
        template: &Template,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, PaintFailure>;

    /// The photo that stands in for one that cannot be fetched, if placeholders are on.
    fn test_card(&self, width: u32, height: u32) -> Vec<u8> {
        // The names are for those who implement it.
        let _ = (width, height);
        STUB.to_vec()
    }
}

/// Why a photo could not be painted, in words for the task's error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaintFailure(String);

impl PaintFailure {
    /// A failure in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for PaintFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PaintFailure {}

/// Paints with `effects-render`.
pub(crate) struct LocalPainter;

impl Painter for LocalPainter {
    fn paint(
        &self,
        photo: &[u8],
        template: &Template,
        width: u32,
        height: u32,
    ) -> Result<Vec<u8>, PaintFailure> {
        effects_render::paint(photo, template.id(), width, height)
            .map(|painting| painting.png)
            .map_err(|error| PaintFailure::new(error.to_string()))
    }

    fn test_card(&self, width: u32, height: u32) -> Vec<u8> {
        // It fails for sides that no task has.
        effects_render::test_card(width, height).unwrap_or_else(|_| STUB.to_vec())
    }
}

/// The picture of `--pictures stub`: eight by eight pixels of grey.
pub(crate) const STUB: &[u8] = include_bytes!("stub.png");

/// Its width and height.
pub(crate) const STUB_SIDES: (u32, u32) = (8, 8);
