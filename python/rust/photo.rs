//! [`Image`]: the input picture as `_image.py` gives it: a URL, a path, a file's content or pixels;
//! [`Image::photo`] reads or encodes a local one as a [`Photo`]. Each request from Python (`PlainRequest`)
//! has one. `CheckedRequest` reads it for a run, a submission or a job (`submission.rs`), `Engine::upload`
//! to upload it alone, and `Engine::check` to find what is wrong with it.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use effects_client::{is_special, read_opened_photo, read_photo};
use effects_core::model::DraftImage;
use effects_core::{Error, ErrorKind, ImageFormat};
use effects_jobs::Photo;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageResult};
use pyo3::prelude::*;

/// The input picture.
#[derive(Clone, Debug, FromPyObject)]
pub enum Image {
    /// A URL. First, since most are one, and trying another shape costs an exception.
    #[pyo3(transparent)]
    Url(String),
    /// Pixels, row by row: width, height, 1, 3 or 4 bytes each; and their colour profile.
    #[pyo3(transparent)]
    Pixels((u32, u32, Vec<u8>, Option<Vec<u8>>)),
    /// A file's content, and a name for messages.
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
            // A pipe may take its time, once something writes to it.
            Self::Path((path,)) if is_special(&path) => read_in_time(path, None),
            Self::Path((path,)) => read_photo(&path),
            Self::File((bytes, name)) if name.is_empty() => {
                // An uploader's program may look at the ending.
                let format = ImageFormat::sniff(&bytes);
                let ending = format.map(|format| format!(".{}", format.extension()));
                Photo::new(bytes.into(), &format!("photo{}", ending.unwrap_or_default()))
            }
            Self::File((bytes, name)) => Photo::new(bytes.into(), &name),
            Self::Pixels((width, height, pixels, profile)) => {
                encode(width, height, pixels, profile)
            }
        }
    }

    /// The same for one of many jobs, which no pipe holds up.
    pub fn photo_of_batch_job(self) -> Result<Photo, Error> {
        match self {
            Self::Path((path,)) if is_special(&path) => read_in_time(path, Some(PIPE_TIMEOUT)),
            image => image.photo(),
        }
    }
}

/// A photo through a pipe or a device, unless nothing is written there: a call, or a batch, would stand
/// still for it. Once something has opened it, it has `most` time to end. The thread that waits for it ends
/// with the process.
fn read_in_time(path: PathBuf, most: Option<Duration>) -> Result<Photo, Error> {
    let (sender, read) = std::sync::mpsc::channel();
    let shown = path.display().to_string();
    // Opening a pipe blocks until something writes to it and cannot be given up, so the thread is
    // left behind where that takes too long.
    std::thread::spawn(move || {
        let opened = File::open(&path);
        // The caller is gone where it took too long.
        let _ = sender.send(None);
        // A message for each, since each has its own time limit.
        let _ = sender.send(Some(read_opened_photo(opened, &path)));
    });
    let late = |what: &str| {
        let message = format!(
            "photo {shown} is no regular file, and nothing {what} it for {} s: save it as a file",
            PIPE_TIMEOUT.as_secs()
        );
        Error::new(ErrorKind::UnusablePhoto, message)
    };
    read.recv_timeout(PIPE_TIMEOUT).map_err(|_| late("opened"))?;
    let photo = match most {
        Some(most) => read.recv_timeout(most).ok(),
        None => read.recv().ok(),
    };
    photo.flatten().unwrap_or_else(|| Err(late("ended")))
}

/// How long a photo waits for what writes to its pipe, and one of many jobs for the end of it.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);

/// A PNG of the pixels, or, where they are many and none is transparent, a JPEG.
fn encode(
    width: u32,
    height: u32,
    mut pixels: Vec<u8>,
    profile: Option<Vec<u8>>,
) -> Result<Photo, Error> {
    let fail = |why: &str| {
        let message = format!("the pixels, {width}x{height}, {why}");
        Error::new(ErrorKind::UnusablePhoto, message)
    };
    let count = u64::from(width) * u64::from(height);
    let mut colours = match pixels.len() as u64 {
        // Without a pixel, all three would fit.
        bytes if count > 0 && bytes == count => ExtendedColorType::L8,
        bytes if count > 0 && bytes == 3 * count => ExtendedColorType::Rgb8,
        bytes if count > 0 && bytes == 4 * count => ExtendedColorType::Rgba8,
        _ => return Err(fail("do not have 1, 3 or 4 bytes each")),
    };
    let is_large = count > MAX_PNG_PIXELS;
    // A JPEG has no transparency, and many pictures with a fourth channel use none.
    if is_large && colours == ExtendedColorType::Rgba8 {
        let (rgba, _) = pixels.as_chunks::<4>();
        if rgba.iter().all(|pixel| pixel[3] == u8::MAX) {
            pixels = rgba.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect();
            colours = ExtendedColorType::Rgb8;
        }
    }
    let mut file = Vec::new();
    let is_jpeg = is_large && colours != ExtendedColorType::Rgba8;
    let written = if is_jpeg {
        encode_with(
            JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY),
            profile,
            &pixels,
            width,
            height,
            colours,
        )
    } else {
        let encoder =
            PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive);
        encode_with(encoder, profile, &pixels, width, height, colours)
    };
    written.map_err(|error| fail(&format!("cannot be written: {error}")))?;
    // Asked here, where the size in pixels is known: `Photo::new` would name a file that the caller
    // never gave.
    if file.len() > Photo::MAX_BYTES {
        let (length, most) = (file.len(), Photo::MAX_BYTES);
        return Err(fail(&format!(
            "make a file of {length} bytes, and at most {most} are uploaded: scale them down, or \
             convert them to 'RGB', which is sent as JPEG"
        )));
    }
    Photo::new(file.into(), if is_jpeg { "pixels.jpg" } else { "pixels.png" })
}

fn encode_with(
    mut encoder: impl ImageEncoder,
    profile: Option<Vec<u8>>,
    pixels: &[u8],
    width: u32,
    height: u32,
    colours: ExtendedColorType,
) -> ImageResult<()> {
    if let Some(profile) = profile {
        // The encoder refuses one that does not fit into the file: the picture goes without it.
        let _ = encoder.set_icc_profile(profile);
    }
    encoder.write_image(pixels, width, height, colours)
}

/// More pixels make a PNG that takes long to send.
const MAX_PNG_PIXELS: u64 = 2_000_000;

/// Of a JPEG, of 100.
const JPEG_QUALITY: u8 = 92;
