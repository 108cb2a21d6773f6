//! Asking for memory before it is needed.

/// Has the cache line where `from` begins brought nearer. Nothing else happens, be it needed or not.
#[inline(always)]
pub(crate) fn prefetch<T>(from: &T) {
    prefetch_line(std::ptr::from_ref(from).cast());
}

/// The same of any address: nothing need be there.
#[inline(always)]
pub(super) fn prefetch_line(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an intrinsic on a pointer")]
    // SAFETY: every x86-64 processor has it, and it reads nothing as far as the program can tell.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
    #[cfg(target_arch = "aarch64")]
    #[expect(unsafe_code, reason = "the intrinsic is not stable yet")]
    // SAFETY: every aarch64 processor has it, and it reads nothing as far as the program can tell: the address is a mere
    // number.
    unsafe {
        let line = line.addr();
        std::arch::asm!("prfm pldl1keep, [{line}]", line = in(reg) line, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = line;
}
