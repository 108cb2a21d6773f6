//! Where links go, and whether their text says something else.

use reqwest::Url;

use super::source::{AUTOLINKS, starts_with_ignoring_case};

/// Web and mail addresses are the only targets that stay links.
pub(super) fn may_be_followed(target: &str) -> bool {
    AUTOLINKS.iter().any(|scheme| starts_with_ignoring_case(target, scheme))
}

/// Whether a reader could take the link for one to somewhere else: its text looks like an address of another host,
/// or the address has something before the host that looks like one.
pub(super) fn misleads(text: &str, target: &str) -> bool {
    let Ok(url) = Url::parse(target) else { return true };
    if url.scheme() == "mailto" {
        return hosts(text).any(|host| !url.path().to_lowercase().ends_with(&host));
    }
    let goes_to = bare(url.host_str().unwrap_or_default());
    !url.username().is_empty() || hosts(text).any(|host| bare(&host) != goes_to)
}

/// Everything in a text that looks like a host.
fn hosts(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase().replace(['。', '．', '｡'], ".");
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    words.into_iter().flat_map(|word| {
        let after_scheme = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest);
        let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        let runs = authority.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '-');
        runs.filter(|run| looks_like_host(run)).map(|run| run.trim_matches('.').to_owned()).collect::<Vec<_>>()
    })
}

fn looks_like_host(run: &str) -> bool {
    let labels: Vec<&str> = run.trim_matches('.').split('.').collect();
    let numeric = |label: &&str| label.chars().all(|c| c.is_ascii_digit());
    let Some(last) = labels.last().filter(|_| labels.len() > 1 && labels.iter().all(|label| !label.is_empty())) else {
        return false;
    };
    let named = last.chars().count() > 1 && last.chars().all(|c| c.is_alphabetic() || c == '-');
    named || last.starts_with("xn--") || (labels.len() == 4 && labels.iter().all(numeric))
}

fn bare(host: &str) -> String {
    host.strip_prefix("www.").unwrap_or(host).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_another_address_misleads() {
        for (text, target) in [
            ("https://good.com", "https://evil.com"),
            ("good.com/login", "https://evil.com/good.com"),
            ("see GOOD.com", "https://good.com.evil.net"),
            ("1.2.3.4", "http://4.3.2.1"),
            ("good.com@evil.com", "https://evil.com"),
            ("here", "https://good.com@evil.com"),
            ("boss@good.com", "mailto:thief@evil.com"),
            ("good。com", "https://evil.com"),
        ] {
            assert!(misleads(text, target), "{text} {target}");
        }
    }

    #[test]
    fn honest_text_does_not() {
        for (text, target) in [
            ("the manual", "https://good.com/manual"),
            ("https://www.good.com/a/file.html", "https://good.com/a/file.html"),
            ("good.com", "https://GOOD.com"),
            ("version 3.5, e.g. this", "https://good.com"),
            ("li@good.com", "mailto:li@good.com"),
        ] {
            assert!(!misleads(text, target), "{text} {target}");
        }
    }

    #[test]
    fn only_web_and_mail_addresses_may_be_followed() {
        let may =
            ["https://a", "HTTP://a", "mailto:a@b", "javascript:alert(1)", "data:x", "lark://x", "/etc", "#a", ""];
        assert_eq!(may.map(may_be_followed), [true, true, true, false, false, false, false, false, false]);
    }
}
