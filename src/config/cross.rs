//! Conditions between keys: what a bot must have on its platform, what must differ, what must come in pairs.

use std::collections::BTreeMap;

use super::problem::{Origin, Problem};
use super::tree::{Kind, Node, Table};

const FEISHU_KEYS: &[&str] = &["app_id", "app_secret", "verification_token", "encrypt_key"];
const DINGTALK_KEYS: &[&str] = &[
    "client_id",
    "client_secret",
    "robot_code",
    "callback_token",
    "callback_aes_key",
    "corp_id",
    "card_template_id",
    "legacy_base_url",
    "webhook_hosts",
    "card_callback_secret",
];

/// Looks at a merged tree whose single values are all right.
pub(super) fn check(root: &Node) -> Vec<Problem> {
    let mut found = Findings { root, problems: Vec::new() };
    found.bots();
    found.clouds();
    found.pair("server.tls.cert", "server.tls.key");
    found.pair("model.transcription.base_url", "model.transcription.model");
    found.timeouts();
    found.problems
}

struct Findings<'r> {
    root: &'r Node,
    problems: Vec<Problem>,
}

impl<'r> Findings<'r> {
    fn bots(&mut self) {
        let Some(bots) = self.root.at("bots").and_then(Node::table) else { return };
        let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (name, bot) in bots {
            let Some(keys) = bot.table() else { continue };
            if !is_bot_name(name) {
                let what = "a bot's name is made of a-z, 0-9, _ and -, and begins with a letter or digit";
                self.report(&bot.origin, format!("bots.{name}"), what);
            }
            let platform = text(keys, "platform");
            let (needed, foreign, identity): (&[&str], _, _) = if platform == "dingtalk" {
                (&["client_id", "client_secret"], FEISHU_KEYS, "client_id")
            } else {
                (&["app_id", "app_secret", "verification_token"], DINGTALK_KEYS, "app_id")
            };
            for key in needed {
                if text(keys, key).is_empty() {
                    let what = format!("is missing; a {platform} bot can't do without it");
                    self.report(&bot.origin, format!("bots.{name}.{key}"), what);
                }
            }
            for key in foreign {
                if let Some(node) = keys.get(*key).filter(|node| node.origin != Origin::Default && is_set(node)) {
                    self.report(&node.origin, format!("bots.{name}.{key}"), format!("has no meaning on {platform}"));
                }
            }
            let account = text(keys, identity);
            if !account.is_empty()
                && let Some(other) = owners.insert((platform, account), name)
            {
                let what = format!("is the same as bots.{other}.{identity}; one app serves one bot");
                self.report(&keys[identity].origin, format!("bots.{name}.{identity}"), what);
            }
            self.bot_model(name, keys);
            if platform == "dingtalk" {
                self.pair(&format!("bots.{name}.callback_token"), &format!("bots.{name}.callback_aes_key"));
            }
        }
    }

    /// A bot's model is one there is.
    fn bot_model(&mut self, name: &str, keys: &Table) {
        let wanted = text(keys, "model");
        let clouds = self.cloud_names();
        if !matches!(wanted, "" | "auto" | "local") && !clouds.contains(&wanted) {
            let mut choices = vec!["auto", "local"];
            choices.extend(&clouds);
            let what = format!("is \"{wanted}\"; must be one of {}", choices.join(", "));
            self.report(&keys["model"].origin, format!("bots.{name}.model"), what);
        }
        for (place, chat) in chat_tables(keys) {
            let models = match chat.get("models").map(|node| &node.kind) {
                Some(Kind::Array(models)) => models.as_slice(),
                _ => &[],
            };
            for node in models {
                let Kind::String(model) = &node.kind else { continue };
                if model != "local" && !clouds.contains(&model.as_str()) {
                    let what = format!("names \"{model}\"; must be local or the name of a [[model.cloud]]");
                    self.report(&node.origin, format!("bots.{name}.{place}.models"), what);
                }
            }
        }
    }

    fn clouds(&mut self) {
        let root = self.root;
        let mut seen: Vec<&str> = Vec::new();
        for (index, cloud) in cloud_tables(root).enumerate() {
            let name = text(cloud, "name");
            let at = |key: &str| format!("model.cloud.{index}.{key}");
            if matches!(name, "auto" | "local") {
                self.report(&cloud["name"].origin, at("name"), format!("\"{name}\" is taken; choose another name"));
            }
            if seen.contains(&name) {
                self.report(&cloud["name"].origin, at("name"), format!("\"{name}\" is there twice"));
            }
            seen.push(name);
            if text(cloud, "base_url").is_empty() {
                self.report(&cloud["name"].origin, at("base_url"), "is missing; give the endpoint's address");
            }
        }
    }

    fn cloud_names(&self) -> Vec<&'r str> {
        cloud_tables(self.root).map(|cloud| text(cloud, "name")).collect()
    }

    fn timeouts(&mut self) {
        let number = |key: &str| match self.root.at(key).map(|node| (&node.kind, &node.origin)) {
            Some((Kind::Integer(number), origin)) => Some((*number, origin.clone())),
            _ => None,
        };
        let (Some((first, _)), Some((total, origin))) =
            (number("model.request_timeout_ms"), number("model.total_timeout_ms"))
        else {
            return;
        };
        if total < first {
            let what = format!("is {total}; must not be under model.request_timeout_ms ({first})");
            self.report(&origin, "model.total_timeout_ms".to_owned(), what);
        }
    }

    fn pair(&mut self, one: &str, other: &str) {
        let (Some(first), Some(second)) = (self.root.at(one), self.root.at(other)) else { return };
        match (is_set(first), is_set(second)) {
            (true, false) => self.report(&first.origin, other.to_owned(), format!("is missing; {one} is set")),
            (false, true) => self.report(&second.origin, one.to_owned(), format!("is missing; {other} is set")),
            _ => {}
        }
    }

    fn report(&mut self, origin: &Origin, key: String, what: impl Into<String>) {
        self.problems.push(Problem { origin: origin.clone(), key, what: what.into() });
    }
}

fn cloud_tables(root: &Node) -> impl Iterator<Item = &Table> {
    let items = match root.at("model.cloud").map(|node| &node.kind) {
        Some(Kind::Array(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(Node::table)
}

/// The chat sections of a bot: its own and those of single groups.
fn chat_tables(bot: &Table) -> Vec<(String, &Table)> {
    let own = bot.get("chat").and_then(Node::table).map(|chat| ("chat".to_owned(), chat));
    let groups = bot.get("groups").and_then(Node::table).into_iter().flatten();
    let groups = groups.filter_map(|(id, group)| Some((format!("groups.{id}"), group.table()?)));
    own.into_iter().chain(groups).collect()
}

fn text<'t>(table: &'t Table, key: &str) -> &'t str {
    match table.get(key).map(|node| &node.kind) {
        Some(Kind::String(text)) => text.trim(),
        _ => "",
    }
}

fn is_set(node: &Node) -> bool {
    match &node.kind {
        Kind::String(text) => !text.trim().is_empty(),
        Kind::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn is_bot_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().enumerate().all(|(i, byte)| plain(byte) || i > 0 && matches!(byte, b'_' | b'-')) && !name.is_empty()
}
