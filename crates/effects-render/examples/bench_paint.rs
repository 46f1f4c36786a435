//! How long each look takes and how much memory it needs, on one core.
//!
//! `bench [--rounds N] [--only ID,ID] [--size WxH] [PHOTO]` paints every look (1328x1328 unless
//! told otherwise) from decode to PNG. For each it prints the fastest round (processor time, which
//! is what counts on a busy machine, and wall time), the length of the PNG, and the peak memory of
//! one render; then the median and the maximum over the looks.
//!
//! Time: one round of every look goes before, so that the textures, made once per process, are there.
//! Memory: each look is painted once by a process of its own; what it holds when it has read the
//! photo's file is the baseline, so textures and the program's own pages count as well.
//!
//! `pillow/compare.py` sets three of the looks beside the same layers in Pillow.
//!
//! Without a photo it makes a test card of 2048x2048 pixels. Memory and processor time are read from
//! `/proc` (Linux).

use std::error::Error;
use std::process::Command;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    if let Some(look) = &options.memory_of {
        return print_peak(&options, look);
    }
    let (width, height) = options.size;
    println!("photo {} kB, painting {width}x{height}", options.photo.len() / 1000);
    for look in options.looks() {
        effects_render::paint(&options.photo, look, 512, 512)?;
    }
    println!(
        "{:<48} {:>7} {:>8} {:>7} {:>9}",
        "template", "cpu ms", "wall ms", "PNG kB", "peak MiB"
    );
    let mut times = Vec::new();
    let mut highest = 0.0f64;
    for look in options.looks() {
        let (cpu, wall, length) = fastest(&options, look)?;
        let peak = peak_of(&options, look)?;
        println!("{look:<48} {cpu:>7.1} {wall:>8.1} {:>7} {peak:>9.1}", length / 1000);
        times.push(cpu);
        highest = highest.max(peak);
    }
    times.sort_by(f64::total_cmp);
    println!("median {:.1} ms, slowest {:.1} ms", times[times.len() / 2], times[times.len() - 1]);
    println!("peak memory of a render over the baseline: {highest:.1} MiB at most");
    Ok(())
}

struct Options {
    rounds: u32,
    only: Option<String>,
    size: (u32, u32),
    photo: Vec<u8>,
    photo_path: Option<String>,
    /// Set in the processes that measure memory.
    memory_of: Option<String>,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            rounds: 5,
            only: None,
            size: (1328, 1328),
            photo: Vec::new(),
            photo_path: None,
            memory_of: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = words.next().ok_or("--rounds N")?.parse()?,
                "--only" => options.only = words.next(),
                "--memory-of" => options.memory_of = words.next(),
                "--size" => {
                    let text = words.next().ok_or("--size WxH")?;
                    let (width, height) = text.split_once('x').ok_or("--size WxH")?;
                    options.size = (width.parse()?, height.parse()?);
                }
                path => options.photo_path = Some(path.to_owned()),
            }
        }
        options.photo = match &options.photo_path {
            Some(path) => std::fs::read(path)?,
            None => effects_render::test_card(2048, 2048)?,
        };
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

/// Time this thread has run on a processor. The kernel may book it only when it has a reason to:
/// giving the processor away is one.
fn processor_milliseconds() -> Result<f64, Box<dyn Error>> {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}

/// The peak of one render in MiB, measured by another process.
fn peak_of(options: &Options, look: &str) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--memory-of", look, "--size"]);
    command.arg(format!("{}x{}", options.size.0, options.size.1)).args(&options.photo_path);
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.trim().parse().map_err(|_| format!("no measurement of {look}: {text}"))?)
}

fn print_peak(options: &Options, look: &str) -> Result<(), Box<dyn Error>> {
    // Sets the peak back to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let baseline = status_kilobytes("VmRSS:")?;
    let painting = effects_render::paint(&options.photo, look, options.size.0, options.size.1)?;
    let peak = status_kilobytes("VmHWM:")?;
    assert!(!painting.png.is_empty());
    println!("{:.2}", (peak - baseline) / 1024.0);
    Ok(())
}

fn status_kilobytes(key: &str) -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(key)).ok_or("no such line")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
