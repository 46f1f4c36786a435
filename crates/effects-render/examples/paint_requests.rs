//! Paints what it is asked for and tells what that cost, for programs that compare:
//! `paint_requests PHOTO WxH`.
//!
//! A line on the standard input is a look's id and the path of the PNG to write. The answer is a
//! line, too: processor seconds from the photo's bytes to the PNG's, and how many bytes those are.
//! Reading the photo's file and writing the PNG's are not counted. Reads `/proc` (Linux).

use std::error::Error;
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "paint_requests PHOTO WxH";
    let photo = std::fs::read(words.next().ok_or(usage)?)?;
    let size = words.next().ok_or(usage)?;
    let (width, height) = size.split_once('x').ok_or(usage)?;
    let (width, height) = (width.parse()?, height.parse()?);
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (look, path) = line.split_once(' ').ok_or("a line is `LOOK PATH`")?;
        let before = processor_seconds()?;
        let painting = effects_render::paint(&photo, look, width, height)?;
        let took = processor_seconds()? - before;
        std::fs::write(path, &painting.png)?;
        writeln!(answers, "{took:.6} {}", painting.png.len())?;
        answers.flush()?;
    }
    Ok(())
}

/// Time this thread has run on a processor. The kernel may book it only when it has a reason to:
/// giving the processor away is one.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e9)
}
