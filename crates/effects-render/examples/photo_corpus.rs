//! Writes photos into a folder, and beside each what this crate reads in it: JPEG files over sampling,
//! scans, restarts, colours and sizes in `jpegs`, and photos with profiles, orientations, ends that are
//! missing and of other formats in `odd`. `pillow/photos.py` compares that with Pillow.
//!
//! ```sh
//! cargo run -p effects-render --example photo_corpus -- OUT_DIR
//! ```

use std::error::Error;
use std::path::Path;

use image::ImageFormat;

#[path = "../tests/all/support/mod.rs"]
mod support;

use support::jpeg_writer::{colour, kinds, write};
use support::odd_photos::{cut, formats, profiles, shades, turned, with_profile};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: photo_corpus OUT_DIR")?;
    let (jpegs, odd) = (Path::new(&folder).join("jpegs"), Path::new(&folder).join("odd"));
    std::fs::create_dir_all(&jpegs)?;
    std::fs::create_dir_all(&odd)?;
    for (name, kind) in kinds() {
        keep(&jpegs.join(format!("{name}.jpg")), &write(&kind, colour))?;
    }
    for (name, profile) in profiles() {
        for (ending, format) in
            [("png", ImageFormat::Png), ("jpg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)]
        {
            keep(
                &odd.join(format!("profile-{name}.{ending}")),
                &with_profile(&shades(), format, &profile),
            )?;
        }
    }
    for (name, file) in turned() {
        keep(&odd.join(format!("turned-{name}")), &file)?;
    }
    for (name, file, _) in cut() {
        keep(&odd.join(format!("cut-{name}")), &file)?;
    }
    for (name, file) in formats() {
        keep(&odd.join(format!("format-{name}")), &file)?;
    }
    Ok(())
}

/// Writes a photo, its pixels or the reason why there are none, and what was odd about it.
fn keep(path: &Path, file: &[u8]) -> Result<(), Box<dyn Error>> {
    std::fs::write(path, file)?;
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name
    };
    match effects_render::decode_photo(file) {
        Ok(photo) => {
            let mut pixels = format!("P6 {} {} 255\n", photo.width, photo.height).into_bytes();
            pixels.extend(photo.rgb);
            std::fs::write(beside(".ppm"), pixels)?;
            std::fs::write(beside(".txt"), photo.notes.join("; "))?;
        }
        Err(error) => std::fs::write(beside(".txt"), error.to_string())?,
    }
    Ok(())
}
