//! Asking for memory before it is needed.

/// Has the cache line where `from` begins brought nearer. Nothing else happens, be it needed or not.
#[inline(always)]
pub(crate) fn prefetch<T>(from: &T) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an intrinsic on a pointer")]
    // SAFETY: every x86-64 processor has it, and it reads nothing as far as the program can tell.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(from).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}
