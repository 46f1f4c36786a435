//! Writes JPEG files over sampling, scans, restarts, colours and sizes into a folder, and beside each
//! what this crate reads in it. `pillow/photos.py` compares that with Pillow.
//!
//! ```sh
//! cargo run -p effects-render --example jpeg_corpus -- OUT_DIR
//! ```

use std::error::Error;
use std::path::Path;

#[path = "../tests/all/support/mod.rs"]
mod support;

use support::jpeg_writer::{colour, kinds, write};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: jpeg_corpus OUT_DIR")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, kind) in kinds() {
        let file = write(&kind, colour);
        let photo = effects_render::decode_photo(&file)?;
        let mut pixels = format!("P6 {} {} 255\n", photo.width, photo.height).into_bytes();
        pixels.extend(photo.rgb);
        std::fs::write(folder.join(format!("{name}.jpg")), file)?;
        std::fs::write(folder.join(format!("{name}.ppm")), pixels)?;
    }
    Ok(())
}
