//! [`PaintError`]: why a photo could not be read or a picture not be painted. All functions of this crate
//! that read or paint return it ([`paint`](crate::paint), [`photo_size`](crate::photo_size) and others).
//! `effects batch` recognises a damaged photo by it; the emulator passes its text on as the reason why a
//! task failed, and `effects sampler` and the contact sheet of a batch print it in their errors.

use effects_core::ImageFormat;

/// Why a photo could not be painted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PaintError {
    /// The bytes are no picture.
    #[error(
        "the photo ({length} bytes) is not a picture of a known format ({what}); give a JPEG, PNG, WebP, \
         GIF, BMP or TIFF file"
    )]
    NotAnImage {
        /// How many bytes there were.
        length: usize,
        /// What they are, if that is known.
        what: &'static str,
    },
    /// The file is a picture of a format that is not read here.
    #[error("the photo is in the format {format}, which is not read here: {}", format.how_to_convert())]
    UnsupportedFormat {
        /// The format, such as HEIC.
        format: ImageFormat,
    },
    /// The file is of a rare kind of its format.
    #[error("the photo is {what}, which is not read here; save it anew as an ordinary JPEG or PNG")]
    Unsupported {
        /// The kind, such as `a lossless JPEG`.
        what: String,
    },
    /// The file begins well and then breaks off or makes no sense.
    #[error(
        "the photo cannot be decoded ({reason}); the file is damaged or cut short, send it again"
    )]
    Corrupt {
        /// What the decoder said.
        reason: String,
    },
    /// The picture has more than [`MAX_PIXELS`](crate::MAX_PIXELS), or more than
    /// [`MAX_SIDE`](crate::MAX_SIDE) on a side.
    #[error(
        "the photo is {width}x{height} pixels; at most {limit} in all, and 65,535 a side, are read: \
         scale it down"
    )]
    TooLarge {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The most pixels that are read.
        limit: u64,
    },
    /// The picture has more pixels than are read of a format that is decoded whole.
    #[error(
        "the photo is {width}x{height} pixels; of a {format} file at most {limit} are read: scale it \
         down, or save it as JPEG or PNG, of which more are"
    )]
    TooLargeForFormat {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// Its format.
        format: ImageFormat,
        /// The most pixels that are read.
        limit: u64,
    },
    /// The file is longer than [`MAX_BYTES`](crate::MAX_BYTES).
    #[error("the photo has {length} bytes; at most {limit} are read: scale it down")]
    TooManyBytes {
        /// How many bytes there were.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no such template.
    #[error("no template is called {id:?}; ids are case-sensitive, see effects_render::looks()")]
    UnknownTemplate {
        /// The id asked for.
        id: String,
    },
    /// The size asked for lies outside [`SIDES`](crate::SIDES).
    #[error("{field} is {value}; it must lie in {low}..={high}")]
    BadSize {
        /// `width` or `height`.
        field: &'static str,
        /// The value asked for.
        value: u32,
        /// The smallest allowed.
        low: u32,
        /// The largest allowed.
        high: u32,
    },
    /// A fault in this crate's own scene; the tests paint every scene, so please report it.
    #[error("the scene of {template} is faulty: {reason}")]
    Scene {
        /// The template's id.
        template: String,
        /// What is wrong in it.
        reason: String,
    },
}
