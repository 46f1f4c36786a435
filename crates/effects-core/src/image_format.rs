//! [`ImageFormat`]: recognises the format of a picture by its first bytes, checks by its last that nothing
//! is cut off, and says how to convert what the service does not take. Photos and downloads of
//! `effects-jobs`, the command, the Python binding, cassettes and the renderer use it. [`MAX_PHOTO_BYTES`]:
//! the longest photo that is uploaded, painted, or taken by the emulator.

use std::fmt;

/// The longest photo that is uploaded, in bytes, and that the local renderer and gateway take. The
/// gateway's sibling documents 5 MB; this is a bound against mistakes, over what the cameras of
/// phones write at 108 megapixels.
pub const MAX_PHOTO_BYTES: usize = 48 * 1024 * 1024;

/// A format of pictures, told by the first bytes of a file and never by its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ImageFormat {
    /// AV1 in a HEIF container.
    Avif,
    /// Windows bitmap.
    Bmp,
    /// Graphics Interchange Format.
    Gif,
    /// HEIF, as current phones write it: HEIC.
    Heic,
    /// JPEG.
    Jpeg,
    /// JPEG XL.
    JpegXl,
    /// Portable Network Graphics.
    Png,
    /// Tagged Image File Format.
    Tiff,
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
            // A text can begin with `BM`, too: the four reserved bytes, zero in a bitmap, tell the two
            // apart.
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Self::Bmp),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(Self::Tiff),
            // The bare codestream, or the box that begins its container.
            [0xff, 0x0a, ..]
            | [0, 0, 0, 12, b'J', b'X', b'L', b' ', b'\r', b'\n', 0x87, b'\n', ..] => {
                Some(Self::JpegXl)
            }
            // Files of the ISO base media format begin with the length of a box, its name `ftyp`,
            // and a brand.
            [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => {
                Some(Self::Avif)
            }
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
                HEIF_BRANDS.iter().any(|known| brand.starts_with(known)).then_some(Self::Heic)
            }
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
            // BMP and RIFF both write numbers with the least byte first.
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
            // The end of the last block of data, then the trailer.
            Self::Gif => padded().ends_with(b"\0;"),
            Self::Jpeg => padded().ends_with(&[0xff, 0xd9]),
            Self::Png => end.ends_with(b"\0\0\0\0IEND\xaeB`\x82"),
            // The length of what follows it.
            Self::WebP => number(4).saturating_add(8) <= length,
            Self::Avif | Self::Heic | Self::JpegXl | Self::Tiff => true,
        }
    }

    /// Whether the service is documented to take it: JPEG, PNG and WebP. What it makes of others is
    /// not known.
    pub fn is_documented(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::WebP)
    }

    /// How a file of this format becomes one that every program takes.
    ///
    /// ```
    /// use effects_core::ImageFormat;
    ///
    /// assert!(ImageFormat::Heic.how_to_convert().contains("heif-convert"));
    /// ```
    pub fn how_to_convert(self) -> &'static str {
        match self {
            Self::Avif => "convert it, for example with `avifdec photo.avif photo.png`",
            Self::Heic => {
                "convert it, for example with `heif-convert photo.heic photo.jpg`, or let the phone \
                 save JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
            }
            Self::JpegXl => "convert it, for example with `djxl photo.jxl photo.png`",
            Self::Bmp => "convert it, for example with `magick photo.bmp photo.png`",
            Self::Gif => "convert it, for example with `magick 'photo.gif[0]' photo.png`",
            Self::Tiff => "convert it, for example with `magick photo.tiff photo.png`",
            Self::Jpeg | Self::Png | Self::WebP => "save it anew",
        }
    }

    /// What a file that is no picture of pixels is and how to make one of it, if that is known.
    ///
    /// ```
    /// use effects_core::ImageFormat;
    ///
    /// let reason = ImageFormat::why_no_picture(b"%PDF-1.7").unwrap();
    /// assert!(reason.starts_with("is a PDF document"));
    /// ```
    pub fn why_no_picture(start: &[u8]) -> Option<&'static str> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let head = &text[..text.len().min(1024)];
        let has = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
        if start.is_empty() {
            return Some("is empty");
        }
        if head.starts_with(b"%PDF-") {
            return Some(
                "is a PDF document: save its page as a picture, for example with \
                 `pdftoppm -png -r 200 file.pdf page`",
            );
        }
        if head.starts_with(b"<") && has(b"<svg") {
            return Some(
                "is an SVG drawing: save it as a picture, for example with \
                 `rsvg-convert -w 2048 -o photo.png drawing.svg`",
            );
        }
        if has(b"<html") || has(b"<!DOCTYPE html") || has(b"<!doctype html") {
            return Some("is a web page: save the picture itself");
        }
        None
    }

    /// Whether a file's end tells that it is whole; where it does not, [`is_whole`](Self::is_whole) is
    /// true of every file.
    pub fn has_end_marker(self) -> bool {
        !matches!(self, Self::Avif | Self::Heic | Self::JpegXl | Self::Tiff)
    }

    /// Whether a file may have more behind its end, as photos of phones do (a second picture, a film),
    /// and has the end somewhere.
    pub fn has_tail(self, bytes: &[u8]) -> bool {
        let end: &[u8] = match self {
            Self::Jpeg => &[0xff, 0xd9],
            Self::Png => b"\0\0\0\0IEND\xaeB`\x82",
            _ => return false,
        };
        memchr::memmem::rfind(bytes, end).is_some()
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Avif => "image/avif",
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
            Self::Heic => "image/heic",
            Self::Jpeg => "image/jpeg",
            Self::JpegXl => "image/jxl",
            Self::Png => "image/png",
            Self::Tiff => "image/tiff",
            Self::WebP => "image/webp",
        }
    }

    /// The usual ending of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Heic => "heic",
            Self::Jpeg => "jpg",
            Self::JpegXl => "jxl",
            Self::Png => "png",
            Self::Tiff => "tiff",
            Self::WebP => "webp",
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Avif => "AVIF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Heic => "HEIC",
            Self::Jpeg => "JPEG",
            Self::JpegXl => "JPEG XL",
            Self::Png => "PNG",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        })
    }
}

/// The brands of HEIF files with HEVC in them, and of those that do not say what is in them.
const HEIF_BRANDS: [&[u8]; 8] =
    [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"];

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
            // Enough bytes that no format still ends as it should, the padded JPEG among them.
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
