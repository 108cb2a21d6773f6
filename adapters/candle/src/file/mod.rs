//! Model files: what they say about themselves, and where their weights lie.
//!
//! [`ModelFile`] reads a header and maps the rest, so that opening even a large model takes no memory for its weights:
//! a [`TensorView`] shows the bytes of one tensor as they are in the file. Everything a header claims is checked against
//! the file before it is believed.

mod checksum;
mod folder;
mod format;
mod gguf;
mod layout;
mod mapping;
mod memory;
mod metadata;
mod progress;
mod quantise;
mod source;
mod split;
#[cfg(test)]
pub(crate) mod testfolder;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use magpie_kernels::RotationStyle;

pub(crate) use checksum::{sha256, verify as verify_checksum};
pub use format::TensorFormat;
use layout::{Layout, Placed};
use mapping::Mapping;
pub use memory::{FreeMemory, MemoryNeed};
use metadata::{ListError, Metadata};
pub use progress::{Progress, Reporter, Stage};
pub use quantise::Quantization;
pub use source::{Address, Fetcher, HubModel, HubSettings, Source};

use crate::error::LoadError;

/// An open model: its metadata read, its tensors mapped.
///
/// Keys and names of tensors are those of GGUF (`llama.block_count`, `blk.0.attn_q.weight`), whatever the model came as.
pub struct ModelFile {
    path: PathBuf,
    contents: Contents,
    rotation: RotationStyle,
}

/// One tensor as it lies in its file.
#[derive(Clone, Copy)]
pub struct TensorView<'a> {
    pub name: &'a str,
    pub format: TensorFormat,
    /// Sizes, outermost first; at least one, and none of them 0.
    pub shape: &'a [usize],
    /// All rows, one after the other, in `format`. Their address may be odd.
    pub bytes: &'a [u8],
}

/// What a file or a folder holds.
struct Contents {
    metadata: Metadata,
    layout: Layout,
    parts: Vec<Part>,
}

/// Bytes that hold tensors.
enum Part {
    Mapped(Mapping),
    /// Of a tensor that only GGUF files have.
    Made(Vec<u8>),
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping,
            Self::Made(bytes) => bytes,
        }
    }
}

impl TensorView<'_> {
    /// Values of one row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or_default()
    }

    /// Number of rows: 1 for a vector.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }
}

impl ModelFile {
    /// Opens a GGUF file, the first of several that hold one model (`…-00001-of-00003.gguf`), or a folder as
    /// transformers saves it: `config.json`, `*.safetensors`, `tokenizer.json`.
    ///
    /// # Errors
    /// It can't be read, is cut off or damaged, or is of a kind that is not known.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let is_folder = path.is_dir();
        let contents = if is_folder { folder::read(path)? } else { split::read(path)? };
        // Llama's weights are permuted on their way into GGUF files; everything else keeps the order of its training.
        let rotation = match contents.metadata.text("general.architecture") {
            Some("llama") if !is_folder => RotationStyle::Neighbours,
            _ => RotationStyle::Halves,
        };
        let file = Self { path: path.to_owned(), contents, rotation };
        let decoded = |tensor: &TensorView<'_>| matches!(tensor.format, TensorFormat::Other("Q2_K" | "Q3_K"));
        let decoded = file.tensors().filter(decoded).count();
        if decoded > 0 {
            tracing::info!(
                tensors = decoded,
                "tensors in Q2_K or Q3_K are kept as Q8_0 and take more memory than the file"
            );
        }
        Ok(file)
    }

    /// What was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text under a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.contents.metadata.text(key)
    }

    /// Yes or no under a key.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.contents.metadata.flag(key)
    }

    /// A whole number of whatever width; files differ in that.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.contents.metadata.number(key)
    }

    /// A number of any kind.
    #[must_use]
    pub fn float(&self, key: &str) -> Option<f32> {
        self.contents.metadata.float(key)
    }

    /// # Errors
    /// There is no such list of texts.
    pub fn texts(&self, key: &str) -> Result<Vec<&str>, LoadError> {
        self.contents.metadata.texts(key).map_err(|error| self.no_list(key, &error))
    }

    /// # Errors
    /// There is no such list of whole numbers from 0 up.
    pub fn numbers(&self, key: &str) -> Result<Vec<u64>, LoadError> {
        self.contents.metadata.numbers(key).map_err(|error| self.no_list(key, &error))
    }

    /// # Errors
    /// There is no such list of fractions.
    pub fn floats(&self, key: &str) -> Result<Vec<f32>, LoadError> {
        self.contents.metadata.floats(key).map_err(|error| self.no_list(key, &error))
    }

    /// The list of bytes under a key, whether the file calls them signed or not.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.contents.metadata.bytes(key)
    }

    /// Name of the architecture, the prefix of most keys.
    ///
    /// # Errors
    /// The file does not say.
    pub fn architecture(&self) -> Result<&str, LoadError> {
        self.text("general.architecture").ok_or_else(|| self.broken("it does not name its architecture"))
    }

    /// Which values of its heads are rotated together.
    #[must_use]
    pub fn rotation(&self) -> RotationStyle {
        self.rotation
    }

    /// The tensor of this name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.contents.layout.get(name).map(|(name, placed)| self.view(name, placed))
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorView<'_>> {
        self.contents.layout.iter().map(|(name, placed)| self.view(name, placed))
    }

    /// A file beside this one that belongs to the model, such as `tokenizer.json`. Only a folder has any.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Option<PathBuf> {
        let path = self.path.join(name);
        (self.path.is_dir() && path.is_file()).then_some(path)
    }

    /// The error for this file being damaged.
    pub(crate) fn broken(&self, what: impl Into<String>) -> LoadError {
        LoadError::Broken { path: self.path.clone(), what: what.into(), source: None }
    }

    /// The error for this file being for other programs.
    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LoadError {
        LoadError::Unsupported { path: self.path.clone(), what: what.into() }
    }

    fn no_list(&self, key: &str, error: &ListError) -> LoadError {
        self.broken(match error {
            ListError::Missing => format!("it has no list {key}"),
            ListError::WrongType => format!("an item of {key} has the wrong type"),
        })
    }

    fn view<'a>(&'a self, name: &'a str, placed: &'a Placed) -> TensorView<'a> {
        let bytes = &self.contents.parts[placed.part][placed.range.clone()];
        TensorView { name, format: placed.format, shape: &placed.shape, bytes }
    }
}

#[cfg(test)]
mod tests;
