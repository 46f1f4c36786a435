//! How the emulator reads and checks the photo of a task: [`PhotoReference`] is `image_input1`, read as
//! a URL or as the bytes themselves; [`inspect`] checks by their header, without decoding them, that
//! bytes are a photo and not too large; [`PhotoError`] says why there is no photo. `painting.rs` uses
//! them for each job, and `control/looks.rs` [`inspect`] for previews. The [`Fetcher`] in `fetch.rs`
//! fetches URLs, from the addresses that [`Reach`] in `address.rs` allows.

mod address;
mod fetch;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use effects_core::ServiceCode;
use url::Url;

pub(crate) use address::Reach;
pub(crate) use fetch::{Fetcher, MAX_LOOKUPS};

use crate::task::TaskFailure;

/// What `image_input1` turned out to be.
#[derive(Debug, PartialEq)]
pub(crate) enum PhotoReference {
    /// Something to fetch over HTTP.
    Remote(Url),
    /// The photo itself, as a data URL or as bare base64.
    Inline(Bytes),
}

/// Why there is no photo.
#[derive(Debug, PartialEq)]
pub(crate) enum PhotoError {
    /// It could not be had: 3009097, with the host in the words.
    NotFetched(String),
    /// It was had but is no photo to paint: 3009096.
    Unreadable(String),
}

impl From<PhotoError> for TaskFailure {
    fn from(error: PhotoError) -> Self {
        match error {
            PhotoError::NotFetched(words) => {
                Self::new(ServiceCode::Upstream, format!("HTTP error response: {words}"))
            }
            PhotoError::Unreadable(words) => {
                Self::new(ServiceCode::ResultParsing, format!("Result parsing error: {words}"))
            }
        }
    }
}

impl PhotoReference {
    /// Reads `image_input1`: an http(s) URL, a data URL, or base64 without any prefix, as one of
    /// the official clients sends local files.
    pub(crate) fn read(text: &str, max_bytes: usize) -> Result<Self, PhotoError> {
        let text = text.trim();
        if let Some(data) = text.strip_prefix("data:") {
            // The media type before it is not looked at: the bytes say what they are.
            let (_, base64) = data.split_once(";base64,").ok_or_else(|| {
                PhotoError::Unreadable("image_input1 is a data URL without `;base64,`".to_owned())
            })?;
            return decode(base64, max_bytes).map(Self::Inline);
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Remote(url)),
            _ if looks_like_base64(text) => decode(text, max_bytes).map(Self::Inline),
            Ok(url) => Err(PhotoError::NotFetched(format!(
                "image_input1 is a {}: URL; only http and https are fetched",
                url.scheme()
            ))),
            Err(_) => Err(PhotoError::NotFetched(
                "image_input1 is neither an http(s) URL nor a photo in base64".to_owned(),
            )),
        }
    }
}

/// Checks a photo without decoding it: that it is one, and not too large.
pub(crate) fn inspect(photo: &[u8], max_pixels: u64) -> Result<(), PhotoError> {
    let (width, height) = effects_render::photo_header(photo)
        .map_err(|error| PhotoError::Unreadable(format!("image_input1: {error}")))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > max_pixels {
        return Err(PhotoError::Unreadable(format!(
            "image_input1 has {width}x{height} pixels; at most {max_pixels} are taken"
        )));
    }
    Ok(())
}

/// Names too, and short words, consist of base64 letters; no photo is as short as they are.
fn looks_like_base64(text: &str) -> bool {
    let letter = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n')
    };
    text.len() >= 64 && text.bytes().all(letter)
}

fn decode(text: &str, max_bytes: usize) -> Result<Bytes, PhotoError> {
    // Many encoders break lines after 76 characters.
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    // Before it is decoded, which takes that memory.
    if text.len() / 4 * 3 > max_bytes {
        return Err(PhotoError::Unreadable(format!(
            "image_input1 is larger than {max_bytes} bytes"
        )));
    }
    BASE64.decode(text).map(Bytes::from).map_err(|error| {
        PhotoError::Unreadable(format!("image_input1 is not valid base64: {error}"))
    })
}

/// Standard base64, its padding written or left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::painter::STUB;

    fn read(text: &str) -> Result<PhotoReference, PhotoError> {
        PhotoReference::read(text, 1000)
    }

    #[test]
    fn urls_data_urls_and_bare_base64_are_told_apart() {
        assert!(matches!(read("https://a.example/p.jpg"), Ok(PhotoReference::Remote(_))));
        let bare = BASE64.encode(STUB);
        let inline = PhotoReference::Inline(Bytes::from_static(STUB));
        assert_eq!(read(&bare), Ok(inline));
        let data = format!("data:image/png;base64,{bare}");
        assert!(matches!(read(&data), Ok(PhotoReference::Inline(_))));
    }

    #[test]
    fn what_is_no_reference_says_why() {
        let not_fetched = ["photo.jpg", "ftp://a.example/p.jpg", "file:///etc/passwd", "/9j/4AAQ"];
        for text in not_fetched {
            assert!(matches!(read(text), Err(PhotoError::NotFetched(_))), "{text}");
        }
        let unreadable = ["data:,hello", "data:image/png;base64,?", &"A".repeat(2000)];
        for text in unreadable {
            assert!(matches!(read(text), Err(PhotoError::Unreadable(_))), "{text}");
        }
    }

    #[test]
    fn a_photo_is_inspected_by_its_head() {
        assert_eq!(inspect(STUB, 64), Ok(()));
        assert!(matches!(inspect(STUB, 63), Err(PhotoError::Unreadable(_))));
        assert!(matches!(inspect(b"hello", 64), Err(PhotoError::Unreadable(_))));
        assert!(matches!(inspect(b"", 64), Err(PhotoError::Unreadable(_))));
    }

    /// Under a limit on the address space that a bomb would break, which ends the process.
    #[cfg(target_os = "linux")]
    #[test]
    fn bombs_do_not_flood_the_memory() {
        let program = std::env::current_exe().unwrap();
        let limited = std::process::Command::new("sh")
            // In KiB: less than half of the 1 GiB that each bomb unfolds to.
            .args(["-c", "ulimit -v 500000 && exec \"$0\" \"$@\""])
            .arg(program)
            .args(["--exact", "photo::tests::inspect_bombs", "--ignored", "--test-threads=1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&limited.stdout);
        assert!(limited.status.success() && said.contains("1 passed"), "{limited:?}");
    }

    #[test]
    #[ignore = "runs within the limits of the test above"]
    fn inspect_bombs() {
        for (kind, head) in [(*b"iCCP", &b"profile\0\0"[..]), (*b"zTXt", b"Comment\0\0")] {
            let content = [head, &zeros_compressed(1 << 30)].concat();
            // The chunk may be skipped or refused, but must not be unfolded into memory.
            let result = inspect(&with_chunk(STUB, kind, &content), 64);
            assert!(matches!(result, Ok(()) | Err(PhotoError::Unreadable(_))), "{result:?}");
        }
    }

    /// A PNG file with one more chunk, right behind its header.
    fn with_chunk(png: &[u8], kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let chunk = [&kind[..], content].concat();
        let checksum = !chunk.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        });
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        // 33 bytes are the signature and the header chunk.
        [&png[..33], &length, &chunk, &checksum.to_be_bytes(), &png[33..]].concat()
    }

    /// A zlib stream that grows to this many zeros: a literal zero, then "the byte before, 258
    /// times more" in the fixed code. Eight of these take thirteen whole bytes, which are repeated.
    fn zeros_compressed(length: usize) -> Vec<u8> {
        let text = "110 00110000".to_owned() + &"11000101 00000".repeat(16);
        let bits: Vec<u8> = text.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
        let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
        let (start, matches) = (&bytes[..2], &bytes[2..15]);
        [&[0x78, 0x9C], start, &matches.repeat(length / 258 / 8)].concat()
    }
}
