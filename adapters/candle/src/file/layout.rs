//! Where tensors lie in their files, checked before anybody looks there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::format::Encoding;
use crate::error::LoadError;

/// Why a file is no usable model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Damaged or cut off.
    Broken(String),
    /// In order, but not for this program.
    Unsupported(String),
}

impl HeaderError {
    /// The error for a file.
    pub(crate) fn of(self, path: &Path) -> LoadError {
        let path = path.to_owned();
        match self {
            Self::Broken(what) => LoadError::Broken { path, what, source: None },
            Self::Unsupported(what) => LoadError::Unsupported { path, what },
        }
    }
}

/// One tensor's place.
#[derive(Debug)]
pub(crate) struct Placed {
    pub format: super::TensorFormat,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Index of the file.
    pub part: usize,
    pub range: Range<usize>,
}

/// The places of all tensors, by name.
#[derive(Debug, Default)]
pub(crate) struct Layout(BTreeMap<String, Placed>);

/// A tensor as a header names it.
pub(crate) struct Claim {
    pub name: String,
    pub encoding: Encoding,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// From the beginning of the file; `None` where that is no number.
    pub start: Option<usize>,
}

impl Claim {
    /// Bytes of the tensor: whole blocks in each row, and at least one.
    pub(crate) fn size(&self) -> Result<usize, HeaderError> {
        let (cols, outer) = self.shape.split_last().ok_or_else(|| self.misshapen())?;
        let rows = outer.iter().try_fold(1_usize, |rows, &size| rows.checked_mul(size));
        let size = rows.and_then(|rows| self.encoding.size(rows, *cols));
        size.filter(|size| *size > 0).ok_or_else(|| self.misshapen())
    }

    fn misshapen(&self) -> HeaderError {
        let Self { name, shape, encoding, .. } = self;
        broken(format!("tensor {name} can't have the shape {shape:?} as {}", encoding.format.name()))
    }
}

impl Layout {
    /// Takes a tensor in, if a file of `file_bytes` holds all of it.
    pub(crate) fn add(&mut self, claim: Claim, part: usize, file_bytes: usize) -> Result<(), HeaderError> {
        let size = claim.size()?;
        let Claim { name, encoding, shape, start } = claim;
        let range = start.and_then(|start| Some(start..start.checked_add(size)?));
        let range = range.ok_or_else(|| broken(format!("tensor {name} lies beyond the end of any file")))?;
        if range.end > file_bytes {
            let (start, end) = (range.start, range.end);
            let what = format!("tensor {name} needs bytes {start}..{end}, the file has {file_bytes}: fetch it anew");
            return Err(broken(what));
        }
        if self.0.contains_key(&name) {
            return Err(broken(format!("it has two tensors {name}")));
        }
        self.0.insert(name, Placed { format: encoding.format, shape, part, range });
        Ok(())
    }

    /// Refuses tensors that share bytes.
    pub(crate) fn refuse_overlaps(&self) -> Result<(), HeaderError> {
        let mut by_place: Vec<_> =
            self.0.iter().map(|(name, placed)| (placed.part, placed.range.start, placed.range.end, name)).collect();
        by_place.sort_unstable();
        let overlapping = by_place.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1);
        match overlapping {
            Some(pair) => Err(broken(format!("its tensors {} and {} overlap", pair[0].3, pair[1].3))),
            None => Ok(()),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<(&str, &Placed)> {
        self.0.get_key_value(name).map(|(name, placed)| (name.as_str(), placed))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Placed)> {
        self.0.iter().map(|(name, placed)| (name.as_str(), placed))
    }
}

pub(crate) fn broken(what: impl Into<String>) -> HeaderError {
    HeaderError::Broken(what.into())
}
