//! The input picture as Python gives it.

use std::path::PathBuf;

use bytes::Bytes;
use effects_client::read_photo;
use effects_core::{DraftImage, Error, ErrorKind, ImageFormat, Photo};
use pyo3::prelude::*;

/// The input picture.
#[derive(Clone, Debug, FromPyObject)]
pub enum Image {
    /// A URL. First, since most are one, and trying another shape costs an exception.
    #[pyo3(transparent)]
    Url(String),
    /// Pixels, row by row: width, height, 3 or 4 bytes each.
    #[pyo3(transparent)]
    Pixels((u32, u32, Vec<u8>)),
    /// A file's content and a name to tell of it by.
    #[pyo3(transparent)]
    File((Vec<u8>, String)),
    /// A path, marked as one.
    #[pyo3(transparent)]
    Path((PathBuf,)),
}

impl Image {
    /// What of it a draft is checked with.
    pub fn draft(&self) -> DraftImage {
        match self {
            Self::Url(url) if url.is_empty() => DraftImage::Missing,
            Self::Url(url) => DraftImage::Url(url.clone()),
            _ => DraftImage::Local,
        }
    }

    /// The photo of what is on this machine. It may read a file and encode pixels.
    pub fn photo(self) -> Result<Photo, Error> {
        match self {
            Self::Url(_) => Err(Error::new(ErrorKind::UnusablePhoto, "a URL is no photo")),
            Self::Path((path,)) => read_photo(&path),
            Self::File((bytes, name)) if name.is_empty() => {
                // An uploader's program may look at the ending.
                let format = ImageFormat::sniff(&bytes);
                let ending = format.map(|format| format!(".{}", format.extension()));
                Photo::new(bytes.into(), &format!("photo{}", ending.unwrap_or_default()))
            }
            Self::File((bytes, name)) => Photo::new(bytes.into(), &name),
            Self::Pixels((width, height, pixels)) => {
                Photo::new(encoded(width, height, &pixels)?, "pixels.png")
            }
        }
    }
}

fn encoded(width: u32, height: u32, pixels: &[u8]) -> Result<Bytes, Error> {
    let fail = |why: String| Error::new(ErrorKind::UnusablePhoto, format!("the pixels {why}"));
    let count = u64::from(width) * u64::from(height);
    let colours = match pixels.len() as u64 {
        bytes if count > 0 && bytes == 3 * count => png::ColorType::Rgb,
        bytes if count > 0 && bytes == 4 * count => png::ColorType::Rgba,
        _ => return Err(fail(format!("are not {width}x{height} of 3 or 4 bytes each"))),
    };
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colours);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| fail(format!("cannot be written as PNG: {error}")))?;
    Ok(file.into())
}
