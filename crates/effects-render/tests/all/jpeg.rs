//! JPEG files of every kind are read as what they are.

use effects_render::decode_photo;

use crate::support::jpeg_writer::{colour, kinds, write};

/// Twice as long as half of its kinds would take, and each of them has its own path.
#[test]
fn every_kind_of_jpeg_has_the_colours_that_were_written() {
    for (name, kind) in kinds() {
        let file = write(&kind, colour);
        let photo = decode_photo(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((photo.width as usize, photo.height as usize), kind.size, "{name}");
        assert!(photo.notes.is_empty(), "{name}: {:?}", photo.notes);
        let mut sum = 0.0;
        for (at, pixel) in photo.rgb.as_chunks::<3>().0.iter().enumerate() {
            let ought = kind.colours.shown(colour(at % kind.size.0, at / kind.size.0));
            sum += pixel
                .iter()
                .zip(ought)
                .map(|(is, ought)| (f32::from(*is) - ought).abs())
                .sum::<f32>();
        }
        let mean = sum / photo.rgb.len() as f32;
        // Colours at a quarter or a sixteenth of the size lose what an edge has.
        assert!(mean < 6.0, "{name}: {mean}");
    }
}
