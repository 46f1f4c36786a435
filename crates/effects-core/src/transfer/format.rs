//! What kind of picture some bytes are, by their first few.

use std::fmt;

/// A format of pictures, told by the first bytes of a file and never by its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ImageFormat {
    /// Windows bitmap.
    Bmp,
    /// Graphics Interchange Format.
    Gif,
    /// JPEG.
    Jpeg,
    /// Portable Network Graphics.
    Png,
    /// WebP.
    WebP,
}

impl ImageFormat {
    /// How many bytes [`sniff`](Self::sniff) needs to tell.
    pub const SNIFF_BYTES: usize = 12;

    /// The format of a file that begins like this.
    ///
    /// ```
    /// use effects_core::ImageFormat;
    ///
    /// assert_eq!(ImageFormat::sniff(b"\x89PNG\r\n\x1a\n..."), Some(ImageFormat::Png));
    /// assert_eq!(ImageFormat::sniff(b"<!DOCTYPE html>"), None);
    /// ```
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Self::Bmp),
            _ => None,
        }
    }

    /// How many bytes of its end [`is_whole`](Self::is_whole) needs to tell.
    pub const END_BYTES: usize = 12;

    /// Whether a file of this format ends as one must, so that nothing was cut off: `start` and `end`
    /// are its first [`SNIFF_BYTES`](Self::SNIFF_BYTES) and its last [`END_BYTES`](Self::END_BYTES)
    /// bytes, or all there are. What is in between is not looked at.
    ///
    /// ```
    /// use effects_core::ImageFormat;
    ///
    /// let gif = b"GIF89a..\0;";
    /// assert!(ImageFormat::Gif.is_whole(gif, gif, 10));
    /// assert!(!ImageFormat::Gif.is_whole(&gif[..9], &gif[..9], 9));
    /// ```
    pub fn is_whole(self, start: &[u8], end: &[u8], length: u64) -> bool {
        let number = |at: usize| match start.get(at..at + 4) {
            Some(bytes) => bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            None => u64::MAX,
        };
        // Some encoders fill up the last block with zeros.
        let padded = || match end.iter().rposition(|byte| *byte != 0) {
            Some(last) => &end[..=last],
            None => &end[..0],
        };
        match self {
            // The length of the file; 0 where its encoder did not know.
            Self::Bmp => number(2) <= length,
            Self::Gif => padded().ends_with(b"\0;"),
            Self::Jpeg => padded().ends_with(&[0xff, 0xd9]),
            Self::Png => end.ends_with(b"\0\0\0\0IEND\xaeB`\x82"),
            // The length of what follows it.
            Self::WebP => number(4).saturating_add(8) <= length,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }

    /// The usual ending of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_off_is_told_from_a_whole_one() {
        let files: [(ImageFormat, &[u8]); 6] = [
            (ImageFormat::Bmp, b"BM\x10\0\0\0\0\0\0\0......"),
            (ImageFormat::Gif, b"GIF89a.......\0;"),
            (ImageFormat::Jpeg, b"\xff\xd8\xff\xe0.....\xff\xd9"),
            (ImageFormat::Jpeg, b"\xff\xd8\xff\xe0..........\xff\xd9\0\0"),
            (ImageFormat::Png, b"\x89PNG\r\n\x1a\n....\0\0\0\0IEND\xaeB`\x82"),
            (ImageFormat::WebP, b"RIFF\x0c\0\0\0WEBPVP8 ...."),
        ];
        let is_whole = |format: ImageFormat, file: &[u8]| {
            let start = &file[..file.len().min(ImageFormat::SNIFF_BYTES)];
            let end = &file[file.len().saturating_sub(ImageFormat::END_BYTES)..];
            assert_eq!(ImageFormat::sniff(start), Some(format));
            format.is_whole(start, end, file.len() as u64)
        };
        for (format, file) in files {
            assert!(is_whole(format, file), "{format}: {file:?}");
            for cut in [3, 4] {
                let file = &file[..file.len() - cut];
                assert!(!is_whole(format, file), "{format}: {file:?}");
            }
        }
        for format in [ImageFormat::Bmp, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            assert!(!format.is_whole(b"", b"", 0), "{format}");
        }
    }
}
