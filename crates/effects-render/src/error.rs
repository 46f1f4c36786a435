//! Why a photo could not be painted.

/// Why a photo could not be painted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PaintError {
    /// The bytes are no PNG, JPEG or WebP file.
    #[error(
        "the photo ({length} bytes) is not a PNG, JPEG or WebP file; convert it to one of these"
    )]
    NotAnImage {
        /// How many bytes there were.
        length: usize,
    },
    /// The file is a picture of a kind that is not read here.
    #[error("the photo is a {format} file; only PNG, JPEG and WebP are read, so convert it")]
    UnsupportedFormat {
        /// The kind, such as `GIF`.
        format: &'static str,
    },
    /// The file begins well and then breaks off or makes no sense.
    #[error(
        "the photo cannot be decoded ({reason}); the file is damaged or cut short, send it again"
    )]
    Corrupt {
        /// What the decoder said.
        reason: String,
    },
    /// The picture is larger than [`MAX_SIDE`](crate::MAX_SIDE) on a side.
    #[error(
        "the photo is {width}x{height}; at most {limit} pixels a side are read, so scale it down"
    )]
    TooLarge {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The limit in pixels.
        limit: u32,
    },
    /// The file is longer than [`MAX_BYTES`](crate::MAX_BYTES).
    #[error("the photo has {length} bytes; at most {limit} are read, so scale it down")]
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
