//! What each key may hold: one table, from which every error takes its text.

use std::net::ToSocketAddrs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::IpNet;

use super::problem::{Origin, Problem};
use super::size::ByteSize;
use super::tree::{Kind, Node};

/// A condition on one value. Strings may always be empty unless the rule says otherwise.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// From, to.
    Integer(i64, i64),
    /// From, to.
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    /// `host:port`, never empty.
    Address,
    /// An absolute URL with one of these schemes.
    Url(&'static [&'static str]),
    StoreUrl,
    Network,
    /// A size from 1 MiB to so many bytes.
    Bytes(u64),
    /// A secret of at least so many bytes.
    LongSecret(usize),
    /// A secret of exactly so many letters and digits.
    AesKey(usize),
    /// A secret: 32 bytes in base64.
    Key32,
    Secret,
    Sha256,
    NotEmpty,
    /// A host name without scheme, port and path.
    Host,
    LogLevel,
    /// A folder that exists.
    Folder,
    /// A language by ISO 639.
    Language,
}

/// `*` stands for any bot or list index.
const RULES: &[(&str, Rule)] = &[
    ("server.listen", Rule::Address),
    ("server.admin_listen", Rule::Address),
    ("server.public_url", Rule::Url(&["https", "http"])),
    ("server.max_body_bytes", Rule::Integer(1024, 64 << 20)),
    ("server.shutdown_grace_seconds", Rule::Integer(0, 600)),
    ("server.trusted_proxies.*", Rule::Network),
    ("server.timestamp_window_seconds", Rule::Integer(60, 86_400)),
    ("server.request_timeout_seconds", Rule::Integer(1, 300)),
    ("server.keep_alive_seconds", Rule::Integer(0, 3600)),
    ("server.outbound_proxy", Rule::Url(&["http", "https", "socks5", "socks5h"])),
    ("store.url", Rule::StoreUrl),
    ("store.max_connections", Rule::Integer(1, 1000)),
    ("store.encryption_key", Rule::Key32),
    ("store.history_retention_days", Rule::Integer(0, 36_500)),
    ("store.dedupe_hours", Rule::Integer(8, 8760)),
    ("bots.*.platform", Rule::OneOf(&["feishu", "lark", "dingtalk"])),
    ("bots.*.transport", Rule::OneOf(&["webhook", "stream"])),
    ("bots.*.app_secret", Rule::Secret),
    ("bots.*.verification_token", Rule::Secret),
    ("bots.*.encrypt_key", Rule::Secret),
    ("bots.*.client_secret", Rule::Secret),
    ("bots.*.callback_token", Rule::Secret),
    ("bots.*.callback_aes_key", Rule::AesKey(43)),
    ("bots.*.card_callback_secret", Rule::Secret),
    ("bots.*.base_url", Rule::Url(&["https", "http"])),
    ("bots.*.legacy_base_url", Rule::Url(&["https", "http"])),
    ("bots.*.webhook_hosts.*", Rule::Host),
    ("bots.*.budget.calls_per_second", Rule::Integer(0, 10_000)),
    ("bots.*.budget.calls_per_month", Rule::Integer(0, 1_000_000_000)),
    ("bots.*.chat.session_scope", Rule::OneOf(&["chat", "chat_user", "thread"])),
    ("bots.*.chat.session_idle_minutes", Rule::Integer(0, 525_600)),
    ("bots.*.chat.history_messages", Rule::Integer(0, 1000)),
    ("bots.*.chat.group_policy", Rule::OneOf(&["mention", "all", "allowlist", "off"])),
    ("bots.*.chat.direct_policy", Rule::OneOf(&["open", "allowlist", "off"])),
    ("bots.*.chat.card_update_interval_ms", Rule::Integer(100, 60_000)),
    ("bots.*.chat.max_answer_age_minutes", Rule::Integer(0, 525_600)),
    ("bots.*.chat.busy_policy", Rule::OneOf(&["queue", "merge", "interrupt"])),
    ("bots.*.chat.debounce_ms", Rule::Integer(100, 60_000)),
    ("bots.*.chat.group_context_messages", Rule::Integer(0, 100)),
    ("bots.*.chat.follow_up_questions", Rule::Integer(0, 3)),
    ("bots.*.language", Rule::OneOf(&["auto", "zh", "en"])),
    ("cards.folder", Rule::Folder),
    ("files.max_bytes", Rule::Bytes(100 << 20)),
    ("files.max_files", Rule::Integer(0, 20)),
    ("files.max_characters", Rule::Integer(1000, 1_000_000)),
    ("model.strategy", Rule::OneOf(&["local_first", "cloud_first", "local_only", "cloud_only"])),
    ("model.request_timeout_ms", Rule::Integer(100, 600_000)),
    ("model.total_timeout_ms", Rule::Integer(1000, 3_600_000)),
    ("model.max_concurrent", Rule::Integer(1, 10_000)),
    ("model.queue_limit", Rule::Integer(0, 100_000)),
    ("model.local.sha256", Rule::Sha256),
    ("model.local.context_tokens", Rule::Integer(128, 1 << 20)),
    ("model.local.max_tokens", Rule::Integer(1, 1 << 20)),
    ("model.local.temperature", Rule::Number(0.0, 2.0)),
    ("model.local.top_p", Rule::Number(0.000_001, 1.0)),
    ("model.local.max_batch_size", Rule::Integer(1, 1024)),
    ("model.local.cache_bytes", Rule::Bytes(u64::MAX)),
    ("model.local.threads", Rule::Integer(0, 1024)),
    ("model.local.cache_type", Rule::OneOf(&["f16", "q8"])),
    ("model.local.quantization", Rule::OneOf(&["", "q8_0", "q4_k"])),
    ("model.local.device", Rule::OneOf(&["auto", "cpu", "cuda", "metal"])),
    ("model.embedding.max_tokens", Rule::Integer(8, 8192)),
    ("model.embedding.batch_size", Rule::Integer(1, 1024)),
    ("model.embedding.queue_limit", Rule::Integer(1, 10_000)),
    ("model.transcription.base_url", Rule::Url(&["https", "http"])),
    ("model.transcription.api_key", Rule::Secret),
    ("model.transcription.language", Rule::Language),
    ("model.transcription.timeout_seconds", Rule::Integer(1, 600)),
    ("model.cloud.*.name", Rule::NotEmpty),
    ("model.cloud.*.base_url", Rule::Url(&["https", "http"])),
    ("model.cloud.*.api_key", Rule::Secret),
    ("model.cloud.*.model", Rule::NotEmpty),
    ("model.cloud.*.max_retries", Rule::Integer(0, 10)),
    ("model.cloud.*.cooldown_seconds", Rule::Integer(0, 3600)),
    ("auth.jwt_secret", Rule::LongSecret(32)),
    ("auth.token_ttl_seconds", Rule::Integer(60, 31_536_000)),
    ("auth.key_rotation_days", Rule::Integer(1, 3650)),
    ("auth.keep_key_versions", Rule::Integer(1, 100)),
    ("auth.admin_token", Rule::LongSecret(16)),
    ("auth.admin_allow.*", Rule::Network),
    ("auth.api_allow.*", Rule::Network),
    ("limits.user_messages_per_minute", Rule::Integer(0, 100_000)),
    ("limits.api_requests_per_minute", Rule::Integer(0, 1_000_000)),
    ("limits.audit_retention_days", Rule::Integer(1, 36_500)),
    ("log.format", Rule::OneOf(&["text", "json"])),
    ("log.level", Rule::LogLevel),
];

/// Checks every value of a merged tree against its rule.
pub(super) fn check(root: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    below(root, &root.origin, &mut Vec::new(), &mut problems);
    problems
}

/// `near` is where the nearest thing above stands that somebody wrote: the place to name for a missing key.
fn below(node: &Node, near: &Origin, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let near = if node.origin == Origin::Default { near } else { &node.origin };
    let children: Vec<(String, &Node)> = match &node.kind {
        Kind::Table(table) => table.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Kind::Array(items) => items.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
        leaf => {
            if let Some(rule) = rule_of(path)
                && !rule.accepts(leaf)
            {
                let what = format!("{}must be {}", rule.shown(leaf), rule.allowed());
                problems.push(Problem { origin: near.clone(), key: path.join("."), what });
            }
            return;
        }
    };
    for (key, child) in children {
        path.push(key);
        below(child, near, path, problems);
        path.pop();
    }
}

/// The rule of a key; a group's keys follow those of the bot's chat section.
fn rule_of(path: &[String]) -> Option<Rule> {
    let key: Vec<&str> = match path {
        [bots, bot, groups, _, rest @ ..] if bots == "bots" && groups == "groups" => {
            [bots, bot, "chat"].into_iter().chain(rest.iter().map(String::as_str)).collect()
        }
        _ => path.iter().map(String::as_str).collect(),
    };
    let fits = |pattern: &str| {
        let mut parts = pattern.split('.');
        key.iter().all(|key| parts.next().is_some_and(|part| part == "*" || part == *key)) && parts.next().is_none()
    };
    RULES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
}

impl Rule {
    fn accepts(self, value: &Kind) -> bool {
        match (self, value) {
            (Self::Integer(from, to), Kind::Integer(number)) => (from..=to).contains(number),
            (Self::Number(from, to), Kind::Float(number)) => (from..=to).contains(number),
            #[expect(clippy::cast_precision_loss, reason = "the ranges of these keys are tiny")]
            (Self::Number(from, to), Kind::Integer(number)) => (from..=to).contains(&(*number as f64)),
            (rule, Kind::String(text)) => rule.accepts_text(text),
            _ => false,
        }
    }

    fn accepts_text(self, text: &str) -> bool {
        match self {
            Self::OneOf(choices) => choices.contains(&text),
            Self::Address => text.to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some()),
            Self::Url(schemes) => text.is_empty() || is_url(text, schemes),
            Self::StoreUrl => is_store_url(text),
            Self::Network => text.parse::<IpNet>().is_ok(),
            Self::Bytes(most) => text.parse::<ByteSize>().is_ok_and(|size| (1 << 20..=most).contains(&size.bytes())),
            Self::LongSecret(least) => text.is_empty() || text.len() >= least,
            Self::AesKey(length) => {
                text.is_empty() || text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            Self::Key32 => text.is_empty() || BASE64.decode(text).is_ok_and(|key| key.len() == 32),
            Self::Secret => true,
            Self::Sha256 => text.is_empty() || text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Self::NotEmpty => !text.trim().is_empty(),
            Self::Host => {
                !text.is_empty() && reqwest::Url::parse(&format!("http://{text}")).is_ok_and(|u| is_bare(&u, text))
            }
            Self::LogLevel => text.split(',').all(is_directive),
            Self::Folder => text.is_empty() || std::path::Path::new(text).is_dir(),
            Self::Language => {
                text.is_empty() || (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
            }
            Self::Integer(..) | Self::Number(..) => false,
        }
    }

    fn allowed(self) -> String {
        match self {
            Self::Integer(from, to) => format!("an integer from {from} to {to}"),
            Self::Number(from, to) => format!("a number from {from} to {to}"),
            Self::OneOf(choices) => format!("one of {}", choices.join(", ")),
            Self::Address => "an address with a port, such as 127.0.0.1:8080 or [::]:8080".to_owned(),
            Self::Url(schemes) => format!("empty or a URL that begins with {}://", schemes.join(":// or ")),
            Self::StoreUrl => "sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned(),
            Self::Network => "an address range such as 10.0.0.0/8 or ::1/128".to_owned(),
            Self::Bytes(u64::MAX) => "a size of at least 1MiB, such as 512MiB, 1GB or 1073741824".to_owned(),
            Self::Bytes(most) => format!("a size from 1MiB to {}MiB, such as 20MB", most >> 20),
            Self::LongSecret(least) => format!("empty or at least {least} bytes long"),
            Self::AesKey(length) => format!("empty or exactly {length} letters and digits"),
            Self::Key32 => "empty or 32 bytes in base64 (openssl rand -base64 32)".to_owned(),
            Self::Secret => "text".to_owned(),
            Self::Sha256 => "empty or 64 hexadecimal digits".to_owned(),
            Self::NotEmpty => "set".to_owned(),
            Self::Host => "a host name without scheme, port and path".to_owned(),
            Self::Language => "empty or a language's code of two or three letters, such as zh or en".to_owned(),
            Self::Folder => "empty or a folder that exists".to_owned(),
            Self::LogLevel => {
                "error, warn, info, debug, trace, or directives such as info,magpie_store=debug".to_owned()
            }
        }
    }

    /// The refused value for the error, unless it is, or may hold, a secret.
    fn shown(self, value: &Kind) -> String {
        match (self, value) {
            (Self::LongSecret(_) | Self::AesKey(_) | Self::Key32 | Self::Secret | Self::StoreUrl | Self::Url(_), _) => {
                String::new()
            }
            (_, Kind::Integer(number)) => format!("is {number}; "),
            (_, Kind::Float(number)) => format!("is {number}; "),
            (_, Kind::String(text)) => format!("is \"{text}\"; "),
            _ => String::new(),
        }
    }
}

/// `info`, or `crate::module=debug`.
fn is_directive(text: &str) -> bool {
    text.rsplit('=').next().is_some_and(|level| level.trim().parse::<tracing::level_filters::LevelFilter>().is_ok())
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

fn is_store_url(text: &str) -> bool {
    match text.split_once("://") {
        Some(("sqlite", path)) => !path.is_empty(),
        Some(("postgres" | "postgresql", _)) => is_url(text, &["postgres", "postgresql"]),
        _ => false,
    }
}

fn is_bare(url: &reqwest::Url, text: &str) -> bool {
    url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(text)) && url.port().is_none()
}
