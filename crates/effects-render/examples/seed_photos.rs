//! Writes small photos of every kind that is read, as seeds for a fuzzer: `seed_photos OUT_DIR`.

#[path = "../tests/all/support/mod.rs"]
mod support;

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("seed_photos OUT_DIR")?);
    std::fs::create_dir_all(&folder)?;
    for (name, photo) in support::seeds() {
        std::fs::write(folder.join(name), photo)?;
    }
    Ok(())
}
