//! GGUF files, written as a stream: candle's writer wants all tensors in memory at once.
//!
//! Source: "GGUF" in the documentation of ggml (`ggml/docs/gguf.md`, read 11/2026), version 3.

use std::io::{self, Write};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;

use super::noise::number_of;

const ALIGNMENT: usize = 32;

pub(super) struct Header<'a> {
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<TensorHeader<'a>>,
}

pub(super) struct TensorHeader<'a> {
    pub name: &'a str,
    /// Outermost first.
    pub shape: &'a [usize],
    pub format: GgmlDType,
}

impl Header<'_> {
    /// Writes everything before the tensors' blocks. These follow in order, each with [`pad`] behind it.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut header = Vec::new();
        header.extend(b"GGUF");
        header.extend(3_u32.to_le_bytes());
        put_length(&mut header, self.tensors.len());
        put_length(&mut header, self.metadata.len());
        for (key, value) in &self.metadata {
            put_text(&mut header, key);
            header.extend(type_of(value).to_le_bytes());
            put(&mut header, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_text(&mut header, tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            for length in tensor.shape.iter().rev() {
                put_length(&mut header, *length);
            }
            header.extend(number_of(tensor.format).to_le_bytes());
            put_length(&mut header, offset);
            let values: usize = tensor.shape.iter().product();
            offset += (values / tensor.format.block_size() * tensor.format.type_size()).next_multiple_of(ALIGNMENT);
        }
        out.write_all(&header)?;
        pad(out, header.len())
    }
}

/// Fills up to the alignment after `written` bytes.
pub(super) fn pad(out: &mut impl Write, written: usize) -> io::Result<()> {
    let zeros = [0; ALIGNMENT];
    out.write_all(&zeros[..written.next_multiple_of(ALIGNMENT) - written])
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as u64).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(number) => out.extend(number.to_le_bytes()),
        Value::I8(number) => out.extend(number.to_le_bytes()),
        Value::U16(number) => out.extend(number.to_le_bytes()),
        Value::I16(number) => out.extend(number.to_le_bytes()),
        Value::U32(number) => out.extend(number.to_le_bytes()),
        Value::I32(number) => out.extend(number.to_le_bytes()),
        Value::F32(number) => out.extend(number.to_le_bytes()),
        Value::Bool(flag) => out.push(u8::from(*flag)),
        Value::String(text) => put_text(out, text),
        Value::Array(items) => {
            out.extend(items.first().map_or(4, type_of).to_le_bytes());
            put_length(out, items.len());
            for item in items {
                put(out, item);
            }
        }
        Value::U64(number) => out.extend(number.to_le_bytes()),
        Value::I64(number) => out.extend(number.to_le_bytes()),
        Value::F64(number) => out.extend(number.to_le_bytes()),
    }
}

/// The number of a value's type in a file.
fn type_of(value: &Value) -> u32 {
    match value {
        Value::U8(_) => 0,
        Value::I8(_) => 1,
        Value::U16(_) => 2,
        Value::I16(_) => 3,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
        Value::U64(_) => 10,
        Value::I64(_) => 11,
        Value::F64(_) => 12,
    }
}
