//! One slice, written by several threads.

#![expect(unsafe_code, reason = "the compiler can't see that threads write different parts")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::pool::Pool;

/// A slice of which the items of a region borrow different parts.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    whole: PhantomData<&'a mut [T]>,
}

// SAFETY: stands for `&mut [T]`; sharing it only allows to take parts, whose taker promises that they don't overlap.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn new(whole: &'a mut [T]) -> Self {
        Self { start: whole.as_mut_ptr(), len: whole.len(), whole: PhantomData }
    }

    /// One part.
    ///
    /// # Safety
    /// No two parts that are in use at the same time overlap.
    #[expect(clippy::mut_from_ref, reason = "that is what it is for; see the safety section")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} is outside of {}", self.len);
        // SAFETY: within the slice that is borrowed mutably for 'a, by the assertion; not borrowed twice, by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The chunk of that index when the slice is cut in chunks of `size`.
    ///
    /// # Safety
    /// That of [`Parts::part`].
    #[expect(clippy::mut_from_ref, reason = "that is what it is for; see the safety section")]
    pub(crate) unsafe fn chunk(&self, index: usize, size: usize) -> &mut [T] {
        // SAFETY: by the contract.
        unsafe { self.part(index * size..(index + 1) * size) }
    }
}

/// Calls `work` with each run of `size` values of `data` (the last may be shorter) and its number, on all threads.
pub(crate) fn each_chunk<T: Send>(pool: &Pool, data: &mut [T], size: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    let len = data.len();
    let parts = Parts::new(data);
    pool.run(len.div_ceil(size), &|index| {
        let start = index * size;
        // SAFETY: each index is worked on once, and the chunks of different indices don't overlap.
        work(index, unsafe { parts.part(start..len.min(start + size)) });
    });
}
