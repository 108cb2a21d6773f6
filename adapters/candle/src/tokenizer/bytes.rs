//! The alphabet of byte-level vocabularies: each byte as one printable character.
//!
//! Bytes that are printable in Latin-1 stand for themselves; the others, in order, for the characters from U+0100 on.
//! Source: the encoder published with GPT-2, which every byte-level vocabulary has kept.

use std::collections::HashMap;

/// From character to byte.
pub(crate) fn byte_alphabet() -> HashMap<char, u8> {
    let mut next_substitute = 0x100_u32;
    (0..=u8::MAX)
        .map(|byte| {
            if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                return (char::from(byte), byte);
            }
            let substitute = char::from_u32(next_substitute).unwrap_or(char::REPLACEMENT_CHARACTER);
            next_substitute += 1;
            (substitute, byte)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::byte_alphabet;

    #[test]
    fn every_byte_has_one_character() {
        let alphabet = byte_alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!((alphabet[&'a'], alphabet[&'Ġ'], alphabet[&'Ċ'], alphabet[&'Ń']), (b'a', b' ', b'\n', 0xad));
    }
}
