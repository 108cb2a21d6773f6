//! GGUF models in one file or in several.
//!
//! Source: `gguf-split` of llama.cpp for the keys and names of the files (read 11/2026).

use std::path::{Path, PathBuf};

use super::layout::{HeaderError, Layout, broken};
use super::mapping::Mapping;
use super::{Contents, Part, gguf};
use crate::error::LoadError;

/// A model of 100 files would have to have terabytes.
const MOST_FILES: u64 = 100;

/// Opens a file, and those that continue it.
pub(super) fn read(path: &Path) -> Result<Contents, LoadError> {
    let mut layout = Layout::default();
    let mapping = map(path)?;
    let metadata = gguf::read(&mapping, 0, &mut layout).map_err(|error| error.of(path))?;
    let mut parts = vec![Part::Mapped(mapping)];
    let count = metadata.number("split.count").unwrap_or(1);
    if count > 1 {
        for file in others(path, count).map_err(|error| error.of(path))? {
            let mapping = map(&file)?;
            gguf::read(&mapping, parts.len(), &mut layout).map_err(|error| error.of(&file))?;
            parts.push(Part::Mapped(mapping));
        }
    }
    layout.refuse_overlaps().map_err(|error| error.of(path))?;
    Ok(Contents { metadata, layout, parts })
}

/// The names of all files of a model, by the first or only one's.
pub(super) fn names(first: &str) -> Vec<String> {
    let count = first.strip_suffix(".gguf").and_then(|name| name.rsplit_once("-00001-of-"));
    let count = count.and_then(|(name, count)| Some((name, count.parse().ok()?)));
    match count {
        Some((name, count)) if (1..=MOST_FILES).contains(&count) => {
            (1..=count).map(|number| format!("{name}-{number:05}-of-{count:05}.gguf")).collect()
        }
        _ => vec![first.to_owned()],
    }
}

fn map(path: &Path) -> Result<Mapping, LoadError> {
    Mapping::open(path).map_err(|source| LoadError::File { path: path.to_owned(), source })
}

/// The second file to the last, which are called like the first.
fn others(path: &Path, count: u64) -> Result<Vec<PathBuf>, HeaderError> {
    if count > MOST_FILES {
        return Err(broken(format!("it claims to be one of {count} files")));
    }
    let first = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let names = names(first);
    if names.len() as u64 != count {
        let ending = format!("-00001-of-{count:05}.gguf");
        let what = format!("it is one of {count} files; name the first, which ends in {ending}");
        return Err(HeaderError::Unsupported(what));
    }
    Ok(names[1..].iter().map(|name| path.with_file_name(name)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use candle_core::quantized::gguf_file::{self, Value};
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::file::ModelFile;

    fn write(path: &Path, count: u16, tensor: &str) {
        let values = Tensor::zeros(&[4], candle_core::DType::F32, &Device::Cpu).unwrap();
        let values = QTensor::quantize(&values, GgmlDType::F32).unwrap();
        let mut file = File::create(path).unwrap();
        gguf_file::write(&mut file, &[("split.count", &Value::U16(count))], &[(tensor, &values)]).unwrap();
    }

    #[test]
    fn a_model_in_several_files_is_opened_by_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let part = |number: u32| folder.path().join(format!("m-0000{number}-of-00002.gguf"));
        write(&part(1), 2, "a");
        let absent = ModelFile::open(&part(1)).err().unwrap();
        assert!(matches!(&absent, LoadError::File { path, .. } if *path == part(2)), "{absent}");
        write(&part(2), 2, "b");
        let file = ModelFile::open(&part(1)).unwrap();
        assert_eq!(
            file.tensors().map(|tensor| (tensor.name, tensor.bytes.len())).collect::<Vec<_>>(),
            [("a", 16), ("b", 16)]
        );
        assert!(ModelFile::open(&part(2)).err().unwrap().to_string().contains("name the first"));
        write(&part(2), 2, "a");
        assert!(ModelFile::open(&part(1)).err().unwrap().to_string().contains("two tensors a"));
    }
}
