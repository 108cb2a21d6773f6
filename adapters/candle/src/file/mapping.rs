//! Mapping a file into memory: the one place of this crate that needs `unsafe`.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a file, read from disk as they are looked at.
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps a file for reading. It must not be cut short as long as it is mapped: replace a model by renaming another
    /// file over it, which leaves the mapped one as it is.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        #[expect(unsafe_code, reason = "a weights file is too large to be read into memory beside its packed form")]
        // SAFETY: the map is read-only and gives out shared bytes alone, any of which is a valid u8. Nothing here
        // writes to model files; downloads are finished under another name and renamed into place. Should somebody
        // else cut the file while it is mapped, reading the missing part ends the process, as for every mapped file.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(map))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
