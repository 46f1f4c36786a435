//! Photos of 108 megapixels are painted within 192 MiB.
#![cfg(target_os = "linux")]

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use effects_render::{paint, photo_size};

use crate::support::decoded;
use crate::support::jpeg_writer::{Colours, Kind, Scans, write_repeated};

const SIZE: (usize, usize) = (12_000, 9_024);
const MAX_MIB: u64 = 192;

/// Each kind of file takes memory in its own way; a process of its own paints it, so that its peak is
/// the painting's.
#[test]
fn photos_of_108_megapixels_are_painted_within_192_mib() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("large");
    std::fs::create_dir_all(&folder).unwrap();
    let soft = [(2, 2), (1, 1), (1, 1)];
    let full = [(1, 1); 3];
    for (name, scans, sampling) in [
        ("baseline.jpg", Scans::Interleaved, soft),
        ("apart.jpg", Scans::Apart, soft),
        ("progressive.jpg", Scans::Bits, soft),
        ("progressive-full.jpg", Scans::Bits, full),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, large_jpeg(scans, sampling)).unwrap();
        painted_within_bounds(&path);
    }
    let path = folder.join("rows.png");
    write_large_png(&path);
    painted_within_bounds(&path);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn large_jpeg(scans: Scans, sampling: [(usize, usize); 3]) -> Vec<u8> {
    let unit = 8 * sampling[0].0;
    let size = (SIZE.0, 12 * unit);
    let kind = Kind {
        size,
        colours: Colours::YCbCr,
        sampling: sampling.to_vec(),
        scans,
        restart: SIZE.0 / unit,
    };
    write_repeated(&kind, SIZE.1 / size.1, colour)
}

fn colour(x: usize, y: usize) -> [u8; 3] {
    // Rough in places, so that the file is as long as a camera's.
    let rough = (x / 16).is_multiple_of(5);
    let fine = if rough { ((x * 7919 + y * 104_729) >> 4) as u8 & 15 } else { 0 };
    [(x / 50) as u8 / 2 + fine, 90 + fine, ((x + y) / 40) as u8 / 2 + fine]
}

fn write_large_png(path: &Path) {
    let file = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut encoder = png::Encoder::new(file, SIZE.0 as u32, SIZE.1 as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().unwrap();
    let mut stream = writer.stream_writer().unwrap();
    for y in 0..SIZE.1 {
        let row: Vec<u8> = (0..SIZE.0).flat_map(|x| [(x / 50) as u8, (y / 40) as u8, 90]).collect();
        stream.write_all(&row).unwrap();
    }
    stream.finish().unwrap();
}

fn painted_within_bounds(path: &Path) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "large::paint_the_photo", "--include-ignored", "--test-threads=1"])
        .arg("--nocapture")
        .env("LARGE_PHOTO", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{path:?}: {child:?}");
    // The figure, for who looks at the test's output.
    print!("{said}");
}

#[test]
#[ignore = "runs in a process of its own, for the test above"]
fn paint_the_photo() {
    let path = PathBuf::from(std::env::var_os("LARGE_PHOTO").unwrap());
    let photo = std::fs::read(&path).unwrap();
    assert_eq!(photo_size(&photo).unwrap(), (SIZE.0 as u32, SIZE.1 as u32));
    let started = std::time::Instant::now();
    let painting = paint(&photo, "glass_ball", 2048, 2048).unwrap();
    let took = started.elapsed().as_millis();
    assert_eq!(decoded(&painting.png).dimensions(), (2048, 2048));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let (file, name) = (photo.len() >> 20, path.file_name().unwrap());
    println!("{name:?}: file {file} MiB, peak {} MiB, painted in {took} ms", peak >> 10);
    assert!(peak >> 10 < MAX_MIB, "{name:?}: {} MiB", peak >> 10);
}
