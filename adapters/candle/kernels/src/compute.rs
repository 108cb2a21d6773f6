//! Where the work is done: a pool of threads and an instruction set.

use std::sync::Mutex;

use crate::attention::Buffers;
use crate::pool::Pool;
use crate::tier::Tier;

/// The threads and the instruction set that all operations of a model run on.
pub struct Compute {
    pub(crate) pool: Pool,
    pub(crate) tier: Tier,
    pub(crate) attention: Mutex<Buffers>,
}

impl Compute {
    /// `threads` in all, the calling one included; 0 means the physical cores. `tier` must be one of
    /// [`Tier::available`].
    ///
    /// # Errors
    /// A thread can't be started.
    pub fn new(threads: usize, tier: Tier) -> std::io::Result<Self> {
        assert!(Tier::available().contains(&tier), "{tier:?} is not available on this processor");
        Ok(Self { pool: Pool::new(threads)?, tier, attention: Mutex::default() })
    }

    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }
}
