//! Which lines of a Markdown text are code: the one fact that every treatment of a model's text depends on.

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The opening line of a code block.
    Opening,
    /// Inside a code block.
    Code,
    /// The closing line of a code block.
    Closing,
    Prose,
}

/// An open code block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence<'a> {
    mark: u8,
    length: usize,
    /// What follows the marks: a language, usually.
    pub info: &'a str,
}

impl Fence<'_> {
    pub fn is_tilde(&self) -> bool {
        self.mark == b'~'
    }

    /// The line that closes it.
    pub fn closing(&self) -> String {
        char::from(self.mark).to_string().repeat(self.length)
    }

    /// The line that opens it again on another page.
    pub fn opening(&self) -> String {
        format!("{}{}", self.closing(), self.info)
    }
}

/// Reads a text line by line.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Fences<'a> {
    pub open: Option<Fence<'a>>,
}

impl<'a> Fences<'a> {
    /// Takes the next line, without its line break. Any indentation is allowed: fences in lists are indented.
    pub fn next(&mut self, line: &'a str) -> Kind {
        let text = line.trim_start();
        match (self.open, run(text)) {
            (Some(open), Some((mark, length))) if mark == open.mark && length >= open.length => {
                if text[length..].trim().is_empty() {
                    self.open = None;
                    return Kind::Closing;
                }
                Kind::Code
            }
            (Some(_), _) => Kind::Code,
            (None, Some((mark, length))) => {
                let info = text[length..].trim();
                // A line such as ```` ```x``` ```` is inline code.
                if mark == b'`' && info.contains('`') {
                    return Kind::Prose;
                }
                self.open = Some(Fence { mark, length, info });
                Kind::Opening
            }
            (None, None) => Kind::Prose,
        }
    }

    /// The state after all of `text`.
    pub fn after(text: &'a str) -> Self {
        let mut fences = Self::default();
        for line in text.lines() {
            fences.next(line);
        }
        fences
    }
}

/// Three or more backticks or tildes at the beginning.
fn run(text: &str) -> Option<(u8, usize)> {
    let mark = *text.as_bytes().first().filter(|byte| matches!(byte, b'`' | b'~'))?;
    let length = text.bytes().take_while(|byte| *byte == mark).count();
    (length >= 3).then_some((mark, length))
}
