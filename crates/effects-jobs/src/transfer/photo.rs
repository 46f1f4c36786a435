//! [`Photo`]: the bytes of a photo in memory, checked to be of a known picture format and not too large,
//! with a name to show. Rust programs, jobs, the command and Python read one from a file by `read_photo` of
//! `effects-client`; the command (standard input, a test card) and Python (open files, arrays) also make
//! one of bytes, by [`Photo::new`]. Both clients' `transfer.rs` upload it, by themselves or with an
//! uploader of the caller, and the journal tells rows of local photos apart by its hash.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use effects_core::{Error, ErrorKind, ImageFormat, MAX_PHOTO_BYTES, Reference};

/// A photo in memory, known to be one.
#[derive(Clone, Eq, PartialEq)]
pub struct Photo {
    bytes: Bytes,
    name: String,
    shown: String,
    format: ImageFormat,
}

impl Photo {
    /// The longest photo that is uploaded, in bytes: [`MAX_PHOTO_BYTES`].
    pub const MAX_BYTES: usize = MAX_PHOTO_BYTES;

    /// A photo, from its bytes and the name to tell of it by.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnusablePhoto`] when the bytes are no picture, or more than
    /// [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(bytes: Bytes, name: &str) -> Result<Self, Error> {
        let fail = |rule: String| {
            Err(Error::new(ErrorKind::UnusablePhoto, format!("photo {name:?} {rule}")))
        };
        if bytes.len() > Self::MAX_BYTES {
            let (length, most) = (bytes.len(), Self::MAX_BYTES);
            return fail(format!("has {length} bytes, and at most {most} are uploaded: shrink it"));
        }
        let Some(format) = ImageFormat::sniff(&bytes) else {
            return fail(Self::why_none(&bytes));
        };
        let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let shown: String = last.chars().filter(|c| !c.is_control()).take(80).collect();
        // What ends up in a header and in a program's arguments holds nothing that acts there.
        let name: String = last
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c))
            .take(80)
            .collect();
        let name = match name.rsplit_once('.') {
            // Of a name in another script its ending is left, which programs look at.
            Some(("", ending)) if !last.starts_with('.') && !ending.is_empty() => {
                format!("photo.{ending}")
            }
            _ if name.trim_start_matches('.').is_empty() => format!("photo.{}", format.extension()),
            _ => name,
        };
        Ok(Self { bytes, name, shown, format })
    }

    /// What is said of a file of no known format, by its first kilobyte: what it is, and what to give.
    ///
    /// ```
    /// use effects_jobs::Photo;
    ///
    /// assert_eq!(Photo::why_none(b""), "is empty: give a JPEG, PNG or WebP file");
    /// assert!(Photo::why_none(b"%PDF-1.7").starts_with("is not a picture: it is a PDF document"));
    /// ```
    pub fn why_none(start: &[u8]) -> String {
        match ImageFormat::why_no_picture(start) {
            _ if start.is_empty() => "is empty: give a JPEG, PNG or WebP file".to_owned(),
            Some(what) => format!("is not a picture: it {what}"),
            None => "is not a picture: give a JPEG, PNG or WebP file".to_owned(),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A file name for it, of letters, digits, dots, hyphens and underscores.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name to tell of it by, in any script.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its format.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// What is odd about it and should be told before it is paid for: a format of which it is not known
    /// what the service makes, or an end that is missing. With `renderer`, for this machine's own
    /// gateway, of which the formats are known.
    ///
    /// ```
    /// use effects_jobs::Photo;
    ///
    /// let photo = Photo::new(b"II*\0\x08\0\0\0".as_slice().into(), "scan.tif").unwrap();
    /// assert!(photo.warnings(false)[0].contains("TIFF"));
    /// assert!(photo.warnings(true).is_empty());
    /// ```
    pub fn warnings(&self, renderer: bool) -> Vec<String> {
        let Self { bytes, shown, format, .. } = self;
        let mut warnings = Vec::new();
        if !renderer && !format.is_documented() {
            warnings.push(format!(
                "photo {shown:?} is in the format {format}; whether the service reads it is not known. \
                 To be safe, {}",
                format.how_to_convert()
            ));
        }
        let start = &bytes[..bytes.len().min(ImageFormat::SNIFF_BYTES)];
        let end = &bytes[bytes.len().saturating_sub(ImageFormat::END_BYTES)..];
        if !format.has_tail(bytes) && !format.is_whole(start, end, bytes.len() as u64) {
            warnings.push(format!(
                "photo {shown:?} does not end as a {format} must; a part of it may be missing"
            ));
        }
        warnings
    }

    /// Itself as a `data:` URL. Whether this service accepts one is not known.
    pub fn data_url(&self) -> Reference {
        let url =
            format!("data:{};base64,{}", self.format.media_type(), STANDARD.encode(&self.bytes));
        // A data URL of a picture is what a reference may be.
        url.parse().unwrap_or_else(|_| unreachable!("a data URL of a picture is a reference"))
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({:?}, {}, {} bytes)", self.name, self.format, self.bytes.len())
    }
}
