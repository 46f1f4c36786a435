//! Encodes a finished picture as a PNG file. [`png()`] adds the [`NOTICE`] that it was painted locally,
//! for `paint`, `paint_scene`, the test card and the sampler; [`sheet`] adds none, for contact sheets of
//! pictures from anywhere.

use resvg::tiny_skia::Pixmap;

/// Encodes an opaque picture as an RGB PNG with text chunks that say what painted it.
pub(crate) fn png(pixmap: &Pixmap, template: &str) -> Result<Vec<u8>, png::EncodingError> {
    with_notice(pixmap, template, Some(NOTICE))
}

/// Encodes an opaque picture of pictures that may come from anywhere.
pub(crate) fn sheet(pixmap: &Pixmap, title: &str) -> Result<Vec<u8>, png::EncodingError> {
    with_notice(pixmap, title, None)
}

fn with_notice(
    pixmap: &Pixmap,
    title: &str,
    notice: Option<&str>,
) -> Result<Vec<u8>, png::EncodingError> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let mut rgb = vec![0; width as usize * height as usize * 3];
    for (target, pixel) in
        rgb.as_chunks_mut::<3>().0.iter_mut().zip(pixmap.data().as_chunks::<4>().0)
    {
        // The picture is opaque, so its bytes are its colours, and alpha is left out.
        target.copy_from_slice(&pixel[..3]);
    }
    let mut file = Vec::with_capacity(rgb.len() / 2);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.add_text_chunk("Software".to_owned(), "effects-render".to_owned())?;
    if let Some(notice) = notice {
        encoder.add_text_chunk("Comment".to_owned(), notice.to_owned())?;
    }
    encoder.add_text_chunk("Title".to_owned(), title.to_owned())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(file)
}

/// The `Comment` chunk of every picture that is painted here.
pub const NOTICE: &str = "Painted locally by effects-render: a stand-in, not the generative model";
