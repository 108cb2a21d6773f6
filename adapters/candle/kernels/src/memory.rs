//! Memory for weights.

/// What the system may map as one page, so that walking through weights misses the TLB less.
const HUGE_PAGE: usize = 2 << 20;
pub(crate) const CACHE_LINE: usize = 64;

/// Zeroed bytes that begin at a cache line, or at a huge page where there are many.
pub(crate) struct AlignedBytes {
    /// Zeroed memory is not touched until it is written, so what lies before `start` costs addresses only.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBytes {
    pub(crate) fn zeroed(len: usize) -> Self {
        let alignment = if len < HUGE_PAGE { CACHE_LINE } else { HUGE_PAGE };
        let memory = vec![0; len + alignment];
        let start = memory.as_ptr().align_offset(alignment).min(alignment);
        let mut bytes = Self { memory, start, len };
        ask_for_huge_pages(bytes.get_mut());
        bytes
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Asks the system to map what makes up whole huge pages so; the rest stays in small ones, so that no memory is wasted.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(bytes: &mut [u8]) {
    let len = bytes.len() / HUGE_PAGE * HUGE_PAGE;
    if len == 0 {
        return;
    }
    #[expect(unsafe_code, reason = "a system call")]
    // SAFETY: the range is ours, and the advice changes how it is mapped, not what it holds. A system that doesn't follow
    // it is slower, no more.
    unsafe {
        libc::madvise(bytes.as_mut_ptr().cast(), len, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_bytes: &mut [u8]) {}
