//! [`orientation`]: how a photo has to be turned to stand upright, read from its EXIF block. `RowReceiver`
//! (`photo/mod.rs`) calls it with the block that a decoder found. `png.rs` calls [`from_raw_profile`],
//! which reads that block from the text, in hexadecimal digits, in which some PNG files have it.

use image::metadata::Orientation;

/// The orientation in a block, which begins with its byte order. A broken block says nothing about
/// the picture.
pub(super) fn orientation(block: &[u8]) -> Option<Orientation> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let big = match block.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let number = |at: usize, length: usize| -> Option<u32> {
        let bytes = block.get(at..at.checked_add(length)?)?;
        let join = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(if big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    };
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    (0..entries).find_map(|entry| {
        // A directory is a count of two bytes and entries of twelve.
        let at = directory + 2 + 12 * entry;
        if number(at, 2)? != ORIENTATION {
            return None;
        }
        // It should be a short number; some writers make it a byte or a long one.
        let length = match number(at + 2, 2)? {
            1 => 1,
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let value = number(at + 8, length)?;
        Orientation::from_exif(u8::try_from(value).ok()?)
    })
}

/// The block in a PNG text that ImageMagick and others write: a name, a length, and hexadecimal digits.
pub(super) fn from_raw_profile(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_whitespace();
    let (_, length) = (words.next()?, words.next()?.parse::<usize>().ok()?);
    let digits: Vec<u8> = words.flat_map(str::bytes).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut block = Vec::new();
    for &[high, low] in digits.as_chunks::<2>().0 {
        block.push((digit(high)? << 4 | digit(low)?) as u8);
    }
    (block.len() >= length).then_some(block)
}

const ORIENTATION: u32 = 0x0112;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orientation_is_read_in_either_byte_order_and_as_any_whole_number() {
        for (kind, value) in [
            (&b"\x03\0"[..], &b"\x06\0\0\0"[..]),
            (b"\x04\0", b"\x06\0\0\0"),
            (b"\x01\0", b"\x06\0\0\0"),
        ] {
            let block = [b"II*\0\x08\0\0\0\x01\0\x12\x01", kind, b"\x01\0\0\0", value, b"\0\0\0\0"]
                .concat();
            assert_eq!(orientation(&block), Some(Orientation::Rotate90));
        }
        let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0";
        assert_eq!(orientation(big), Some(Orientation::Rotate270));
        for broken in [&b""[..], b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"] {
            assert_eq!(orientation(broken), None);
        }
    }

    #[test]
    fn a_raw_profile_is_hexadecimal_digits_behind_its_length() {
        assert_eq!(from_raw_profile("\nexif\n       3\n4d4d\n00\n"), Some(vec![0x4d, 0x4d, 0]));
        assert_eq!(from_raw_profile("\nexif\n       4\n4d4d00\n"), None);
        assert_eq!(from_raw_profile("exif 1 zz"), None);
    }
}
