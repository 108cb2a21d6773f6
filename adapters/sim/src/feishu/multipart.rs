//! A small reader of `multipart/form-data`, enough for two upload calls.

use bytes::Bytes;

#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// The parts of a body; `None` if it is not well-formed.
pub(super) fn parse(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let kind = content_type.strip_prefix("multipart/form-data")?;
    let boundary = kind.split(';').find_map(|field| field.trim().strip_prefix("boundary="))?.trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut at = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    let mut parts = Vec::new();
    while !body[at..].starts_with(b"--") {
        let head_end = find(body, b"\r\n\r\n", at)?;
        let end = find(body, format!("\r\n{delimiter}").as_bytes(), head_end)?;
        let head = String::from_utf8_lossy(&body[at..head_end]);
        let name = head.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        parts.push(Part { name, bytes: body.slice((head_end + 4).min(end)..end) });
        at = end + 2 + delimiter.len();
    }
    Some(parts)
}

fn find(body: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    body[from..].windows(needle.len()).position(|window| window == needle).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_at_the_boundary() {
        let body = "--B\r\nContent-Disposition: form-data; name=\"image_type\"\r\n\r\nmessage\r\n--B\r\n\
            Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n\u{1}\r\n\u{2}\r\n--B--\r\n";
        let parts = parse("multipart/form-data; boundary=B", &Bytes::from(body)).unwrap();
        assert_eq!(parts[0].name, "image_type");
        assert_eq!(parts[0].bytes, "message");
        assert_eq!(parts[1].bytes, "\u{1}\r\n\u{2}");
        assert!(parse("application/json", &Bytes::new()).is_none());
        assert!(parse("multipart/form-data; boundary=B", &Bytes::from("--B\r\nbroken")).is_none());
    }
}
