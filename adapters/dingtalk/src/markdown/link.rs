//! Where a link leads, and how that is shown.

use pulldown_cmark::LinkType;
use url::Url;

use super::inline::{BREAK, Place, defused_address, push_text};

/// A link or an image that is being written.
pub(super) struct OpenLink {
    target: Target,
    title: String,
    /// Where its label begins in the output.
    pub from: usize,
    place: Place,
}

enum Target {
    /// It may be followed.
    Web { href: String, shown: String, host: String },
    /// Nobody should be led there by a press, or can be; it is told as text.
    Told(String),
}

impl OpenLink {
    /// A link to `address`. `nested`: within the label of another, where no link can be.
    pub fn new(kind: LinkType, address: &str, title: &str, nested: bool, place: Place) -> Self {
        let address = if kind == LinkType::Email { format!("mailto:{address}") } else { address.to_owned() };
        let target = if nested { None } else { web(&address) }.unwrap_or(Target::Told(address));
        Self { target, title: title.to_owned(), from: 0, place }
    }

    /// Begins the label.
    pub fn open(&mut self, out: &mut String) {
        if matches!(self.target, Target::Web { .. }) {
            // Before a bracket, an exclamation mark would make it an image.
            if out.ends_with('!') {
                out.push(BREAK);
            }
            out.push('[');
        }
        self.from = out.len();
    }

    /// Ends it: the address, and for the eye whatever the label does not say of it.
    pub fn close(self, out: &mut String) {
        let label = out[self.from..].to_owned();
        let mut told = Vec::new();
        match self.target {
            Target::Web { href, shown, host } => {
                if label.trim().is_empty() {
                    push_text(out, &host, None, self.place);
                }
                out.extend(["](", &href, ")"]);
                if !says(&label, &shown) && !label.trim().is_empty() {
                    told.push(if looks_like_address(&label) { shown } else { host });
                } else if label.trim().is_empty() && shown != host {
                    told.push(shown);
                }
            }
            Target::Told(address) => {
                if !says(&label, &address) && !address.is_empty() {
                    told.push(address);
                }
            }
        }
        told.extend(Some(self.title).filter(|title| !title.is_empty()));
        if !told.is_empty() {
            out.push_str(" (");
            push_text(out, &told.join(", "), None, self.place);
            out.push(')');
        }
    }
}

/// An address that may be followed from a chat.
fn web(address: &str) -> Option<Target> {
    let url = Url::parse(address).ok()?;
    let host = match url.scheme() {
        "http" | "https" => url.host_str()?.to_owned(),
        "mailto" => url.path().to_owned(),
        _ => return None,
    };
    let mut href = String::new();
    for c in url.as_str().chars() {
        match c {
            // They would end the address, or begin something else.
            '(' | ')' | '[' | ']' | '<' | '>' | '|' | '`' | '\\' | '"' | '\'' | '*' | ' ' => {
                href.push_str(&format!("%{:02X}", u32::from(c)));
            }
            _ => href.push(c),
        }
    }
    Some(Target::Web { href: defused_address(&href), shown: url.to_string(), host })
}

/// Whether the label is the address itself.
fn says(label: &str, address: &str) -> bool {
    let bare = |text: &str| {
        let text: String = text.chars().filter(|c| !matches!(c, '*' | '`' | '~' | '\\' | &BREAK)).collect();
        let text = text.trim().trim_end_matches('/').replace("&amp;", "&");
        let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("mailto:")).unwrap_or(&text);
        text.to_ascii_lowercase()
    };
    bare(label) == bare(address)
}

fn looks_like_address(label: &str) -> bool {
    label.contains("://") || label.split(char::is_whitespace).any(|word| word.trim_matches('.').contains('.'))
}
