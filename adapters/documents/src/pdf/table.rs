//! The table from codes to characters that a font carries for those who copy its text (ISO 32000-1, §9.10.3).
//!
//! Read by our own lenient parser: programs write these tables in many shapes, and a reader that wants the one of the
//! specification loses all text of the others.

use std::collections::HashMap;

/// Entries that are kept: more than any font has glyphs.
const MAX_ENTRIES: usize = 1 << 17;

#[derive(Debug, Default)]
pub(super) struct Table {
    single: HashMap<u32, String>,
    /// First and last code, and the text of the first, whose last character rises with the code. In order.
    ranges: Vec<(u32, u32, String)>,
    /// How many bytes a code has, and between which two numbers such codes lie.
    lengths: Vec<(usize, u32, u32)>,
}

impl Table {
    /// `None` if nothing is mapped.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut table = Self::default();
        let mut section = Section::None;
        // Codes since the last complete entry, and the texts of a list.
        let (mut codes, mut list): (Vec<Vec<u8>>, Option<Vec<Vec<u8>>>) = (Vec::new(), None);
        for token in (Tokens { rest: bytes }) {
            match token {
                Token::Word(word) => {
                    section = Section::after(word).unwrap_or(section);
                    codes.clear();
                }
                Token::ListBegins => list = Some(Vec::new()),
                Token::ListEnds => {
                    if let (Some(texts), [first, _]) = (list.take(), &codes[..]) {
                        let texts = texts.iter().map(|bytes| text(bytes)).zip(number(first)..);
                        table.single.extend(texts.map(|(text, code)| (code, text)).take(MAX_ENTRIES));
                    }
                    codes.clear();
                }
                Token::Code(code) => match &mut list {
                    Some(list) => list.push(code),
                    None => {
                        codes.push(code);
                        table.take(section, &mut codes);
                    }
                },
            }
            if table.single.len() + table.ranges.len() > MAX_ENTRIES {
                break;
            }
        }
        table.ranges.sort_by_key(|(first, ..)| *first);
        if table.single.is_empty() && table.ranges.is_empty() { None } else { Some(table) }
    }

    /// The characters of a string whose codes have `length` bytes; `None` leaves that to the table.
    pub(super) fn decode(&self, bytes: &[u8], length: Option<usize>) -> String {
        let mut text = String::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (code, after) = rest.split_at(length.unwrap_or_else(|| self.length(rest)).min(rest.len()));
            self.push(number(code), &mut text);
            rest = after;
        }
        text
    }

    fn push(&self, code: u32, text: &mut String) {
        if let Some(found) = self.single.get(&code) {
            return text.push_str(found);
        }
        let place = self.ranges.partition_point(|(first, ..)| *first <= code);
        let Some((first, last, of_first)) = place.checked_sub(1).and_then(|place| self.ranges.get(place)) else {
            return;
        };
        let mut characters = of_first.chars();
        if code <= *last
            && let Some(character) = characters.next_back()
        {
            text.push_str(characters.as_str());
            text.extend(char::from_u32(u32::from(character).saturating_add(code - first)));
        }
    }

    fn length(&self, bytes: &[u8]) -> usize {
        let fits = |length: usize| {
            bytes.get(..length).is_some_and(|code| {
                let code = number(code);
                self.lengths.iter().any(|(of, from, to)| *of == length && (*from..=*to).contains(&code))
            })
        };
        (1..=4).find(|length| fits(*length)).unwrap_or(2)
    }

    /// Takes what is complete.
    fn take(&mut self, section: Section, codes: &mut Vec<Vec<u8>>) {
        match (section, &codes[..]) {
            (Section::Lengths, [from, to]) => self.lengths.push((from.len(), number(from), number(to))),
            (Section::Single, [code, to]) => drop(self.single.insert(number(code), text(to))),
            (Section::Ranges, [first, last, to]) => {
                self.ranges.push((number(first), number(last), text(to)));
            }
            _ => return,
        }
        codes.clear();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Lengths,
    Single,
    Ranges,
}

impl Section {
    /// What follows a word; `None` if the word says nothing about that.
    fn after(word: &[u8]) -> Option<Self> {
        match word {
            b"begincodespacerange" => Some(Self::Lengths),
            b"beginbfchar" => Some(Self::Single),
            b"beginbfrange" => Some(Self::Ranges),
            b"endcodespacerange" | b"endbfchar" | b"endbfrange" => Some(Self::None),
            _ => None,
        }
    }
}

enum Token<'t> {
    /// The bytes between `<` and `>`.
    Code(Vec<u8>),
    ListBegins,
    ListEnds,
    /// Anything else.
    Word(&'t [u8]),
}

struct Tokens<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let (&first, after) = self.rest.split_first()?;
            match first {
                b'%' => {
                    let end = after.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(after.len());
                    self.rest = &after[end..];
                }
                b'<' if after.first() == Some(&b'<') => self.rest = &after[1..],
                b'<' => {
                    let end = after.iter().position(|byte| *byte == b'>').unwrap_or(after.len());
                    self.rest = after.get(end + 1..).unwrap_or_default();
                    return Some(Token::Code(bytes_of_hex(&after[..end])));
                }
                b'[' | b']' => {
                    self.rest = after;
                    return Some(if first == b'[' { Token::ListBegins } else { Token::ListEnds });
                }
                _ if is_regular(first) => {
                    let end = self.rest.iter().position(|byte| !is_regular(*byte)).unwrap_or(self.rest.len());
                    let (word, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    return Some(Token::Word(word));
                }
                _ => self.rest = after,
            }
        }
    }
}

fn is_regular(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && byte != 0 && !b"<>[](){}/%".contains(&byte)
}

fn bytes_of_hex(hex: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.iter().filter_map(|digit| char::from(*digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or_default()).collect()
}

/// Big-endian; of more than four bytes the last count.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// UTF-16; one byte alone is a character, too.
fn text(bytes: &[u8]) -> String {
    if let [byte] = bytes {
        return char::from(*byte).to_string();
    }
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(body: &str) -> Table {
        Table::parse(body.as_bytes()).expect("something is mapped")
    }

    #[test]
    fn characters_ranges_and_lists_are_mapped() {
        let table = table(
            "/CIDInit /ProcSet findresource begin begincmap /CIDSystemInfo << /Registry (Adobe) /Supplement 0 >> def\n\
             1 begincodespacerange <0000> <FFFF> endcodespacerange % codes\n\
             2 beginbfchar <0001><62A5> <0002> <D840DC00> endbfchar\n\
             2 beginbfrange <0010> <0012> <4E00> <0020> <0021> [<0041> <00660069>] endbfrange endcmap",
        );
        assert_eq!(table.decode(b"\0\x01\0\x02\0\x10\0\x12\0\x20\0\x21\0\x99", None), "报𠀀一丂Afi");
    }

    #[test]
    fn lengths_of_codes_are_the_fonts_or_the_tables() {
        let table = table(
            "begincodespacerange <00> <7F> <8000> <FFFF> endcodespacerange beginbfchar <41> <0042> <8041> <4E00> endbfchar",
        );
        assert_eq!(table.decode(b"A\x80\x41A", None), "B一B");
        assert_eq!(table.decode(b"\0A\0A", Some(2)), "BB");
        assert_eq!(table.decode(b"AA", Some(1)), "BB");
    }

    #[test]
    fn tables_without_a_mapping_are_none() {
        assert!(Table::parse(b"begincmap endcmap").is_none());
        assert!(Table::parse(b"beginbfchar <01> endbfchar").is_none());
    }

    proptest! {
        #[test]
        fn any_table_reads_any_string(
            table in "(beginbf(char|range) |endbfrange |begincodespacerange |[<>\\[\\]]|[0-9a-f]{2,8}| ){0,60}",
            string in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            if let Some(table) = Table::parse(table.as_bytes()) {
                table.decode(&string, None);
                table.decode(&string, Some(1));
            }
        }
    }
}
