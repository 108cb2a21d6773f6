//! Markdown to HTML as the client shows it. HTML in the text is shown as text, except the few tags the platform
//! documents for cards (`<br>`, `<font …>`, `<a atId=…>`), which become harmless spans.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// Safe HTML of `markdown`.
#[must_use]
pub(super) fn markdown_to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut spans = OpenSpans::default();
    let mut events = Vec::new();
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => spans.pass(&html, &mut events),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let dest_url = safe_url(dest_url, &["http://", "https://", "mailto:", "dingtalk://", "dtmd://"]);
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let dest_url = safe_url(dest_url, &["http://", "https://"]);
                events.push(Event::Start(Tag::Image { link_type, dest_url, title, id }));
            }
            Event::End(end) => {
                if ends_a_block(end) {
                    spans.close_all(&mut events);
                }
                events.push(Event::End(end));
            }
            other => events.push(other),
        }
    }
    spans.close_all(&mut events);
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    html
}

/// Safe HTML of a text without markup; lines are kept.
#[must_use]
pub(super) fn text_to_html(text: &str) -> String {
    let mut html = String::from("<p>");
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            html.push_str("<br />\n");
        }
        pulldown_cmark::html::push_html(&mut html, std::iter::once(Event::Text(CowStr::Borrowed(line))));
    }
    html.push_str("</p>\n");
    html
}

/// Spans opened for the platform's tags, by the name that closes them.
#[derive(Default)]
struct OpenSpans {
    open: Vec<&'static str>,
}

impl OpenSpans {
    /// Passes a piece of raw HTML: the platform's tags as spans, everything else as text.
    fn pass<'a>(&mut self, html: &str, events: &mut Vec<Event<'a>>) {
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            let (text, from_tag) = rest.split_at(start);
            push_text(text, events);
            let length = from_tag.find('>').map_or(from_tag.len(), |end| end + 1);
            let (tag, after) = from_tag.split_at(length);
            self.pass_tag(tag, events);
            rest = after;
        }
        push_text(rest, events);
    }

    fn pass_tag<'a>(&mut self, tag: &str, events: &mut Vec<Event<'a>>) {
        let lower = tag.to_ascii_lowercase();
        match lower.as_str() {
            "<br>" | "<br/>" | "<br />" => events.push(Event::HardBreak),
            "</font>" | "</a>" => {
                let name = if lower == "</a>" { "a" } else { "font" };
                if self.open.last() == Some(&name) {
                    self.open.pop();
                    events.push(Event::InlineHtml("</span>".into()));
                } else {
                    push_text(tag, events);
                }
            }
            _ if lower.starts_with("<font") && lower.ends_with('>') => {
                self.open.push("font");
                events.push(Event::InlineHtml(format!("<span class=\"font{}\">", colour_class(&lower)).into()));
            }
            _ if lower.starts_with("<a atid=") && lower.ends_with('>') => {
                self.open.push("a");
                events.push(Event::InlineHtml("<span class=\"mention\">".into()));
            }
            _ => push_text(tag, events),
        }
    }

    fn close_all(&mut self, events: &mut Vec<Event<'_>>) {
        while self.open.pop().is_some() {
            events.push(Event::InlineHtml("</span>".into()));
        }
    }
}

fn push_text(text: &str, events: &mut Vec<Event<'_>>) {
    if !text.is_empty() {
        events.push(Event::Text(text.to_owned().into()));
    }
}

/// ` colour-<name>` for the tag's colour; only letters, digits and underscores of it.
fn colour_class(tag: &str) -> String {
    let value = ["colortokenv2=", "color="].iter().find_map(|name| tag.split(name).nth(1)).unwrap_or_default();
    let value = value.trim_start_matches(['"', '\'', '#']);
    let name: String = value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    if name.is_empty() { name } else { format!(" colour-{name}") }
}

fn safe_url<'a>(url: CowStr<'a>, schemes: &[&str]) -> CowStr<'a> {
    let lower = url.to_ascii_lowercase();
    if schemes.iter().any(|scheme| lower.starts_with(scheme)) { url } else { "#".into() }
}

fn ends_a_block(end: TagEnd) -> bool {
    matches!(
        end,
        TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::HtmlBlock
            | TagEnd::TableCell
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_event_handlers_stay_text() {
        let html = markdown_to_html(
            "<script>alert(1)</script>\n\n**x** <img src=x onerror=alert(1)> [a](javascript:alert(1))",
        );
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("<strong>x</strong>"), "{html}");
        assert!(html.contains("href=\"#\""), "{html}");
    }

    #[test]
    fn line_breaks_and_fonts_of_the_platform_are_kept() {
        let html =
            markdown_to_html("a<br>b <font colorTokenV2=common_blue1_color>c</font> <font color=\"red\" onclick=x>d");
        assert!(html.contains("a<br />"), "{html}");
        assert!(html.contains("<span class=\"font colour-common_blue1_color\">c</span>"), "{html}");
        assert_eq!(html.matches("<span").count(), html.matches("</span>").count(), "{html}");
        assert!(!html.contains("onclick"), "{html}");
    }

    proptest::proptest! {
        #[test]
        fn no_foreign_tag_survives(markdown in r#"([a-z \n*`>|_-]|<[a-z/]{1,8}( [a-z]{1,6}=[a-z\"']{0,6})?>|\]\(|\[|&lt;){0,40}"#) {
            let html = markdown_to_html(&markdown);
            for tag in html.split('<').skip(1) {
                let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
                let known = ["p", "br", "span", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "hr",
                    "a", "img", "h1", "h2", "table", "thead", "tbody", "tr", "th", "td"];
                proptest::prop_assert!(known.contains(&name), "{name} in {html}");
                proptest::prop_assert!(!tag.starts_with("img") || tag.starts_with("img src=\"#\""), "{html}");
            }
        }
    }

    #[test]
    fn plain_text_is_escaped_and_keeps_its_lines() {
        assert_eq!(text_to_html("a <b>\n*c*"), "<p>a &lt;b&gt;<br />\n*c*</p>\n");
    }
}
