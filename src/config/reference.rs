//! Values that stand elsewhere: `${NAME}` in the environment, `file:PATH` in a mounted secret.

use super::environment::Environment;
use super::problem::{Origin, Problem};
use super::schema::{Place, Schema};
use super::tree::{Kind, Node};

/// Whether a string names another place instead of being the value.
pub(super) fn is_reference(text: &str) -> bool {
    variable(text).is_some() || text.starts_with("file:")
}

/// The name in `${NAME}`. Only a whole value counts, so that a prompt may hold a dollar sign.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then_some(name)
}

/// Replaces references by what they name and gives every value the type of its key.
pub(super) fn resolve(root: &mut Node, schema: &Schema, environment: &Environment) -> Vec<Problem> {
    let mut resolver = Resolver { schema, environment, problems: Vec::new() };
    resolver.below(schema.root(), root, &mut Vec::new());
    resolver.problems
}

struct Resolver<'a> {
    schema: &'a Schema,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Resolver<'a> {
    fn below(&mut self, place: Place<'a>, node: &mut Node, path: &mut Vec<String>) {
        let children: Vec<(String, &mut Node)> = match &mut node.kind {
            Kind::Table(table) => table.iter_mut().map(|(key, child)| (key.clone(), child)).collect(),
            Kind::Array(items) => items.iter_mut().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
            _ => return self.leaf(place, node, path),
        };
        for (key, child) in children {
            if let Some(below) = self.schema.child(place, path, &key) {
                path.push(key);
                self.below(below, child, path);
                path.pop();
            }
        }
    }

    fn leaf(&mut self, place: Place<'a>, node: &mut Node, path: &[String]) {
        let Kind::String(text) = &node.kind else { return };
        if node.origin == Origin::Default {
            return;
        }
        let resolved = match self.look_up(text) {
            Ok(resolved) => resolved,
            Err(what) => return self.report(node, path, what),
        };
        let wanted = match place {
            Place::Known(known) => &known.kind,
            Place::Text => &Kind::String(String::new()),
        };
        match typed(&resolved, wanted) {
            Some(kind) => node.kind = kind,
            None => self.report(node, path, format!("must be {}", wanted.type_name())),
        }
    }

    fn look_up(&self, text: &str) -> Result<String, String> {
        if let Some(name) = variable(text) {
            return self
                .environment
                .get(name)
                .map(str::to_owned)
                .ok_or_else(|| format!("takes its value from the environment variable {name}, which is not set"));
        }
        match text.strip_prefix("file:") {
            Some(path) => std::fs::read_to_string(path)
                .map(|content| content.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("takes its value from the file {path}, which can't be read: {error}")),
            None => Ok(text.to_owned()),
        }
    }

    fn report(&mut self, node: &Node, path: &[String], what: String) {
        self.problems.push(Problem { origin: node.origin.clone(), key: path.join("."), what });
    }
}

fn typed(text: &str, wanted: &Kind) -> Option<Kind> {
    match wanted {
        Kind::Integer(_) => text.trim().parse().ok().map(Kind::Integer),
        Kind::Float(_) => text.trim().parse().ok().map(Kind::Float),
        Kind::Bool(_) => text.trim().parse().ok().map(Kind::Bool),
        Kind::String(_) => Some(Kind::String(text.to_owned())),
        Kind::Table(_) | Kind::Array(_) | Kind::Date => None,
    }
}
