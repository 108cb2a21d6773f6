//! Reading the header of a safetensors file.
//!
//! A header is JSON after its length in eight bytes; its length is compared with the file before it is read. The
//! `safetensors` crate was not used: it says of a file that was cut off only that its size is wrong, and its sum of
//! sizes can overflow.
//!
//! Source: "Format" in the README of huggingface/safetensors (read 11/2026).

use std::collections::BTreeMap;

use magpie_kernels::Format;
use serde::Deserialize;
use serde_json::Value as Json;

use super::names::{Name, ours};
use crate::file::format::Encoding;
use crate::file::layout::{Claim, HeaderError, Layout, broken};

/// Beyond that the format itself allows no header.
const LONGEST_HEADER: usize = 100_000_000;
const NOTES: &str = "__metadata__";

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Adds the tensors of a file, given as a whole, to a layout, under their GGUF names.
pub(crate) fn read(bytes: &[u8], part: usize, layout: &mut Layout) -> Result<(), HeaderError> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| broken("it ends within its first 8 bytes"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= LONGEST_HEADER);
    let length = length.ok_or_else(|| broken("it does not begin as safetensors files do"))?;
    let header = rest.get(..length).ok_or_else(|| {
        broken(format!("its header needs bytes 8..{}, the file has {}: fetch it anew", length + 8, bytes.len()))
    })?;
    let entries: BTreeMap<String, Json> =
        serde_json::from_slice(header).map_err(|error| broken(format!("its header can't be read ({error})")))?;
    for (name, entry) in entries {
        if name == NOTES {
            continue;
        }
        let entry =
            Entry::deserialize(entry).map_err(|error| broken(format!("tensor {name} can't be read ({error})")))?;
        match ours(&name) {
            Name::Ours(ours) => layout.add(claim(ours, entry, length + 8)?, part, bytes.len())?,
            Name::NotNeeded => {}
            Name::Unknown => {
                return Err(HeaderError::Unsupported(format!("its tensor {name} has no place in this architecture")));
            }
        }
    }
    Ok(())
}

fn claim(name: String, entry: Entry, data: usize) -> Result<Claim, HeaderError> {
    let encoding = encoding(&entry.dtype)
        .ok_or_else(|| HeaderError::Unsupported(format!("tensor {name} is {}, not BF16, F16 or F32", entry.dtype)))?;
    let (start, end) = entry.data_offsets;
    let claim = Claim { name, encoding, shape: entry.shape, start: data.checked_add(start) };
    let size = claim.size()?;
    if start.checked_add(size) != Some(end) {
        return Err(broken(format!("tensor {} needs {size} bytes, but has {start}..{end}", claim.name)));
    }
    Ok(claim)
}

fn encoding(dtype: &str) -> Option<Encoding> {
    let format = match dtype {
        "F32" => Format::F32,
        "F16" => Format::F16,
        "BF16" => Format::BF16,
        _ => return None,
    };
    Some(Encoding::of(format))
}
