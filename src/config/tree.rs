//! A configuration layer as a tree whose every node knows where it came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Origin};

/// A value with its origin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub kind: Kind,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Table(Table),
    Array(Vec<Node>),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// TOML has dates; no key takes one.
    Date,
}

pub(super) type Table = BTreeMap<String, Node>;

impl Kind {
    /// What a person calls it in an error.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::Array(_) => "a list",
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Date => "a date",
        }
    }
}

impl Node {
    pub fn new(kind: Kind, origin: Origin) -> Self {
        Self { kind, origin }
    }

    pub fn table(&self) -> Option<&Table> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The node at a dotted path of tables.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, key| node.table()?.get(key))
    }

    /// Lays `over` on this node: tables are merged key by key, everything else is replaced.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.kind, over.kind) {
            (Kind::Table(below), Kind::Table(above)) => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(old) => old.merge(node),
                        None => {
                            below.insert(key, node);
                        }
                    }
                }
            }
            (kind, above) => *kind = above,
        }
        if over.origin != Origin::Default {
            self.origin = over.origin;
        }
    }

    /// The same value as serde understands it; origins are dropped.
    pub fn to_value(&self) -> toml::Value {
        match &self.kind {
            Kind::Table(table) => table.iter().map(|(k, v)| (k.clone(), v.to_value())).collect::<toml::Table>().into(),
            Kind::Array(nodes) => nodes.iter().map(Self::to_value).collect::<Vec<_>>().into(),
            Kind::String(text) => text.clone().into(),
            Kind::Integer(number) => (*number).into(),
            Kind::Float(number) => (*number).into(),
            Kind::Bool(flag) => (*flag).into(),
            Kind::Date => String::new().into(),
        }
    }
}

/// Parses TOML. `path` names the file in errors; `None` for the built-in defaults.
pub(super) fn parse(text: &str, path: Option<&str>) -> Result<Node, ConfigError> {
    let source = Source { text, path: path.map(Arc::from) };
    match DeTable::parse(text) {
        Ok(root) => Ok(source.table(root.into_inner(), 0)),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            Err(ConfigError::one(source.origin(at), format!("not valid TOML: {}", error.message())))
        }
    }
}

struct Source<'t> {
    text: &'t str,
    path: Option<Arc<str>>,
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        match &self.path {
            None => Origin::Default,
            Some(path) => {
                let before = self.text.as_bytes().iter().take(offset);
                Origin::File { path: Arc::clone(path), line: before.filter(|byte| **byte == b'\n').count() + 1 }
            }
        }
    }

    fn table(&self, table: DeTable<'_>, offset: usize) -> Node {
        let entries = table.into_iter().map(|(key, value)| {
            let at = key.span().start;
            (key.into_inner().into_owned(), self.node(value, at))
        });
        Node::new(Kind::Table(entries.collect()), self.origin(offset))
    }

    /// `offset` is where the key stands: the line a person looks for.
    fn node(&self, value: Spanned<DeValue<'_>>, offset: usize) -> Node {
        let kind = match value.into_inner() {
            DeValue::Table(table) => return self.table(table, offset),
            DeValue::Array(items) => Kind::Array(
                items
                    .into_iter()
                    .map(|item| {
                        let at = item.span().start;
                        self.node(item, at)
                    })
                    .collect(),
            ),
            DeValue::String(text) => Kind::String(text.into_owned()),
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Kind::Float(f64::INFINITY), Kind::Integer)
            }
            DeValue::Float(digits) => Kind::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Kind::Bool(flag),
            DeValue::Datetime(_) => Kind::Date,
        };
        Node::new(kind, self.origin(offset))
    }
}
