//! A strict reader of server-sent events.
//!
//! Takes bytes in any chopping and gives whole events. It follows the event stream grammar of the HTML standard
//! (section "Server-sent events", read 11/2026) and is stricter where leniency would hide a defect: a field that the
//! standard does not know, text that is not UTF-8, and lines or events beyond a limit are errors, because what sends
//! such things is not an event stream.

/// Longest line and longest event, in bytes. A delta is a few bytes; a megabyte of one line is an attack or a mistake.
const MAX_EVENT_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One event. Its type is left out: chat endpoints say everything in the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The data lines joined by line feeds.
    pub data: String,
}

/// Why the bytes are not an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("a line or event is longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("a line is not UTF-8")]
    NotUtf8,
    #[error("a line has a field that event streams do not have")]
    UnknownField,
}

/// State between two chunks of bytes.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    data: Option<String>,
    after_carriage_return: bool,
    past_first_line: bool,
}

impl SseParser {
    /// Takes the next bytes and appends the events they complete. After an error the stream is worth nothing more.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        for &byte in bytes {
            let after_carriage_return = std::mem::take(&mut self.after_carriage_return);
            match byte {
                // The second half of a CRLF, perhaps in another chunk than the first.
                b'\n' if after_carriage_return => {}
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line)?);
                }
                _ if self.line.len() == MAX_EVENT_BYTES => return Err(SseError::TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, SseError> {
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if line.is_empty() {
            return Ok(self.data.take().map(|data| SseEvent { data }));
        }
        let text = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        match field {
            "data" => self.add_data(value.strip_prefix(' ').unwrap_or(value))?,
            // An empty name is a comment; the other three mean nothing in a chat stream.
            "" | "event" | "id" | "retry" => {}
            _ => return Err(SseError::UnknownField),
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), SseError> {
        let Some(data) = &mut self.data else {
            self.data = Some(value.to_owned());
            return Ok(());
        };
        if data.len() + value.len() >= MAX_EVENT_BYTES {
            return Err(SseError::TooLong);
        }
        data.push('\n');
        data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
