//! Markdown of cards as safe HTML: no foreign tags, no scripts, the platform's own tags resolved.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// Gives the display name of an id in `<at id=…>`.
pub(super) type Names<'a> = &'a dyn Fn(&str) -> String;

/// A tag of the platform's own, or nothing of the kind.
enum Piece<'a> {
    Text(&'a str),
    /// Id of the person mentioned.
    At(&'a str),
    /// Shown by its content only.
    Dropped,
    Break,
    Rule,
}

/// Renders CommonMark with tables. `<at>` becomes text, `<font>` and its like vanish around their content, every other
/// tag is shown as written; links lead to web addresses only.
pub(super) fn to_html(text: &str, names: Names<'_>) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(text, options).flat_map(|event| safe(event, names));
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

/// Text without any markup as HTML.
pub(super) fn plain_html(text: &str) -> String {
    let mut out = String::from("<p>");
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            out.push_str("<br>");
        }
        for c in line.chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '"' => out.push_str("&quot;"),
                other => out.push(other),
            }
        }
    }
    out + "</p>"
}

/// Replaces `<at user_id="…">Name</at>` of a text message by `@Name`.
pub(super) fn resolve_at(text: &str, names: Names<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once("<at ") {
        let Some((head, after)) = tag.split_once('>') else { break };
        out.push_str(before);
        let (inner, after) = after.split_once("</at>").unwrap_or(("", after));
        let id = attribute_id(head);
        out.push('@');
        out.push_str(&if inner.is_empty() { names(id) } else { inner.to_owned() });
        rest = after;
    }
    out + rest
}

fn safe<'a>(event: Event<'a>, names: Names<'_>) -> Vec<Event<'a>> {
    match event {
        Event::Html(raw) | Event::InlineHtml(raw) => {
            pieces(&raw).into_iter().filter_map(|piece| shown(piece, names)).collect()
        }
        // An HTML block is a paragraph of text here.
        Event::Start(Tag::HtmlBlock) => vec![Event::Start(Tag::Paragraph)],
        Event::End(TagEnd::HtmlBlock) => vec![Event::End(TagEnd::Paragraph)],
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if is_web(&dest_url) { dest_url } else { CowStr::from("#") };
            vec![Event::Start(Tag::Link { link_type, dest_url, title, id })]
        }
        // Pictures are keys on the platform; the client of this one shows their description.
        Event::Start(Tag::Image { title, .. }) => {
            let link = Tag::Link { link_type: LinkType::Inline, dest_url: "#".into(), title, id: "".into() };
            vec![Event::Start(link), Event::Text("🖼 ".into())]
        }
        Event::End(TagEnd::Image) => vec![Event::End(TagEnd::Link)],
        other => vec![other],
    }
}

fn shown<'a>(piece: Piece<'_>, names: Names<'_>) -> Option<Event<'a>> {
    match piece {
        Piece::Text(text) => Some(Event::Text(text.to_owned().into())),
        Piece::At(id) => Some(Event::Text(format!("@{}", names(id)).into())),
        Piece::Dropped => None,
        Piece::Break => Some(Event::HardBreak),
        Piece::Rule => Some(Event::Rule),
    }
}

/// Splits raw HTML at its tags.
fn pieces(raw: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = raw;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        if start > 0 {
            found.push(Piece::Text(&rest[..start]));
        }
        let tag = &rest[start..=start + length];
        found.push(classify(tag));
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    found
}

fn classify(tag: &str) -> Piece<'_> {
    let inner = tag.trim_matches(['<', '>', '/', ' ']);
    match inner.split([' ', '\t', '\n']).next().unwrap_or_default() {
        "at" if tag.starts_with("</") => Piece::Dropped,
        "at" | "person" => Piece::At(attribute_id(inner)),
        "font" | "text_tag" | "link" | "local_datetime" | "raw" | "number_tag" => Piece::Dropped,
        "br" => Piece::Break,
        "hr" => Piece::Rule,
        _ => Piece::Text(tag),
    }
}

/// The value of the first attribute ending in `id`.
fn attribute_id(head: &str) -> &str {
    let value = head.split_once("id=").map_or("", |(_, value)| value.trim_start());
    value.trim_start_matches(['"', '\'']).split(['"', '\'', ' ', '>', '/']).next().unwrap_or_default()
}

fn is_web(url: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        to_html(text, &|id| format!("name-of-{id}"))
    }

    #[test]
    fn foreign_html_is_shown_and_never_obeyed() {
        let html = render("a <script>alert(1)</script> b\n\n<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))");
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("javascript:"), "{html}");
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn own_tags_are_resolved() {
        let html = render("<at id=ou_1></at> <font color='grey'>small</font> **bold**<br>next");
        assert!(
            html.contains("@name-of-ou_1") && html.contains("small") && html.contains("<strong>bold</strong>"),
            "{html}"
        );
        assert!(!html.contains("font"), "{html}");
        assert!(html.contains("<br"));
    }

    #[test]
    fn own_tags_at_the_start_of_a_line_are_resolved_too() {
        let html = render("<font color='red'>**x**</font>\n\n```\n<at id=all>\n```");
        assert!(html.contains("&lt;at id=all&gt;") && !html.contains("font"), "{html}");
    }

    #[test]
    fn plain_text_is_escaped_and_mentions_resolved() {
        assert_eq!(plain_html("a<b>\n&"), "<p>a&lt;b&gt;<br>&amp;</p>");
        let text =
            resolve_at("hi <at user_id=\"ou_1\"></at> and <at user_id=\"ou_2\">Bo</at>!", &|id| format!("n-{id}"));
        assert_eq!(text, "hi @n-ou_1 and @Bo!");
    }
}
