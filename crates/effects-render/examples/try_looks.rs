//! Paints looks into a folder, for the eyes: `try_looks OUT_DIR PHOTO… [--only ID,ID] [--size WxH]
//! [--scenes DIR]`. With `--scenes` the scene files are read from disk and not from the program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use effects_render::TemplateLook;

fn main() -> Result<(), Box<dyn Error>> {
    let mut only: Option<String> = None;
    let mut sizes = vec![(1328, 1328), (512, 2048), (2048, 512)];
    let mut paths = Vec::new();
    let mut scenes = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--scenes" => scenes = words.next().map(PathBuf::from),
            "--only" => only = words.next(),
            "--size" => {
                let text = words.next().ok_or("--size needs WxH")?;
                let (width, height) = text.split_once('x').ok_or("--size needs WxH")?;
                sizes = vec![(width.parse()?, height.parse()?)];
            }
            _ => paths.push(PathBuf::from(word)),
        }
    }
    let (folder, photos) = paths.split_first().ok_or("try_looks OUT_DIR PHOTO…")?;
    std::fs::create_dir_all(folder)?;
    for look in effects_render::looks() {
        let wanted = only
            .as_ref()
            .map_or_else(|| look.is_painted(), |only| only.split(',').any(|id| id == look.id));
        if !wanted {
            continue;
        }
        for photo in photos {
            for &(width, height) in &sizes {
                paint_one(folder, scenes.as_deref(), photo, look, width, height)?;
            }
        }
    }
    Ok(())
}

fn paint_one(
    folder: &Path,
    scenes: Option<&Path>,
    photo: &Path,
    look: &TemplateLook,
    width: u32,
    height: u32,
) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(photo)?;
    let stem = photo.file_stem().unwrap_or_default().to_string_lossy();
    let started = Instant::now();
    let painting = match scenes {
        None => effects_render::paint(&bytes, look.id, width, height)?,
        Some(scenes) => {
            let scene = std::fs::read_to_string(scenes.join(format!("{}.svg", look.id)))?;
            effects_render::paint_scene(&bytes, &scene, look.title, width, height)?
        }
    };
    let took = started.elapsed().as_millis();
    let path = folder.join(format!("{}-{stem}-{width}x{height}.png", look.id));
    println!("{took:>5} ms {:>6} kB  {}", painting.png.len() / 1000, path.display());
    std::fs::write(path, painting.png)?;
    Ok(())
}
