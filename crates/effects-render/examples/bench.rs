//! How long each look takes and how much memory it needs, in one run on one core.
//!
//! `bench [--rounds N] [--only ID,ID] [--size WxH] [PHOTO]` paints every look (1328x1328 unless
//! told otherwise) from decode to PNG and prints the fastest round of each, the median and the
//! maximum over the looks, and the peak memory over what the process held before the first one.
//! Processor time is what counts on a busy machine; both are printed. Without a photo it makes a
//! test card of 2048x2048 pixels. Memory and processor time are read from `/proc` (Linux).

use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    // Textures are made once per process and belong to the baseline.
    for look in options.looks() {
        effects_render::paint(&options.photo, look, 512, 512)?;
    }
    let baseline = resident_peak_after_reset()?;
    let (width, height) = options.size;
    println!("photo {} kB, painting {width}x{height}", options.photo.len() / 1000);
    println!("{:<44} {:>8} {:>8} {:>8}", "template", "cpu ms", "wall ms", "PNG kB");
    let mut times = Vec::new();
    for look in options.looks() {
        let (cpu, wall, length) = fastest(&options, look)?;
        println!("{look:<44} {cpu:>8.1} {wall:>8.1} {:>8}", length / 1000);
        times.push(cpu);
    }
    times.sort_by(f64::total_cmp);
    let peak = status_kilobytes("VmHWM:")?;
    println!("median {:.1} ms, slowest {:.1} ms", times[times.len() / 2], times[times.len() - 1]);
    println!(
        "peak memory {:.1} MiB over the baseline of {:.1} MiB",
        (peak - baseline) / 1024.0,
        baseline / 1024.0
    );
    Ok(())
}

struct Options {
    rounds: u32,
    only: Option<String>,
    size: (u32, u32),
    photo: Vec<u8>,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut options = Self { rounds: 5, only: None, size: (1328, 1328), photo: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = words.next().ok_or("--rounds N")?.parse()?,
                "--only" => options.only = words.next(),
                "--size" => {
                    let text = words.next().ok_or("--size WxH")?;
                    let (width, height) = text.split_once('x').ok_or("--size WxH")?;
                    options.size = (width.parse()?, height.parse()?);
                }
                path => options.photo = std::fs::read(path)?,
            }
        }
        if options.photo.is_empty() {
            options.photo = effects_render::test_card(2048, 2048)?;
        }
        Ok(options)
    }

    fn looks(&self) -> Vec<&'static str> {
        let wanted =
            |id: &str| self.only.as_ref().is_none_or(|only| only.split(',').any(|o| o == id));
        effects_render::looks().iter().map(|look| look.id).filter(|id| wanted(id)).collect()
    }
}

fn fastest(options: &Options, look: &str) -> Result<(f64, f64, usize), Box<dyn Error>> {
    let mut best = (f64::MAX, f64::MAX, 0);
    for _ in 0..options.rounds {
        let (cpu, wall) = (processor_milliseconds()?, Instant::now());
        let painting = effects_render::paint(&options.photo, look, options.size.0, options.size.1)?;
        best.0 = best.0.min(processor_milliseconds()? - cpu);
        best.1 = best.1.min(wall.elapsed().as_secs_f64() * 1000.0);
        best.2 = painting.png.len();
    }
    Ok(best)
}

/// Time this thread has run on a processor.
fn processor_milliseconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}

/// Sets the peak back to what is resident now, and returns that, in KiB.
fn resident_peak_after_reset() -> Result<f64, Box<dyn Error>> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    status_kilobytes("VmRSS:")
}

fn status_kilobytes(key: &str) -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(key)).ok_or("no such line")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
