//! [`Frame`]: the header of a JPEG frame: the picture's size, its components ([`Component`]) and their
//! sampling. The decoder in `jpeg/mod.rs` reads it before the scans. `scan.rs` reads a scan's blocks by
//! it, `planes.rs` takes the sizes of samples from it, and `coefficients.rs` chooses a size that
//! memory holds.

use super::{JpegError, damaged};

/// What the frame's header says.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// The largest sampling factors.
    pub(super) max_sampling: (usize, usize),
    /// Minimum coded units across and down.
    pub(super) units: (usize, usize),
}

/// One of the frame's components.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) id: u8,
    /// The sampling factors, across and down.
    pub(super) sampling: (usize, usize),
    /// Which quantisation table it takes, and its numbers once its first scan has begun.
    pub(super) quantisation_slot: usize,
    pub(super) quantisation: Option<[f32; 64]>,
    /// Blocks that a scan of this component alone has.
    pub(super) blocks: (usize, usize),
    /// Blocks in all units, those beyond the edges too.
    pub(super) padded: (usize, usize),
}

impl Frame {
    /// Reads the header of a frame from its segment.
    pub(super) fn read(marker: u8, segment: &[u8]) -> Result<Self, JpegError> {
        let progressive = match marker {
            0xC0 | 0xC1 => false,
            0xC2 => true,
            0xC3 | 0xC7 | 0xCB | 0xCF => {
                return Err(JpegError::Unsupported("a lossless JPEG".into()));
            }
            0xC9 | 0xCA => {
                return Err(JpegError::Unsupported("a JPEG with arithmetic coding".into()));
            }
            _ => return Err(JpegError::Unsupported("a hierarchical JPEG".into())),
        };
        let &[precision, h1, h2, w1, w2, count, ref list @ ..] = segment else {
            return Err(damaged("the frame's header is too short"));
        };
        if precision != 8 {
            return Err(JpegError::Unsupported(format!("a JPEG of {precision} bits a sample")));
        }
        let (height, width) =
            (usize::from(u16::from_be_bytes([h1, h2])), usize::from(u16::from_be_bytes([w1, w2])));
        // The standard lets a later marker give the height (DNL), which is not read here.
        if width == 0 || height == 0 {
            return Err(damaged("the header gives it no width or no height"));
        }
        let (list, _) = list.as_chunks::<3>();
        let count = usize::from(count);
        if list.len() < count {
            return Err(damaged("the frame's header is too short"));
        }
        // Grey, three colours or four inks: no other number is given a meaning by JFIF
        // or Adobe's marker.
        if !matches!(count, 1 | 3 | 4) {
            return Err(JpegError::Unsupported(format!("a JPEG of {count} components")));
        }
        let mut components = Vec::new();
        for &[id, factors, table] in &list[..count] {
            let sampling = match (factors >> 4, factors & 15) {
                // One component alone is never interleaved, whatever its factors say.
                (1..=4, 1..=4) if count == 1 => (1, 1),
                (h @ 1..=4, v @ 1..=4) => (usize::from(h), usize::from(v)),
                _ => return Err(damaged("a sampling factor is not 1 to 4")),
            };
            if table > 3 {
                return Err(damaged("a quantisation table has no such number"));
            }
            components.push(Component {
                id,
                sampling,
                quantisation_slot: usize::from(table),
                quantisation: None,
                blocks: (0, 0),
                padded: (0, 0),
            });
        }
        let max_sampling = (
            components.iter().map(|part| part.sampling.0).max().unwrap_or(1),
            components.iter().map(|part| part.sampling.1).max().unwrap_or(1),
        );
        let units = (width.div_ceil(8 * max_sampling.0), height.div_ceil(8 * max_sampling.1));
        for part in &mut components {
            let (h, v) = part.sampling;
            if !max_sampling.0.is_multiple_of(h) || !max_sampling.1.is_multiple_of(v) {
                let factors = format!("{}x{} within {}x{}", h, v, max_sampling.0, max_sampling.1);
                return Err(JpegError::Unsupported(format!(
                    "a JPEG with sampling factors that are no whole parts of each other ({factors})"
                )));
            }
            part.blocks = (
                (width * h).div_ceil(8 * max_sampling.0),
                (height * v).div_ceil(8 * max_sampling.1),
            );
            part.padded = (units.0 * h, units.1 * v);
        }
        Ok(Self { width, height, progressive, components, max_sampling, units })
    }

    /// The size at `side` eighths.
    pub(super) fn size_at(&self, side: usize) -> (usize, usize) {
        ((self.width * side).div_ceil(8), (self.height * side).div_ceil(8))
    }

    /// The size of a component's own samples at `side` eighths.
    pub(super) fn samples_at(&self, part: &Component, side: usize) -> (usize, usize) {
        (
            (self.width * part.sampling.0 * side).div_ceil(8 * self.max_sampling.0),
            (self.height * part.sampling.1 * side).div_ceil(8 * self.max_sampling.1),
        )
    }
}
