//! [`FileKind`]: what a file is by its first bytes (a picture format, or unknown), with its extension and
//! media type. `file_store.rs` names files with that extension, and the download handler
//! (`surfaces/files.rs`) serves them with that media type.

/// The kinds of files that the file store knows. No name is one that a browser would run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FileKind {
    Png,
    Jpeg,
    Webp,
    Gif,
    Bmp,
    Other,
}

impl FileKind {
    /// Every extension there is.
    pub(crate) const EXTENSIONS: [&str; 6] = ["png", "jpg", "webp", "gif", "bmp", "bin"];

    pub(crate) fn of(bytes: &[u8]) -> Self {
        // By the bytes alone: names and media types that come with an upload are its client's
        // words.
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            // The four bytes in between are the length of the file.
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'G', b'I', b'F', b'8', ..] => Self::Gif,
            [b'B', b'M', ..] => Self::Bmp,
            // HTML and SVG end up here too: a browser that opens an upload must not run it.
            _ => Self::Other,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Other => "application/octet-stream",
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Other => "bin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_first_bytes() {
        assert_eq!(FileKind::of(crate::painter::STUB), FileKind::Png);
        assert_eq!(FileKind::of(b"\xff\xd8\xff\xe0"), FileKind::Jpeg);
        assert_eq!(FileKind::of(b"RIFF\x01\x02\x03\x04WEBPVP8 "), FileKind::Webp);
        assert_eq!(FileKind::of(b"GIF89a"), FileKind::Gif);
        assert_eq!(FileKind::of(b"<html>").media_type(), "application/octet-stream");
        assert_eq!(FileKind::of(b"").extension(), "bin");
    }
}
