//! Models of a hub that speaks the protocol of huggingface.co: `hf:OWNER/REPO[@REVISION][/FILE]`.
//!
//! A revision is resolved to a commit once; from then on the commit's files are used, so that a model does not change
//! by itself. What the hub's own tools have downloaded before is used as it lies.
//!
//! Source: "Hub API Endpoints" and "Understand caching" in the documentation of huggingface_hub (read 11/2026).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use super::download::{Downloader, Order};
use super::{is_plain, is_sha256, stays_inside};
use crate::error::LoadError;
use crate::file::folder;
use crate::file::progress::Reporter;
use crate::file::split;

const ENDPOINT: &str = "https://huggingface.co";
const REVISION: &str = "main";
const MOST_LISTING_BYTES: usize = 16 << 20;
/// Small files of a model that this engine reads.
const DESCRIPTIONS: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
];

/// A repository, or one file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    owner: String,
    repository: String,
    revision: String,
    /// `None` for a folder with safetensors.
    file: Option<String>,
    sha256: Option<String>,
}

/// How a hub is reached.
#[derive(Clone)]
pub struct HubSettings {
    /// Without a slash at its end.
    pub endpoint: String,
    pub token: Option<String>,
    /// Where the hub's own tools keep what they downloaded.
    pub cache: Option<PathBuf>,
}

pub(super) struct Hub(HubSettings);

#[derive(Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    size: Option<u64>,
    lfs: Option<Large>,
}

#[derive(Deserialize)]
struct Large {
    sha256: Option<String>,
    size: Option<u64>,
}

impl HubModel {
    pub(super) fn parse(name: &str, sha256: Option<&str>) -> Result<Self, LoadError> {
        let mut steps = name.splitn(3, '/');
        let (owner, repository) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let (repository, revision) = repository.split_once('@').unwrap_or((repository, REVISION));
        let file = steps.next().filter(|file| !file.is_empty());
        let plain = [owner, repository, revision].into_iter().all(is_plain);
        if !plain || !file.is_none_or(|file| stays_inside(file) && file.ends_with(".gguf")) {
            let what = "it should be hf:OWNER/REPO[@REVISION] or hf:OWNER/REPO[@REVISION]/FILE.gguf".to_owned();
            return Err(LoadError::Source { what });
        }
        if sha256.is_some() && file.is_none() {
            let what = "model.local.sha256 is for one file; pin a repository by @COMMIT instead".to_owned();
            return Err(LoadError::Source { what });
        }
        let sha256 = sha256.map(|sha256| sha256.trim().to_ascii_lowercase());
        let text = str::to_owned;
        Ok(Self {
            owner: text(owner),
            repository: text(repository),
            revision: text(revision),
            file: file.map(text),
            sha256,
        })
    }

    /// The files of a listing that have to be fetched, small ones first.
    fn wanted<'a>(&self, siblings: &'a [Sibling]) -> Vec<&'a Sibling> {
        if let Some(file) = &self.file {
            let parts = split::names(file);
            return siblings.iter().filter(|sibling| parts.contains(&sibling.name)).collect();
        }
        let named = |name: &'static str| siblings.iter().filter(move |sibling| sibling.name == name);
        let mut wanted: Vec<_> = DESCRIPTIONS.into_iter().flat_map(named).collect();
        // Some repositories hold their weights twice, under the name that another program looks for.
        let weights = siblings.iter().filter(|sibling| {
            sibling.name.ends_with(".safetensors")
                && is_plain(&sibling.name)
                && !sibling.name.starts_with("consolidated")
        });
        wanted.extend(weights);
        wanted
    }
}

impl HubSettings {
    /// What the environment says: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let home = variable("HF_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache/huggingface")));
        let saved = || fs::read_to_string(home.as_ref()?.join("token")).ok();
        let token = variable("HF_TOKEN").or_else(saved).map(|token| token.trim().to_owned());
        let cache = variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join("hub")));
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.is_empty()),
            cache,
        }
    }
}

impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, token, cache } = self;
        let token = token.as_ref().map(|_| "…");
        f.debug_struct("HubSettings").field("endpoint", endpoint).field("token", &token).field("cache", cache).finish()
    }
}

impl Hub {
    pub(super) fn new(settings: HubSettings) -> Self {
        Self(settings)
    }

    /// Where the model lies, if all of it is on this machine.
    pub(super) fn present(&self, model: &HubModel, folder: &Path) -> Option<PathBuf> {
        let theirs = self.0.cache.as_ref();
        let theirs = theirs.map(|cache| cache.join(format!("models--{}--{}", model.owner, model.repository)));
        let ours = Some(home(model, folder));
        ours.into_iter().chain(theirs).find_map(|home| {
            let resolved = fs::read_to_string(home.join("refs").join(&model.revision));
            let commit = resolved.map_or_else(|_| model.revision.clone(), |commit| commit.trim().to_owned());
            let snapshot = home.join("snapshots").join(commit);
            match &model.file {
                Some(file) => {
                    let whole = split::names(file).iter().all(|name| snapshot.join(name).is_file());
                    whole.then(|| snapshot.join(file))
                }
                None => folder::is_complete(&snapshot).then_some(snapshot),
            }
        })
    }

    pub(super) async fn fetch(
        &self,
        model: &HubModel,
        folder: &Path,
        downloader: &Downloader,
        reporter: &Reporter,
    ) -> Result<PathBuf, LoadError> {
        let Listing { sha: commit, siblings } = self.listing(model, downloader).await?;
        let wanted = model.wanted(&siblings);
        let safe = is_plain(&commit) && wanted.iter().all(|sibling| stays_inside(&sibling.name));
        let files = model.file.as_ref().map_or(1, |file| split::names(file).len());
        if !safe || wanted.len() < files {
            return Err(self.without(model, "that file, or any safetensors"));
        }
        let home = home(model, folder);
        let snapshot = home.join("snapshots").join(&commit);
        let all = wanted.iter().map(|sibling| sibling.bytes().unwrap_or_default()).sum();
        let mut before = 0;
        for sibling in wanted {
            let url = self.url(&format!("{}/{}/resolve/{commit}/{}", model.owner, model.repository, sibling.name))?;
            let to = snapshot.join(&sibling.name);
            let mut order = Order::new(url, &to).token(self.0.token.as_deref());
            if let Some(bytes) = sibling.bytes() {
                order = order.bytes(bytes, before, all);
                before += bytes;
            }
            let sha256 = model.sha256.as_deref().filter(|_| files == 1).or(sibling.sha256());
            order = sha256.into_iter().fold(order, Order::sha256);
            downloader.fetch(&order, reporter).await?;
        }
        remember(&home, &model.revision, &commit)?;
        self.present(model, folder).ok_or_else(|| self.without(model, "a complete model"))
    }

    async fn listing(&self, model: &HubModel, downloader: &Downloader) -> Result<Listing, LoadError> {
        let HubModel { owner, repository, revision, .. } = model;
        let url = self.url(&format!("api/models/{owner}/{repository}/revision/{revision}?blobs=true"))?;
        let listing = downloader.small(&url, self.0.token.as_deref(), MOST_LISTING_BYTES).await?;
        serde_json::from_slice(&listing).map_err(|source| LoadError::Download {
            from: super::shown(&url),
            what: "the hub's list of files can't be read".to_owned(),
            source: Some(source.into()),
        })
    }

    fn url(&self, path: &str) -> Result<Url, LoadError> {
        let url = Url::parse(&format!("{}/{path}", self.0.endpoint));
        url.map_err(|_| LoadError::Source { what: "HF_ENDPOINT is no valid address".to_owned() })
    }

    fn without(&self, model: &HubModel, what: &str) -> LoadError {
        let HubModel { owner, repository, revision, .. } = model;
        let from = format!("{}/{owner}/{repository}", self.0.endpoint);
        LoadError::Download { from, what: format!("revision {revision} does not hold {what}"), source: None }
    }
}

impl Sibling {
    fn bytes(&self) -> Option<u64> {
        self.lfs.as_ref().and_then(|large| large.size).or(self.size)
    }

    fn sha256(&self) -> Option<&str> {
        self.lfs.as_ref()?.sha256.as_deref().filter(|sha256| is_sha256(sha256))
    }
}

fn home(model: &HubModel, folder: &Path) -> PathBuf {
    folder.join(format!("models--{}--{}", model.owner, model.repository))
}

/// Notes which commit a revision was.
fn remember(home: &Path, revision: &str, commit: &str) -> Result<(), LoadError> {
    let refs = home.join("refs");
    let noted = fs::create_dir_all(&refs).and_then(|()| fs::write(refs.join(revision), commit));
    noted.map_err(|source| LoadError::Folder { path: refs, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_hub_token_and_cache() {
        let of = |variables: &[(&str, &str)]| {
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            HubSettings::from(move |name| {
                variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            })
        };
        let plain = of(&[("HOME", "/nowhere")]);
        assert_eq!((plain.endpoint.as_str(), plain.token), (ENDPOINT, None));
        assert_eq!(plain.cache, Some(PathBuf::from("/nowhere/.cache/huggingface/hub")));
        let set =
            of(&[("HF_ENDPOINT", "https://mirror/ "), ("HF_TOKEN", "t"), ("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]);
        assert_eq!(
            (set.endpoint.as_str(), set.token.as_deref(), &set.cache),
            ("https://mirror", Some("t"), &Some("/c".into()))
        );
        assert!(!format!("{set:?}").contains("\"t\""));
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "saved\n").unwrap();
        assert_eq!(of(&[("HF_HOME", home.path().to_str().unwrap())]).token.as_deref(), Some("saved"));
    }
}
