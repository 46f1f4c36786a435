//! Processor time and memory of this process, by the kernel's count.

use std::time::Instant;

/// Time this thread spent on a processor, where the kernel tells it; else time on the wall. Others on
/// the same machine then do not count.
pub(crate) enum Watch {
    Processor(u64),
    Wall(Instant),
}

impl Watch {
    pub(crate) fn start() -> Self {
        processor_nanos().map_or_else(|| Self::Wall(Instant::now()), Self::Processor)
    }

    pub(crate) fn seconds(&self) -> f64 {
        match self {
            Self::Processor(start) => (processor_nanos().unwrap_or_default() - start) as f64 / 1e9,
            Self::Wall(start) => start.elapsed().as_secs_f64(),
        }
    }
}

fn processor_nanos() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}

/// The memory of this process that is in use, by the kernel's count.
pub(crate) fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
