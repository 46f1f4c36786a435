//! Photos come from anywhere: whatever the bytes are, the answer is a painting or a clear error.

use std::sync::LazyLock;

use crate::support::{checksum, encoded, portrait, seeds, with_chunk};
use effects_render::{MAX_BYTES, MAX_PIXELS, PaintError, photo_size};
use image::{ImageFormat, RgbImage};
use proptest::prelude::*;

const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

#[test]
fn all_three_formats_are_read_at_any_small_size() {
    for format in FORMATS {
        for (width, height) in [(1, 1), (1, 200), (333, 7), (640, 480)] {
            assert!(photo_size(&encoded(&portrait(width, height), format)).is_ok(), "{format:?}");
        }
    }
}

#[test]
fn cut_files_are_corrupt() {
    for format in FORMATS {
        let file = encoded(&portrait(200, 160), format);
        for percent in [15, 40, 60, 80, 97] {
            let cut = &file[..file.len() * percent / 100];
            let error = photo_size(cut).expect_err("a cut file");
            assert!(matches!(error, PaintError::Corrupt { .. }), "{format:?} {percent}: {error}");
        }
    }
}

#[test]
fn a_thumbnails_end_marker_does_not_hide_that_a_jpeg_is_cut() {
    let file = encoded(&portrait(200, 160), ImageFormat::Jpeg);
    // A comment segment that holds an end-of-image marker, as thumbnails in metadata do.
    let mut with_comment = file[..2].to_vec();
    with_comment.extend_from_slice(&[0xFF, 0xFE, 0, 6, 0xFF, 0xD9, 0, 0]);
    with_comment.extend_from_slice(&file[2..]);
    assert!(photo_size(&with_comment).is_ok());
    let error = photo_size(&with_comment[..with_comment.len() * 3 / 4]).expect_err("a cut file");
    assert!(matches!(error, PaintError::Corrupt { .. }), "{error}");
}

/// Found by fuzzing: the JPEG decoder (zune-jpeg 0.5.15) panics over it.
#[test]
fn a_photo_its_decoder_panics_over_is_corrupt() {
    let error = photo_size(include_bytes!("../photos/decoder_panics.jpg")).unwrap_err();
    assert!(matches!(error, PaintError::Corrupt { .. }), "{error}");
}

#[test]
fn other_files_are_named() {
    for (file, said) in [
        (&b""[..], "is empty"),
        (b"no picture", "is not a picture"),
        (b"<html>no</html>", "is a web page"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"%PDF-1.7\n", "is a PDF document"),
    ] {
        let error = photo_size(file).unwrap_err();
        assert!(matches!(error, PaintError::NotAnImage { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = photo_size(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap_err();
    assert!(matches!(error, PaintError::UnsupportedFormat { .. }), "{error}");
    assert!(
        error.to_string().contains("HEIC") && error.to_string().contains("heif-convert"),
        "{error}"
    );
}

#[test]
fn too_many_pixels_are_refused_before_they_are_decoded() {
    for (width, height) in [(65_536, 2), (20_000, 10_001), (60_000, 60_000)] {
        let error = photo_size(&png_claiming(width, height)).unwrap_err();
        assert_eq!(error, PaintError::TooLarge { width, height, limit: MAX_PIXELS });
    }
    let error = photo_size(&png_claiming(u32::MAX / 2, 3)).unwrap_err();
    assert!(matches!(error, PaintError::TooLarge { .. } | PaintError::Corrupt { .. }), "{error}");
}

#[test]
fn photos_of_any_shape_within_the_limit_are_read() {
    for (width, height) in [(8000, 600), (600, 8000), (65_535, 2), (2, 65_535), (5712, 4284)] {
        let photo = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x / 300) as u8, (y / 300) as u8, 90])
        });
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let file = encoded(&photo, format);
            assert_eq!(photo_size(&file), Ok((width, height)), "{format:?}");
        }
    }
}

/// A PNG whose header promises this size.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut file = encoded(&RgbImage::new(2, 2), ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = checksum(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

#[test]
fn a_file_of_too_many_bytes_is_refused_unread() {
    let error = photo_size(&vec![0; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(error, PaintError::TooManyBytes { length: MAX_BYTES + 1, limit: MAX_BYTES });
}

/// Under a limit on the address space that a bomb would break, which ends the process.
#[cfg(target_os = "linux")]
#[test]
fn bombs_do_not_flood_the_memory() {
    let program = std::env::current_exe().unwrap();
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 800000 && exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--exact", "untrusted::read_bombs", "--include-ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success() && said.contains("1 passed"), "{limited:?}");
}

#[test]
#[ignore = "runs within the limits of the test above"]
fn read_bombs() {
    for (width, height) in [(60_000, 60_000), (20_000, 10_001), (u32::MAX / 2, 1)] {
        assert!(photo_size(&png_claiming(width, height)).is_err());
    }
    let small = encoded(&RgbImage::new(2, 2), ImageFormat::Png);
    for (kind, head) in [(*b"iCCP", &b"profile\0\0"[..]), (*b"zTXt", b"Comment\0\0")] {
        let mut content = head.to_vec();
        content.extend_from_slice(&zeros_compressed(1 << 30));
        // A bomb beside the picture may be passed over or be a fault, but must not go off.
        let read = photo_size(&with_chunk(&small, kind, &content));
        assert!(matches!(read, Ok((2, 2)) | Err(PaintError::Corrupt { .. })), "{read:?}");
    }
    let mut jpeg = encoded(&RgbImage::new(8, 8), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    let error = photo_size(&jpeg).unwrap_err();
    assert_eq!(error, PaintError::TooLarge { width: 65_535, height: 65_535, limit: MAX_PIXELS });
    // The largest that is held as it is.
    let mut largest = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::ImageRgba16(image::ImageBuffer::new(4096, 4096));
    picture.write_to(&mut largest, ImageFormat::Png).unwrap();
    drop(picture);
    assert_eq!(photo_size(largest.get_ref()), Ok((4096, 4096)));
}

/// A zlib stream that grows to this many zeros, written as "the byte before, 258 times more".
fn zeros_compressed(length: usize) -> Vec<u8> {
    let mut bits = vec![true, true, false];
    // A literal zero, then the longest match at distance one, all in the fixed code.
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..length / 258 {
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    bits.extend([false; 7]);
    let byte = |bits: &[bool]| {
        bits.iter().enumerate().fold(0u8, |byte, (i, bit)| byte | (u8::from(*bit) << i))
    };
    let mut stream = vec![0x78, 0x9C];
    stream.extend(bits.chunks(8).map(byte));
    stream
}

static SEEDS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(seeds);

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(photo_size(&bytes).is_err());
    }

    #[test]
    fn bytes_that_begin_like_a_picture_never_panic(
        seed in any::<prop::sample::Index>(),
        kept in 0..400usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        let mut file = SEEDS[seed.index(SEEDS.len())].1.clone();
        file.truncate(kept);
        file.extend_from_slice(&bytes);
        prop_assert!(photo_size(&file).map_or_else(|error| is_clear(&error), |_| true));
    }

    #[test]
    fn damaged_pictures_give_a_picture_or_a_clear_error(
        seed in any::<prop::sample::Index>(),
        damage in proptest::collection::vec(damages(), 1..8),
    ) {
        let mut file = SEEDS[seed.index(SEEDS.len())].1.clone();
        for damage in damage {
            damage.apply(&mut file);
        }
        match photo_size(&file) {
            Ok((width, height)) => prop_assert!(u64::from(width) * u64::from(height) <= MAX_PIXELS),
            Err(error) => prop_assert!(is_clear(&error), "{error}"),
        }
    }
}

/// A fault of the photo's, found by a check and not by a decoder's panic.
fn is_clear(error: &PaintError) -> bool {
    match error {
        PaintError::Corrupt { reason } => !reason.contains("gave it up"),
        PaintError::NotAnImage { .. }
        | PaintError::UnsupportedFormat { .. }
        | PaintError::Unsupported { .. }
        | PaintError::TooLargeForFormat { .. }
        | PaintError::TooLarge { .. } => true,
        _ => false,
    }
}

/// One thing that happens to a file on its way.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Lose(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn damages() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, value)| Damage::Set(at, value)),
        4 => (place(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => place().prop_map(Damage::Cut),
        2 => (place(), 1..64usize).prop_map(|(at, length)| Damage::Lose(at, length)),
        2 => (place(), 1..64usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    fn apply(&self, file: &mut Vec<u8>) {
        if file.is_empty() {
            return;
        }
        match self {
            Self::Set(at, value) => {
                let at = at.index(file.len());
                file[at] = *value;
            }
            Self::Flip(at, bit) => {
                let at = at.index(file.len());
                file[at] ^= 1 << bit;
            }
            Self::Cut(at) => file.truncate(at.index(file.len())),
            Self::Lose(at, length) => {
                let at = at.index(file.len());
                let end = (at + length).min(file.len());
                file.drain(at..end);
            }
            Self::Repeat(at, length) => {
                let at = at.index(file.len());
                let end = (at + length).min(file.len());
                let piece = file[at..end].to_vec();
                file.splice(at..at, piece);
            }
        }
    }
}
