//! Paints a photo through a template on this machine.

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Painting {
    /// The PNG file, of exactly the size asked for.
    pub png: Vec<u8>,
}

/// Why a photo could not be painted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaintError(String);

/// Paints `photo` (the bytes of a PNG, JPEG or WebP file) through the template with this id.
///
/// # Errors
///
/// [`PaintError`] when the photo cannot be read as a picture.
pub fn paint(
    photo: &[u8],
    template_id: &str,
    width: u32,
    height: u32,
) -> Result<Painting, PaintError> {
    Err(PaintError(format!("{} {template_id} {width} {height}", photo.len())))
}
