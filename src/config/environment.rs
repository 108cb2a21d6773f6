//! The environment as a configuration layer: `MAGPIE_A__B__C` is `a.b.c`.

use std::collections::BTreeMap;
use std::path::Path;

use super::problem::{ConfigError, Origin, Problem};
use super::schema::{self, Place, Schema};
use super::tree::{Kind, Node, Table};

const PREFIX: &str = "MAGPIE_";

/// A snapshot of the environment with `.env` below it.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The process's environment; what it lacks is taken from the file `dotenv`, if that exists.
    ///
    /// # Errors
    /// The file is there and can't be parsed.
    pub fn read(dotenv: &Path) -> Result<Self, ConfigError> {
        let mut variables = BTreeMap::new();
        if dotenv.exists() {
            let unreadable = |error: dotenvy::Error| {
                let line = Origin::File { path: dotenv.display().to_string().into(), line: 1 };
                // The error of a malformed line quotes the line, which may hold a secret.
                let what = match error {
                    dotenvy::Error::Io(error) => format!("can't be read: {error}"),
                    _ => "has a line that is not NAME=value".to_owned(),
                };
                ConfigError::one(line, what)
            };
            for pair in dotenvy::from_path_iter(dotenv).map_err(unreadable)? {
                let (name, value) = pair.map_err(unreadable)?;
                variables.insert(name, value);
            }
        }
        variables.extend(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))));
        Ok(Self { variables })
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The variables that set a key: with the prefix and at least one `__`. A single underscore is left alone, since
    /// orchestrators set names like `MAGPIE_PORT` for a service called magpie.
    fn settings(&self) -> Vec<(Vec<String>, &str, &str)> {
        let mut settings: Vec<_> = self
            .variables
            .iter()
            .filter_map(|(name, value)| {
                let path = name.strip_prefix(PREFIX).filter(|rest| rest.contains("__"))?;
                Some((path.split("__").map(str::to_lowercase).collect(), name.as_str(), value.as_str()))
            })
            .collect();
        // List elements in the order of their numbers: 2 before 10.
        settings.sort_by_key(|(path, ..): &(Vec<String>, _, _)| {
            path.iter().map(|part| (part.parse::<usize>().unwrap_or(0), part.clone())).collect::<Vec<_>>()
        });
        settings
    }

    /// Variables that look like keys with a single underscore for a level, and so have no effect.
    #[must_use]
    pub fn near_misses(&self, keys: &[String]) -> Vec<(String, String)> {
        let variables = self.variables.keys().filter(|name| !name.contains("__"));
        variables
            .filter_map(|name| {
                let flat = name.strip_prefix(PREFIX)?.to_lowercase();
                let key = keys.iter().find(|key| key.replace('.', "_") == flat)?;
                Some((name.clone(), format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())))
            })
            .collect()
    }

    /// Lays the variables on `root`.
    pub(super) fn apply(&self, root: &mut Node, schema: &Schema) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(url) = self.get("DATABASE_URL").filter(|url| !url.is_empty()) {
            let path = ["store".to_owned(), "url".to_owned()];
            problems.extend(Assignment { schema, name: "DATABASE_URL", value: url }.assign(root, &path).err());
        }
        for (path, name, value) in self.settings() {
            problems.extend(Assignment { schema, name, value }.assign(root, &path).err());
        }
        problems
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect() }
    }
}

struct Assignment<'a> {
    schema: &'a Schema,
    name: &'a str,
    value: &'a str,
}

impl Assignment<'_> {
    fn assign(&self, root: &mut Node, path: &[String]) -> Result<(), Problem> {
        let mut node = root;
        let mut place = self.schema.root();
        let mut walked: Vec<String> = Vec::new();
        for part in path {
            let key = match &node.kind {
                Kind::Table(bots) if schema::is_bots(&walked) => bot_name(bots, part),
                _ => part.clone(),
            };
            let Some(below) = self.schema.child(place, &walked, &key) else {
                let what = self.unknown(place, &walked, &key);
                walked.push(key);
                return Err(self.problem(&walked, what));
            };
            walked.push(key.clone());
            node = self.step(node, below, &key, &walked)?;
            place = below;
        }
        if let Place::Known(Node { kind: kind @ (Kind::Table(_) | Kind::Array(_)), .. }) = place {
            let next = if matches!(kind, Kind::Array(_)) { "0" } else { "KEY" };
            return Err(self.problem(&walked, format!("is {}; set {}__{next} and so on", kind.type_name(), self.name)));
        }
        *node = Node::new(Kind::String(self.value.to_owned()), self.origin());
        Ok(())
    }

    /// The node under `key`, made if it is not there yet.
    fn step<'n>(
        &self,
        node: &'n mut Node,
        place: Place<'_>,
        key: &str,
        walked: &[String],
    ) -> Result<&'n mut Node, Problem> {
        let fresh = || {
            let kind = match place {
                Place::Known(Node { kind: Kind::Table(_), .. }) => Kind::Table(Table::new()),
                Place::Known(Node { kind: Kind::Array(_), .. }) => Kind::Array(Vec::new()),
                _ => Kind::String(String::new()),
            };
            Node::new(kind, self.origin())
        };
        match &mut node.kind {
            Kind::Table(table) => Ok(table.entry(key.to_owned()).or_insert_with(fresh)),
            Kind::Array(items) => {
                let index: usize = key.parse().unwrap_or(usize::MAX);
                if index > items.len() {
                    let what = format!("leaves a gap in the list; the next free number is {}", items.len());
                    return Err(self.problem(walked, what));
                }
                if index == items.len() {
                    items.push(fresh());
                }
                Ok(&mut items[index])
            }
            _ => Err(self.problem(walked, "nothing can stand below it".to_owned())),
        }
    }

    fn unknown(&self, place: Place<'_>, walked: &[String], key: &str) -> String {
        match place {
            Place::Known(Node { kind: Kind::Array(_), .. }) => {
                format!("elements of a list are named by number, not `{key}`")
            }
            _ => self.schema.unknown(place, walked, key),
        }
    }

    fn origin(&self) -> Origin {
        Origin::Env { name: self.name.to_owned() }
    }

    fn problem(&self, path: &[String], what: String) -> Problem {
        Problem { origin: self.origin(), key: path.join("."), what }
    }
}

/// The bot that a part of a variable's name means: shells allow no hyphen there, so an underscore may stand for one.
fn bot_name(bots: &Table, part: &str) -> String {
    if bots.contains_key(part) {
        return part.to_owned();
    }
    bots.keys().find(|name| name.replace('-', "_") == part).cloned().unwrap_or_else(|| part.to_owned())
}
