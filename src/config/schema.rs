//! Which keys there are, of which type: read off `config/default.toml`, so the list exists once.

use super::problem::{Origin, Problem};
use super::tree::{self, Kind, Node};

/// The built-in defaults.
pub(super) const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// The known keys. `[bots."*"]` and the one `[[model.cloud]]` are patterns for the real ones.
pub(super) struct Schema {
    root: Node,
}

/// What stands at a place of the configuration.
#[derive(Clone, Copy)]
pub(super) enum Place<'s> {
    /// A key with its default.
    Known(&'s Node),
    /// An element of a list of strings.
    Text,
}

impl Schema {
    pub fn load() -> Self {
        let root = tree::parse(DEFAULT_TOML, None).expect("config/default.toml is part of the program and is valid");
        Self { root }
    }

    /// The lowest layer: all defaults, without the patterns.
    pub fn defaults(&self) -> Node {
        let mut root = self.root.clone();
        if let Some(table) = root.table_mut() {
            table.insert("bots".to_owned(), Node::new(Kind::Table(tree::Table::new()), Origin::Default));
            if let Some(model) = table.get_mut("model").and_then(Node::table_mut) {
                model.insert("cloud".to_owned(), Node::new(Kind::Array(Vec::new()), Origin::Default));
            }
        }
        root
    }

    pub fn root(&self) -> Place<'_> {
        Place::Known(&self.root)
    }

    /// What a bot's table starts from.
    pub fn bot(&self) -> &Node {
        self.root.at("bots.*").expect("default.toml has the pattern of a bot")
    }

    /// What a cloud endpoint's table starts from.
    pub fn cloud(&self) -> &Node {
        match self.root.at("model.cloud").map(|node| &node.kind) {
            Some(Kind::Array(items)) => items.first().expect("default.toml has the pattern of an endpoint"),
            _ => unreachable!("default.toml has a list of endpoints"),
        }
    }

    /// The place one step below. `path` is where we stand.
    pub fn child<'s>(&'s self, place: Place<'s>, path: &[String], key: &str) -> Option<Place<'s>> {
        let Place::Known(node) = place else { return None };
        match &node.kind {
            Kind::Table(_) if is_bots(path) => Some(Place::Known(self.bot())),
            Kind::Table(_) if is_bot(path) && key == "chat" => self.root.at("chat").map(Place::Known),
            Kind::Table(_) if is_bot(path) && key == "groups" => self.root.at("bots").map(Place::Known),
            Kind::Table(_) if is_groups(path) => self.root.at("chat").map(Place::Known),
            Kind::Table(table) => table.get(key).map(Place::Known),
            Kind::Array(items) if key.parse::<usize>().is_ok() => {
                Some(items.iter().find(|item| item.table().is_some()).map_or(Place::Text, Place::Known))
            }
            _ => None,
        }
    }

    /// The dotted paths of all single keys outside the patterns.
    pub fn keys(&self) -> Vec<String> {
        fn below(node: &Node, path: &str, keys: &mut Vec<String>) {
            match node.table() {
                Some(table) => table.iter().for_each(|(key, child)| below(child, &format!("{path}.{key}"), keys)),
                None => keys.push(path.trim_start_matches('.').to_owned()),
            }
        }
        let mut keys = Vec::new();
        below(&self.defaults(), "", &mut keys);
        keys
    }

    /// Why `key` can't stand below `path`, with the nearest key that can.
    pub fn unknown(&self, place: Place<'_>, path: &[String], key: &str) -> String {
        let mut known: Vec<&str> = match place {
            Place::Known(Node { kind: Kind::Table(table), .. }) => table.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        if is_bot(path) {
            known.extend(["chat", "groups"]);
        }
        let nearest = known
            .iter()
            .map(|candidate| (strsim::damerau_levenshtein(candidate, key), *candidate))
            .min()
            .filter(|(distance, candidate)| *distance <= candidate.len().max(key.len()).div_ceil(2));
        match nearest {
            Some((_, candidate)) => format!("unknown key; did you mean `{candidate}`?"),
            None if known.is_empty() => "unknown key; nothing can stand below it".to_owned(),
            None => format!("unknown key; known here: {}", known.join(", ")),
        }
    }

    /// Finds keys that do not exist and values that have the wrong shape.
    pub fn check(&self, layer: &Node) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_below(self.root(), layer, &mut Vec::new(), &mut problems);
        problems
    }

    fn check_below(&self, place: Place<'_>, node: &Node, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
        let mut report = |path: &[String], what: String| {
            problems.push(Problem { origin: node.origin.clone(), key: path.join("."), what });
        };
        let expected = match place {
            Place::Known(known) => &known.kind,
            Place::Text => &Kind::String(String::new()),
        };
        if !shape_fits(expected, &node.kind) {
            return report(path, format!("must be {}, is {}", expected.type_name(), node.kind.type_name()));
        }
        let children: Vec<(String, &Node)> = match &node.kind {
            Kind::Table(table) => table.iter().map(|(key, child)| (key.clone(), child)).collect(),
            Kind::Array(items) => items.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
            _ => return,
        };
        for (key, child) in children {
            let below = self.child(place, path, &key);
            path.push(key);
            match below {
                Some(below) => self.check_below(below, child, path, problems),
                None => {
                    let (key, parent) = path.split_last().expect("just pushed");
                    let what = self.unknown(place, parent, key);
                    problems.push(Problem { origin: child.origin.clone(), key: path.join("."), what });
                }
            }
            path.pop();
        }
    }
}

/// Strings are let through where a number or a flag is wanted only as `${NAME}` or `file:PATH`.
fn shape_fits(expected: &Kind, given: &Kind) -> bool {
    match (expected, given) {
        (Kind::Float(_), Kind::Integer(_)) => true,
        (Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_), Kind::String(text)) => super::reference::is_reference(text),
        _ => std::mem::discriminant(expected) == std::mem::discriminant(given),
    }
}

pub(super) fn is_bots(path: &[String]) -> bool {
    path.len() == 1 && path[0] == "bots"
}

fn is_bot(path: &[String]) -> bool {
    path.len() == 2 && path[0] == "bots"
}

/// `[bots.NAME.groups]`, where keys are chat ids.
fn is_groups(path: &[String]) -> bool {
    path.len() == 3 && path[0] == "bots" && path[2] == "groups"
}
