//! The table of replacements by which SentencePiece normalises text.
//!
//! It is a trie in two arrays folded into one of 32-bit words, followed by the replacements, each ended by a zero byte.
//! Source: `darts_clone`'s double arrays and `builder.cc` of SentencePiece; GGUF holds it in
//! `tokenizer.ggml.precompiled_charsmap`.

/// A parsed table.
#[derive(Debug)]
pub(crate) struct CharsMap {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

impl CharsMap {
    /// `None` if the parts do not fit into `bytes`: the size of the trie in bytes, the trie, the replacements.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        let (trie, replacements) = rest.split_at_checked(size)?;
        let (units, left) = trie.as_chunks::<4>();
        if !left.is_empty() || replacements.last() != Some(&0) {
            return None;
        }
        Some(Self {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            replacements: replacements.into(),
        })
    }

    /// The longest beginning of `text` that is replaced: its length in bytes, and what comes in its place.
    pub(crate) fn replacement(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let unit = |place: u32| self.units.get(usize::try_from(place).ok()?).copied();
        let mut node = children(unit(0)?);
        let mut longest = None;
        for (length, &byte) in (1..).zip(text) {
            node ^= u32::from(byte);
            let Some(found) = unit(node).filter(|&found| byte != 0 && label(found) == u32::from(byte)) else { break };
            node ^= children(found);
            if found & HAS_LEAF != 0 {
                longest = Some((length, unit(node)? & !IS_LEAF));
            }
        }
        let (length, start) = longest?;
        let replacement = self.replacements.get(usize::try_from(start).ok()?..)?;
        let end = replacement.iter().position(|&byte| byte == 0)?;
        Some((length, &replacement[..end]))
    }
}

const HAS_LEAF: u32 = 1 << 8;
const IS_LEAF: u32 = 1 << 31;

/// Where the children of a node begin; bit 9 says that the number in the bits above is one of 256 places.
fn children(unit: u32) -> u32 {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

fn label(unit: u32) -> u32 {
    unit & (IS_LEAF | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that replaces `A` by `a`: the root's children begin at 256, and the leaf of `A` is at 512.
    fn table() -> Vec<u8> {
        let mut units = vec![0_u32; 600];
        units[0] = 256 << 10;
        let place = 256 ^ u32::from(b'A');
        units[usize::try_from(place).unwrap()] = ((place ^ 512) << 10) | HAS_LEAF | u32::from(b'A');
        units[512] = IS_LEAF | 2;
        let mut bytes = u32::to_le_bytes(2400).to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(b"x\0a\0");
        bytes
    }

    #[test]
    fn what_the_table_knows_is_replaced() {
        let map = CharsMap::parse(&table()).unwrap();
        assert_eq!(map.replacement(b"AB"), Some((1, b"a".as_slice())));
        assert_eq!((map.replacement(b"B"), map.replacement(b"")), (None, None));
    }

    #[test]
    fn a_table_that_is_cut_off_is_refused() {
        let whole = table();
        for length in [0, 3, 4, 100, whole.len() - 1] {
            assert!(CharsMap::parse(&whole[..length]).is_none(), "{length} bytes");
        }
    }
}
