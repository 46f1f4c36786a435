//! [`read_request`], [`write_answer`], [`write_reset`] and others: read and write HTTP/2 frames by hand,
//! since a server made of a library would not send what the cases need. The HTTP/2 cases of `table.rs`
//! play their servers with them.

use std::io::{self, Read, Write};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;

/// Error codes of RFC 9113, section 7.
pub(super) const NO_ERROR: u32 = 0;
pub(super) const INTERNAL_ERROR: u32 = 2;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
pub(super) const HTTP_1_1_REQUIRED: u32 = 13;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Greets the client and reads up to the head of its request, or to its end; returns its stream.
pub(super) fn read_request(stream: &mut (impl Read + Write), whole: bool) -> io::Result<u32> {
    stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()])?;
    // A server begins with its settings. The client's are never acknowledged, which no case needs.
    write_frame(stream, SETTINGS, 0, 0, &[])?;
    loop {
        let (kind, flags, id) = read_frame(stream)?;
        let is_end = flags & END_STREAM != 0;
        // A request without a body ends with its head.
        if (kind == HEADERS && (!whole || is_end)) || (kind == DATA && is_end) {
            return Ok(id);
        }
    }
}

/// Reads until the client hangs up.
pub(super) fn drain(stream: &mut impl Read) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

/// Answers without a body.
pub(super) fn write_answer(stream: &mut impl Write, id: u32, status: u16) -> io::Result<()> {
    // HPACK: a literal without indexing whose name is entry 8 of the static table, `:status`.
    let mut block = vec![0x08, 3];
    block.extend_from_slice(status.to_string().as_bytes());
    write_frame(stream, HEADERS, END_HEADERS | END_STREAM, id, &block)
}

pub(super) fn write_reset(stream: &mut impl Write, id: u32, code: u32) -> io::Result<()> {
    write_frame(stream, RST_STREAM, 0, id, &code.to_be_bytes())
}

pub(super) fn write_go_away(stream: &mut impl Write, last: u32, code: u32) -> io::Result<()> {
    write_frame(stream, GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn write_frame(
    stream: &mut impl Write,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    // A frame's length has three bytes.
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame)?;
    stream.flush()
}

/// The next frame's type, flags and stream; its payload is thrown away.
fn read_frame(stream: &mut impl Read) -> io::Result<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]);
    io::copy(&mut stream.take(length.into()), &mut io::sink())?;
    Ok((kind, flags, u32::from_be_bytes(id)))
}
