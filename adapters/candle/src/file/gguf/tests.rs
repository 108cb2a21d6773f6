use proptest::prelude::*;

use super::*;
use crate::file::TensorFormat;

/// A file in the making.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn new(tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }

    fn u32(mut self, number: u32) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self = self.u64(text.len() as u64);
        self.0.extend(text.as_bytes());
        self
    }

    fn alignment(self, alignment: u32) -> Self {
        self.text("general.alignment").u32(kind::U32).u32(alignment)
    }

    fn tensor(self, name: &str, shape: &[u64], encoding: u32, offset: u64) -> Self {
        let start = self.text(name).u32(u32::try_from(shape.len()).unwrap());
        shape.iter().rev().fold(start, |bytes, &size| bytes.u64(size)).u32(encoding).u64(offset)
    }

    /// Fills the header up to its alignment and adds data.
    fn data(mut self, alignment: usize, count: usize) -> Vec<u8> {
        let end = self.0.len().next_multiple_of(alignment) + count;
        self.0.resize(end, 0);
        self.0
    }
}

fn read(bytes: &[u8]) -> Result<(Metadata, Layout), HeaderError> {
    let mut layout = Layout::default();
    let metadata = super::read(bytes, 0, &mut layout)?;
    layout.refuse_overlaps()?;
    Ok((metadata, layout))
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(_) => panic!("this file should not be accepted"),
        Err(HeaderError::Broken(what) | HeaderError::Unsupported(what)) => what,
    }
}

/// Two tensors of F32, the second 32 bytes after the first.
fn pair(shape: &[u64], offset: u64) -> Vec<u8> {
    Bytes::new(2, 0).tensor("a", shape, 0, 0).tensor("b", &[4], 0, offset).data(32, 48)
}

fn small() -> Vec<u8> {
    let keys = Bytes::new(2, 5).text("general.architecture").u32(kind::TEXT).text("llama").alignment(32);
    let lists = keys.text("tokens").u32(kind::LIST).u32(kind::TEXT).u64(2).text("he").text("llo");
    let lists = lists.text("scores").u32(kind::LIST).u32(kind::F32).u64(1).u32(1.5_f32.to_bits());
    let lists = lists.text("nested").u32(kind::LIST).u32(kind::LIST).u64(1).u32(kind::TEXT).u64(1).text("x");
    lists.tensor("a", &[2, 32], 8, 0).tensor("b", &[4], 0, 96).data(32, 112)
}

#[test]
fn keys_and_tensors_are_found() {
    let bytes = small();
    let (metadata, layout) = read(&bytes).unwrap();
    assert_eq!(metadata.text("general.architecture"), Some("llama"));
    assert_eq!(metadata.texts("tokens").unwrap(), ["he", "llo"]);
    assert_eq!(metadata.floats("scores").unwrap(), [1.5]);
    let (a, b) = (layout.get("a").unwrap().1, layout.get("b").unwrap().1);
    assert_eq!((a.format, a.shape.as_slice()), (TensorFormat::Known(magpie_kernels::Format::Q8_0), &[2, 32][..]));
    assert_eq!((a.range.len(), b.range.len(), b.range.start - a.range.start), (68, 16, 96));
    assert_eq!(b.range.end, bytes.len());
}

#[test]
fn a_file_is_refused_wherever_it_is_cut_off() {
    let bytes = small();
    for length in 0..bytes.len() {
        let what = refusal(&bytes[..length]);
        assert!(
            what.contains("ends") || what.contains("suffice") || what.contains("fetch it anew"),
            "{length}: {what}"
        );
    }
    let what = refusal(&bytes[..bytes.len() - 1]);
    let (start, end) = (bytes.len() - 16, bytes.len());
    assert_eq!(what, format!("tensor b needs bytes {start}..{end}, the file has {}: fetch it anew", end - 1));
}

#[test]
fn counts_that_the_file_cannot_hold_are_refused_before_memory_is_taken() {
    assert!(refusal(&Bytes::new(u64::MAX, 0).0).contains("tensors"));
    assert!(refusal(&Bytes::new(0, u64::MAX).0).contains("keys"));
    assert!(refusal(&Bytes::new(0, 1).u64(u64::MAX).data(1, 99)).contains("ends"));
    let list = |kind, count| Bytes::new(0, 1).text("list").u32(kind::LIST).u32(kind).u64(count).data(1, 99);
    for kind in 0..=12 {
        assert!(refusal(&list(kind, 1 << 20)).contains("suffice"), "{kind}");
        assert!(refusal(&list(kind, u64::MAX)).contains("lists have"), "{kind}");
    }
    assert!(refusal(&list(13, 1)).contains("kind 13"));
}

#[test]
fn lists_in_lists_end_somewhere() {
    let start = Bytes::new(0, 1).text("deep").u32(kind::LIST);
    let deep = (0..1000).fold(start, |bytes, _| bytes.u32(kind::LIST).u64(1));
    assert!(refusal(&deep.0).contains("without end"));
}

#[test]
fn sizes_and_places_beyond_any_number_are_refused() {
    let one = |shape: &[u64], offset| Bytes::new(1, 0).tensor("a", shape, 0, offset).data(32, 64);
    assert!(refusal(&one(&[u64::MAX, u64::MAX], 0)).contains("shape"));
    assert!(refusal(&one(&[1 << 62, 4], 0)).contains("shape"));
    assert!(refusal(&one(&[4], u64::MAX - 31)).contains("beyond the end of any file"));
    assert!(refusal(&one(&[4], 1 << 40)).contains("needs bytes"));
    assert!(refusal(&one(&[], 0)).contains("shape"));
    assert!(refusal(&one(&[0, 4], 0)).contains("shape"));
    assert!(refusal(&one(&[1, 1, 1, 1, 1], 0)).contains("5 dimensions"));
}

#[test]
fn tensors_share_no_bytes_and_lie_where_they_may() {
    assert!(read(&pair(&[8], 32)).is_ok());
    assert!(refusal(&pair(&[12], 32)).contains("a and b overlap"));
    assert!(refusal(&pair(&[4], 0)).contains("overlap"));
    assert!(refusal(&pair(&[4], 16)).contains("multiple of 32"));
    let twice = Bytes::new(2, 0).tensor("a", &[4], 0, 0).tensor("a", &[4], 0, 32).data(32, 64);
    assert!(refusal(&twice).contains("two tensors a"));
}

#[test]
fn an_alignment_of_nothing_is_refused() {
    for alignment in [0, 1, 3, 48] {
        assert!(refusal(&Bytes::new(0, 1).alignment(alignment).0).contains("alignment"));
    }
    let wide = Bytes::new(1, 1).alignment(4096).tensor("a", &[4], 0, 0).data(4096, 16);
    assert_eq!(read(&wide).unwrap().1.get("a").unwrap().1.range, 4096..4112);
}

#[test]
fn encodings_that_cannot_be_run_keep_their_names() {
    let one = |encoding| Bytes::new(1, 0).tensor("a", &[1, 256], encoding, 0).data(32, 1024);
    assert_eq!(read(&one(16)).unwrap().1.get("a").unwrap().1.format.name(), "IQ2_XXS");
    assert_eq!(read(&one(10)).unwrap().1.get("a").unwrap().1.format, TensorFormat::Other("Q2_K"));
    assert!(
        matches!(read(&one(77)), Err(HeaderError::Unsupported(what)) if what.contains("tensor a has the encoding 77"))
    );
    let partial = Bytes::new(1, 0).tensor("a", &[1, 100], 12, 0).data(32, 1024);
    assert!(refusal(&partial).contains("can't have the shape [1, 100] as Q4_K"));
}

#[test]
fn other_files_and_versions_are_told_apart() {
    assert!(refusal(b"PK\x03\x04rest").contains("does not begin as GGUF"));
    assert!(refusal(b"GGUF\x01\0\0\0").contains("version of GGUF is 1"));
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = small();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok((_, layout)) = read(&bytes) {
            prop_assert!(layout.iter().all(|(_, placed)| placed.range.end <= bytes.len()));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(rest in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&[&b"GGUF\x03\0\0\0"[..], &rest].concat()).ok();
    }
}
