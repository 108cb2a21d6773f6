//! Reading the header of a GGUF file.
//!
//! Written for files of unknown origin: every count and length is compared with the bytes that are left before anything
//! is allocated for it, sizes are multiplied with overflow checks, and every tensor has to lie inside the file without
//! touching another. Candle's own reader was not used: it divides by a file's alignment without looking, gives 32 bytes
//! of memory to each byte of a list, and refuses files for encodings of tensors without naming the tensor.
//!
//! Source: "GGUF" in the documentation of ggml (`ggml/docs/gguf.md`, read 11/2026).

use super::format::Encoding;
use super::layout::{Claim, HeaderError, Layout, broken};
use super::metadata::{Metadata, Value};

const MAGIC: &[u8] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const LEAST_ALIGNMENT: u64 = 8;
const MOST_DIMENSIONS: u32 = 4;
/// Items of all lists together. The largest vocabularies have 300,000 tokens; beyond this is damage.
const MOST_ITEMS: u64 = 1 << 24;
const DEEPEST_LIST: u32 = 4;

/// Kinds of values, by the numbers that files give them.
mod kind {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const TEXT: u32 = 8;
    pub const LIST: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Gives the keys of a file, given as a whole, and adds its tensors to a layout.
pub(crate) fn read(bytes: &[u8], part: usize, layout: &mut Layout) -> Result<Metadata, HeaderError> {
    let mut header = Header { bytes, at: 0, items: 0 };
    if header.take(4)? != MAGIC {
        return Err(broken("it does not begin as GGUF files do"));
    }
    match header.u32()? {
        2 | 3 => {}
        version => {
            let what = format!("its version of GGUF is {version}, not 2 or 3; a file converted anew has a newer one");
            return Err(HeaderError::Unsupported(what));
        }
    }
    let tensors = header.u64()?;
    let keys = header.u64()?;
    let metadata = header.metadata(keys)?;
    let claims = header.tensors(tensors)?;
    let alignment = match metadata.number("general.alignment").unwrap_or(DEFAULT_ALIGNMENT) {
        alignment if alignment.is_power_of_two() && alignment >= LEAST_ALIGNMENT => alignment,
        alignment => return Err(broken(format!("its alignment is {alignment}, not a power of two from 8 up"))),
    };
    let data = u64::try_from(header.at).ok().and_then(|end| end.checked_next_multiple_of(alignment));
    for (claim, offset) in claims {
        if !offset.is_multiple_of(alignment) {
            let name = claim.name;
            return Err(broken(format!("tensor {name} lies at {offset}, which is not a multiple of {alignment}")));
        }
        let start = data.and_then(|data| usize::try_from(data.checked_add(offset)?).ok());
        layout.add(Claim { start, ..claim }, part, bytes.len())?;
    }
    Ok(metadata)
}

/// The file up to where it has been read.
struct Header<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Of the lists so far.
    items: u64,
}

impl<'a> Header<'a> {
    fn metadata(&mut self, count: u64) -> Result<Metadata, HeaderError> {
        // A name's length, a kind, a byte.
        self.must_hold(count, 8 + 4 + 1, "keys")?;
        let mut metadata = Metadata::default();
        for _ in 0..count {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind)?;
            if !metadata.insert(key.as_str(), value) {
                return Err(broken(format!("it has two keys {key}")));
            }
        }
        Ok(metadata)
    }

    /// Tensors with their offsets from the beginning of the data.
    fn tensors(&mut self, count: u64) -> Result<Vec<(Claim, u64)>, HeaderError> {
        // A name's length, the number of dimensions, an encoding, an offset.
        self.must_hold(count, 8 + 4 + 4 + 8, "tensors")?;
        let mut claims = Vec::new();
        for _ in 0..count {
            let name = self.text()?;
            let dimensions = self.u32()?;
            if dimensions > MOST_DIMENSIONS {
                return Err(broken(format!("tensor {name} has {dimensions} dimensions")));
            }
            let mut shape = Vec::new();
            for _ in 0..dimensions {
                let size = self.u64()?;
                shape.push(usize::try_from(size).map_err(|_| broken(format!("tensor {name} is {size} wide")))?);
            }
            shape.reverse();
            let number = self.u32()?;
            let encoding = Encoding::of_gguf(number).ok_or_else(|| {
                HeaderError::Unsupported(format!("tensor {name} has the encoding {number}, which is not known"))
            })?;
            claims.push((Claim { name, encoding, shape, start: None }, self.u64()?));
        }
        Ok(claims)
    }

    fn value(&mut self, kind: u32) -> Result<Value, HeaderError> {
        Ok(match kind {
            kind::BOOL => Value::Flag(self.take(1)?[0] != 0),
            kind::F32 => Value::Float(f64::from(self.f32()?)),
            kind::F64 => Value::Float(f64::from_le_bytes(self.array()?)),
            kind::TEXT => Value::Text(self.text()?),
            kind::LIST => self.list()?,
            _ => Value::Integer(self.integer(kind)?),
        })
    }

    fn list(&mut self) -> Result<Value, HeaderError> {
        let kind = self.u32()?;
        let count = self.count_of(kind)?;
        Ok(match kind {
            kind::TEXT => Value::Texts((0..count).map(|_| self.text()).collect::<Result<_, _>>()?),
            kind::F32 => Value::Floats((0..count).map(|_| self.f32()).collect::<Result<_, _>>()?),
            kind::BOOL | kind::F64 | kind::LIST => {
                self.skip(kind, count, 1)?;
                Value::Unread
            }
            _ => Value::Integers(
                (0..count)
                    .map(|_| i64::try_from(self.integer(kind)?).map_err(|_| broken("a number of a list is too large")))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// How many items a list has, of which each takes at least its smallest size.
    fn count_of(&mut self, kind: u32) -> Result<u64, HeaderError> {
        let count = self.u64()?;
        self.items = self.items.saturating_add(count);
        if self.items > MOST_ITEMS {
            return Err(broken(format!("its lists have {} items", self.items)));
        }
        self.must_hold(count, smallest_bytes(kind)?, "items of a list")?;
        Ok(count)
    }

    fn skip(&mut self, kind: u32, count: u64, depth: u32) -> Result<(), HeaderError> {
        match kind {
            kind::TEXT => (0..count).try_for_each(|_| self.text().map(drop)),
            kind::LIST if depth == DEEPEST_LIST => Err(broken("it has lists in lists without end")),
            kind::LIST => (0..count).try_for_each(|_| {
                let inner = self.u32()?;
                let count = self.count_of(inner)?;
                self.skip(inner, count, depth + 1)
            }),
            _ => self.take(count * smallest_bytes(kind)?).map(drop),
        }
    }

    fn integer(&mut self, kind: u32) -> Result<i128, HeaderError> {
        Ok(match kind {
            kind::U8 => u8::from_le_bytes(self.array()?).into(),
            kind::I8 => i8::from_le_bytes(self.array()?).into(),
            kind::U16 => u16::from_le_bytes(self.array()?).into(),
            kind::I16 => i16::from_le_bytes(self.array()?).into(),
            kind::U32 => self.u32()?.into(),
            kind::I32 => i32::from_le_bytes(self.array()?).into(),
            kind::U64 => self.u64()?.into(),
            kind::I64 => i64::from_le_bytes(self.array()?).into(),
            _ => return Err(broken(format!("it has a value of the kind {kind}"))),
        })
    }

    /// Text; some vocabularies hold pieces that are not UTF-8, and some writers end texts with zeros.
    fn text(&mut self) -> Result<String, HeaderError> {
        let length = self.u64()?;
        let bytes = self.take(length)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, HeaderError> {
        self.array().map(f32::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (array, _) = self.bytes[self.at..].split_first_chunk::<N>().ok_or_else(|| self.cut_off())?;
        self.at += N;
        Ok(*array)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], HeaderError> {
        let count = usize::try_from(count).map_err(|_| self.cut_off())?;
        let taken = self.bytes[self.at..].get(..count).ok_or_else(|| self.cut_off())?;
        self.at += count;
        Ok(taken)
    }

    fn must_hold(&self, count: u64, bytes_each: u64, what: &str) -> Result<(), HeaderError> {
        let left = self.bytes.len() - self.at;
        let needed = count.checked_mul(bytes_each);
        if needed.and_then(|needed| usize::try_from(needed).ok()).is_some_and(|needed| needed <= left) {
            return Ok(());
        }
        Err(broken(format!("it announces {count} {what}, for which its remaining {left} bytes do not suffice")))
    }

    fn cut_off(&self) -> HeaderError {
        broken(format!("its header goes on after byte {}, where the file ends: fetch it anew", self.bytes.len()))
    }
}

fn smallest_bytes(kind: u32) -> Result<u64, HeaderError> {
    Ok(match kind {
        kind::U8 | kind::I8 | kind::BOOL => 1,
        kind::U16 | kind::I16 => 2,
        kind::U32 | kind::I32 | kind::F32 => 4,
        kind::U64 | kind::I64 | kind::F64 | kind::TEXT => 8,
        kind::LIST => 12,
        _ => return Err(broken(format!("it has a list of the kind {kind}"))),
    })
}

#[cfg(test)]
mod tests;
