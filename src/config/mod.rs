//! The configuration: defaults, file and environment laid on one another, checked whole before anything starts.
//!
//! Each layer becomes a tree whose nodes know their file and line or their variable. After merging, references are
//! resolved, single values are held against their rules, then conditions between keys; only then does serde see it.

mod cross;
mod effect;
mod environment;
mod problem;
mod reference;
mod rules;
mod schema;
mod sections;
mod settings;
mod size;
mod tree;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use environment::Environment;
pub use problem::{ConfigError, Origin, Problem};
pub use sections::{
    Auth, Bot, Budget, Cards, Chat, CloudModel, Config, EmbeddingModel, Files, Limits, LocalModel, Log, LogFormat,
    Model, Server, Store, Tls, TranscriptionModel, Transport,
};
pub use settings::resolve;
pub use size::ByteSize;

use schema::Schema;
use tree::{Kind, Node};

/// The file that is read, if it is there, when none is named.
pub const USUAL_FILE: &str = "config/magpie.toml";

/// A configuration with what the operator should hear about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Sentences about keys without effect.
    pub warnings: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Reads all layers: `file` (else [`USUAL_FILE`] if that exists), `.env` of the working directory, the environment.
///
/// # Errors
/// Everything that is wrong, with its place; see [`ConfigError`].
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    load_under(file, None)
}

/// The same with a layer above all others, in TOML: what a command decides by itself. Its bots replace all bots.
///
/// # Errors
/// Everything that is wrong, with its place; see [`ConfigError`].
pub fn load_under(file: Option<&Path>, command: Option<&str>) -> Result<Loaded, ConfigError> {
    let environment = Environment::read(Path::new(".env"))?;
    let file = file.map(Path::to_path_buf).or_else(|| Some(PathBuf::from(USUAL_FILE)).filter(|usual| usual.exists()));
    let text = match &file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            let origin = Origin::File { path: path.display().to_string().into(), line: 1 };
            ConfigError::one(origin, format!("can't be read: {error}"))
        })?),
        None => None,
    };
    let name = file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let sources =
        Sources { file: text.as_deref().map(|text| (name.as_str(), text)), environment: &environment, command };
    let mut loaded = sources.parse()?;
    loaded.file = file;
    Ok(loaded)
}

/// The layers above the defaults, lowest first, in memory.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Name, for errors, and text.
    pub file: Option<(&'a str, &'a str)>,
    pub environment: &'a Environment,
    /// See [`load_under`].
    pub command: Option<&'a str>,
}

impl Sources<'_> {
    /// Merges and checks.
    ///
    /// # Errors
    /// Everything that is wrong, with its place; see [`ConfigError`].
    pub fn parse(self) -> Result<Loaded, ConfigError> {
        let schema = Schema::load();
        let mut root = self.merge(&schema)?;
        ConfigError::unless_empty(reference::resolve(&mut root, &schema, self.environment))?;
        fill_patterns(&mut root, &schema);
        ConfigError::unless_empty(rules::check(&root))?;
        let (refused, mut warnings) = effect::check(&root, &schema);
        let mut problems = cross::check(&root);
        problems.extend(refused);
        ConfigError::unless_empty(problems)?;
        for (wrong, right) in self.environment.near_misses(&schema.keys()) {
            warnings.push(format!("environment variable {wrong} has no effect; did you mean {right}?"));
        }
        // The checks above leave nothing for serde to find; should they ever disagree, its words beat a crash.
        let config = Config::deserialize(root.to_value())
            .map_err(|error| ConfigError::one(Origin::Default, error.message().to_owned()))?;
        Ok(Loaded { config, warnings, file: None })
    }

    fn merge(self, schema: &Schema) -> Result<Node, ConfigError> {
        let mut root = schema.defaults();
        if let Some((name, text)) = self.file {
            let layer = tree::parse(text, Some(name))?;
            ConfigError::unless_empty(schema.check(&layer))?;
            root.merge(layer);
        }
        ConfigError::unless_empty(self.environment.apply(&mut root, schema))?;
        if let Some(text) = self.command {
            let layer = tree::parse(text, Some("the command"))?;
            ConfigError::unless_empty(schema.check(&layer))?;
            let bots = root.table_mut().and_then(|table| table.get_mut("bots")).and_then(Node::table_mut);
            bots.into_iter().for_each(tree::Table::clear);
            root.merge(layer);
        }
        Ok(root)
    }
}

/// Lays every bot on the pattern of a bot, its chat section on `[chat]`, and every endpoint on its pattern.
fn fill_patterns(root: &mut Node, schema: &Schema) {
    let Some(chat) = root.at("chat").cloned() else { return };
    if let Some(bots) = root.table_mut().and_then(|table| table.get_mut("bots")).and_then(Node::table_mut) {
        for bot in bots.values_mut() {
            let mut full = schema.bot().clone();
            if let Some(table) = full.table_mut() {
                table.insert("chat".to_owned(), chat.clone());
            }
            full.merge(std::mem::replace(bot, Node::new(Kind::Bool(false), Origin::Default)));
            fill_groups(&mut full);
            *bot = full;
        }
    }
    let clouds = root.table_mut().and_then(|table| table.get_mut("model")).and_then(Node::table_mut);
    if let Some(Kind::Array(clouds)) = clouds.and_then(|model| model.get_mut("cloud")).map(|node| &mut node.kind) {
        for cloud in clouds {
            let mut full = schema.cloud().clone();
            full.merge(std::mem::replace(cloud, Node::new(Kind::Bool(false), Origin::Default)));
            *cloud = full;
        }
    }
}

/// Lays the section of every group on the bot's chat section.
fn fill_groups(bot: &mut Node) {
    let Some(chat) = bot.at("chat").cloned() else { return };
    let Some(table) = bot.table_mut() else { return };
    let none = || Node::new(Kind::Table(tree::Table::new()), Origin::Default);
    let groups = table.entry("groups".to_owned()).or_insert_with(none).table_mut();
    for group in groups.into_iter().flat_map(tree::Table::values_mut) {
        let mut full = chat.clone();
        full.merge(std::mem::replace(group, Node::new(Kind::Bool(false), Origin::Default)));
        *group = full;
    }
}
