//! Characters from bytes that come in any portions.

/// Holds back an incomplete character until its rest comes. What can never become a character is shown as U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct Utf8Assembler {
    incomplete: Vec<u8>,
}

impl Utf8Assembler {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.incomplete.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.incomplete.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    let Some(wrong) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[wrong..];
                }
            }
        }
        self.incomplete = rest.to_vec();
        text
    }

    /// The character that was never completed, if there is one.
    pub(crate) fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.incomplete).into_owned();
        self.incomplete.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8Assembler;

    #[test]
    fn half_a_character_waits_for_its_rest() {
        let mut characters = Utf8Assembler::default();
        let bytes = "a鹊".as_bytes();
        assert_eq!(characters.push(&bytes[..2]), "a");
        assert_eq!(characters.push(&bytes[2..]), "鹊");
        assert_eq!(characters.push(&[0xff, b'b', 0xe9]), "\u{fffd}b");
        assert_eq!(characters.finish(), "\u{fffd}");
        assert_eq!(characters.finish(), "");
    }
}
