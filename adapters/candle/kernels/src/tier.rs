//! Instruction sets, found at run time.

#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512Vnni, AvxVnni};
use crate::simd::{Portable, Simd, Task};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const AVAILABLE: &str = "a `Compute` is only made of available tiers";

/// An instruction set that the kernels are written for, weakest first within an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Plain Rust, for every processor.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// The same with the 256-bit dot product of bytes.
    AvxVnni,
    /// AVX-512 (F, BW, VL, DQ) with the 512-bit dot product of bytes.
    Avx512Vnni,
    /// aarch64 with the dot product of bytes.
    Neon,
}

impl Tier {
    const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512Vnni, Self::Neon];

    /// What this processor has, weakest first; [`Tier::Portable`] always.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|tier| tier.is_available()).collect()
    }

    /// The best of [`Tier::available`].
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|tier| tier.is_available()).unwrap_or(Self::Portable)
    }

    /// `portable`, `avx2`, `avx-vnni`, `avx512-vnni`, `neon-dotprod`: in commands and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon-dotprod",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => AvxVnni::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().is_some(),
            // Of another architecture.
            _ => false,
        }
    }

    /// Runs `task` with the instructions of this tier, which is available.
    #[inline]
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().expect(AVAILABLE).call(task),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => AvxVnni::new().expect(AVAILABLE).call(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::new().expect(AVAILABLE).call(task),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().expect(AVAILABLE).call(task),
            _ => Portable.call(task),
        }
    }

    /// The same for a task that has no use for the dot product of bytes, which needs compiling for fewer tiers.
    #[inline]
    pub(crate) fn run_floats<T: Task>(self, task: T) -> T::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => Avx2::new().expect(AVAILABLE).call(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::new().expect(AVAILABLE).call(task),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().expect(AVAILABLE).call(task),
            _ => Portable.call(task),
        }
    }

    /// See [`Simd::SUMS`].
    pub(crate) fn sums(self) -> usize {
        struct Sums;
        impl Task for Sums {
            type Output = usize;

            fn run<S: Simd>(self, _: S) -> usize {
                S::SUMS
            }
        }
        self.run_floats(Sums)
    }

    /// See [`Simd::WIDEST_PANEL`].
    pub(crate) fn widest_panel(self) -> usize {
        struct Widest;
        impl Task for Widest {
            type Output = usize;

            fn run<S: Simd>(self, _: S) -> usize {
                S::WIDEST_PANEL
            }
        }
        self.run(Widest)
    }
}
