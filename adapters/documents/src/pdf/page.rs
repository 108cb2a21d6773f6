//! The text on a page, in the order in which the page shows it.

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, ObjectId};

use super::font::Font;
use super::matrix::Matrix;
use crate::output::{Halt, Output};

/// Forms inside one another, and forms shown by one page.
const MAX_FORM_DEPTH: usize = 8;
const MAX_FORMS: usize = 256;

/// Gaps in parts of the height of the letters: beyond these there is a space, another line, another paragraph.
const SPACE: f32 = 0.18;
/// The same between characters that are written without spaces and often spread over a line.
const SPACE_BETWEEN_WIDE: f32 = 1.0;
const LINE: f32 = 0.5;
const PARAGRAPH: f32 = 1.9;

/// Reads one page after the other, remembering fonts.
pub(super) struct Pages<'d> {
    document: &'d Document,
    fonts: HashMap<ObjectId, Rc<Font<'d>>>,
    /// Of all pages together, after decompression.
    bytes_left: usize,
    forms_left: usize,
    /// Where the last piece of text ended.
    last: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    x: f32,
    y: f32,
    height: f32,
}

/// What `q` saves and `Q` brings back.
#[derive(Clone)]
struct State<'d> {
    page: Matrix,
    font: Option<Rc<Font<'d>>>,
    size: f32,
    character_spacing: f32,
    word_spacing: f32,
    /// 1 is usual.
    stretch: f32,
    leading: f32,
}

/// Where in a text we are.
struct Lines {
    text: Matrix,
    line: Matrix,
}

/// Where fonts and forms of a page are looked up: the nearest first.
type Resources<'d> = Vec<&'d Dictionary>;

impl<'d> Pages<'d> {
    pub(super) fn new(document: &'d Document, unpacked_bytes: usize) -> Self {
        Self { document, fonts: HashMap::new(), bytes_left: unpacked_bytes, forms_left: 0, last: None }
    }

    /// A page that can't be read is left out, and the text counts as cut.
    pub(super) fn read(&mut self, page: ObjectId, output: &mut Output) -> Result<(), Halt> {
        self.last = None;
        self.forms_left = MAX_FORMS;
        let Ok(content) = self.document.get_page_content_with_limit(page, self.bytes_left) else {
            output.cut();
            return Ok(());
        };
        self.bytes_left = self.bytes_left.saturating_sub(content.len());
        let Ok((inline, ids)) = self.document.get_page_resources(page) else { return Ok(()) };
        let named = ids.into_iter().filter_map(|id| self.document.get_dictionary(id).ok());
        let resources: Resources<'d> = inline.into_iter().chain(named).collect();
        self.run(&content, &resources, Matrix::IDENTITY, 0, output)
    }

    fn run(
        &mut self,
        content: &[u8],
        resources: &Resources<'d>,
        page: Matrix,
        depth: usize,
        output: &mut Output,
    ) -> Result<(), Halt> {
        let mut state = State {
            page,
            font: None,
            size: 1.0,
            character_spacing: 0.0,
            word_spacing: 0.0,
            stretch: 1.0,
            leading: 0.0,
        };
        let mut saved = Vec::new();
        let mut lines = Lines { text: Matrix::IDENTITY, line: Matrix::IDENTITY };
        for operation in Content::decode_iter(content) {
            output.check()?;
            // What stands behind a mistake may still be text.
            let Ok(Operation { operator, operands }) = operation else { break };
            match operator.as_str() {
                // Nobody needs more than a few; a file that only saves would fill the memory.
                "q" if saved.len() < 64 => saved.push(state.clone()),
                "Q" => state = saved.pop().unwrap_or(state),
                "cm" => {
                    if let Some(matrix) = Matrix::of(&operands) {
                        state.page = matrix.then(state.page);
                    }
                }
                "Tf" => self.choose_font(&operands, resources, &mut state),
                "Do" if depth < MAX_FORM_DEPTH && self.forms_left > 0 => {
                    if let Some(name) = name_of(&operands) {
                        self.form(name, resources, state.page, depth, output)?;
                    }
                }
                "BT" => lines = Lines { text: Matrix::IDENTITY, line: Matrix::IDENTITY },
                other => self.text_operation(other, &operands, &mut state, &mut lines, output)?,
            }
        }
        Ok(())
    }

    fn text_operation(
        &mut self,
        operator: &str,
        operands: &[Object],
        state: &mut State<'d>,
        lines: &mut Lines,
        output: &mut Output,
    ) -> Result<(), Halt> {
        let number = |place: usize| operands.get(place).and_then(|operand| operand.as_float().ok()).unwrap_or_default();
        match operator {
            "Tc" => state.character_spacing = number(0),
            "Tw" => state.word_spacing = number(0),
            "Tz" => state.stretch = number(0) / 100.0,
            "TL" => state.leading = number(0),
            "Td" => lines.go(number(0), number(1)),
            "TD" => {
                state.leading = -number(1);
                lines.go(number(0), number(1));
            }
            "Tm" => {
                if let Some(matrix) = Matrix::of(operands) {
                    *lines = Lines { text: matrix, line: matrix };
                }
            }
            "T*" => lines.go(0.0, -state.leading),
            "Tj" => self.show(operands, state, lines, output)?,
            "'" => {
                lines.go(0.0, -state.leading);
                self.show(operands, state, lines, output)?;
            }
            "\"" => {
                (state.word_spacing, state.character_spacing) = (number(0), number(1));
                lines.go(0.0, -state.leading);
                self.show(operands.get(2..).unwrap_or_default(), state, lines, output)?;
            }
            "TJ" => {
                let pieces = operands.first().and_then(|pieces| pieces.as_array().ok());
                self.show(pieces.map_or(&[][..], Vec::as_slice), state, lines, output)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Strings, and numbers that move what follows to the left by thousandths of the size.
    fn show(
        &mut self,
        pieces: &[Object],
        state: &State<'d>,
        lines: &mut Lines,
        output: &mut Output,
    ) -> Result<(), Halt> {
        let Some(font) = &state.font else { return Ok(()) };
        for piece in pieces {
            if let Ok(bytes) = piece.as_str() {
                let shown = font.show(bytes);
                self.place(&shown.text, lines.text.then(state.page), state.size, output)?;
                #[expect(clippy::cast_precision_loss, reason = "a string of a page is short")]
                let spacing = shown.codes as f32 * state.character_spacing + shown.spaces as f32 * state.word_spacing;
                lines.advance((shown.width * state.size + spacing) * state.stretch);
                let end = lines.text.then(state.page);
                if let Some(last) = self.last.as_mut().filter(|_| !shown.text.is_empty()) {
                    (last.x, last.y) = (end.e, end.f);
                }
            } else if let Ok(back) = piece.as_float() {
                lines.advance(-back / 1000.0 * state.size * state.stretch);
            }
        }
        Ok(())
    }

    /// Writes a piece of text, and before it what its distance to the last one means.
    fn place(&mut self, text: &str, at: Matrix, size: f32, output: &mut Output) -> Result<(), Halt> {
        if text.is_empty() {
            return Ok(());
        }
        let height = (at.height() * size).abs().max(0.01);
        if let Some(last) = self.last {
            let (right, up) = at.direction();
            let (x, y) = (at.e - last.x, at.f - last.y);
            let (along, across) = (x * right + y * up, (y * right - x * up).abs());
            let higher = height.max(last.height);
            if across > higher * PARAGRAPH {
                output.push("\n\n")?;
            } else if across > higher * LINE {
                output.push("\n")?;
            } else if let (Some(before), Some(after)) = (output.last(), text.chars().next()) {
                let space = if is_wide(before) && is_wide(after) { SPACE_BETWEEN_WIDE } else { SPACE };
                if (along > higher * space || along < -higher) && !before.is_whitespace() {
                    output.push(" ")?;
                }
            }
        }
        self.last = Some(End { x: at.e, y: at.f, height });
        output.push(text)
    }

    fn choose_font(&mut self, operands: &[Object], resources: &Resources<'d>, state: &mut State<'d>) {
        let [Object::Name(name), size] = operands else { return };
        state.size = size.as_float().unwrap_or(1.0);
        state.font = self.resource(b"Font", name, resources).and_then(|(id, found)| {
            let known = id.and_then(|id| self.fonts.get(&id)).map(Rc::clone);
            known.or_else(|| {
                let font = Rc::new(Font::new(found.as_dict().ok()?, self.document));
                if let Some(id) = id {
                    self.fonts.insert(id, Rc::clone(&font));
                }
                Some(font)
            })
        });
    }

    /// A part of a page that stands elsewhere in the file.
    fn form(
        &mut self,
        name: &[u8],
        resources: &Resources<'d>,
        page: Matrix,
        depth: usize,
        output: &mut Output,
    ) -> Result<(), Halt> {
        let found = self.resource(b"XObject", name, resources);
        let Some(Ok(form)) = found.map(|(_, found)| found.as_stream()) else { return Ok(()) };
        if form.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|subtype| subtype != b"Form") {
            return Ok(());
        }
        self.forms_left -= 1;
        let Ok(content) = form.get_plain_content_with_limit(self.bytes_left) else {
            output.cut();
            return Ok(());
        };
        self.bytes_left = self.bytes_left.saturating_sub(content.len());
        let matrix = form.dict.get_deref(b"Matrix", self.document).and_then(Object::as_array);
        let matrix = matrix.ok().and_then(|numbers| Matrix::of(numbers)).unwrap_or(Matrix::IDENTITY);
        let own = form.dict.get_deref(b"Resources", self.document).and_then(Object::as_dict).ok();
        // Old files leave them out and mean those of the page.
        let resources: Resources<'d> = own.into_iter().chain(resources.iter().copied()).collect();
        self.run(&content, &resources, matrix.then(page), depth + 1, output)
    }

    /// A font or a form by the name that the page gives it.
    fn resource(&self, kind: &[u8], name: &[u8], resources: &Resources<'d>) -> Option<(Option<ObjectId>, &'d Object)> {
        let document = self.document;
        let found = resources
            .iter()
            .find_map(|resources| resources.get_deref(kind, document).and_then(Object::as_dict).ok()?.get(name).ok());
        document.dereference(found?).ok()
    }
}

impl Lines {
    /// To the beginning of another line.
    fn go(&mut self, x: f32, y: f32) {
        self.line = Matrix::translation(x, y).then(self.line);
        self.text = self.line;
    }

    fn advance(&mut self, width: f32) {
        self.text = Matrix::translation(width, 0.0).then(self.text);
    }
}

/// Chinese and Japanese characters and their punctuation; Korean is written with spaces.
fn is_wide(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

fn name_of(operands: &[Object]) -> Option<&[u8]> {
    operands.first()?.as_name().ok()
}
