use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::download::Patience;
use super::testserver::{Mishap, Served, Server};
use super::*;
use crate::file::{Stage, testfolder};

fn client() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
        let redirects = reqwest::redirect::Policy::none();
        Client::builder().no_proxy().redirect(redirects).pool_max_idle_per_host(0).build().unwrap()
    });
    CLIENT.clone()
}

fn body() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A server with one file, and a fetcher that waits for nothing.
struct Scene {
    server: Server,
    folder: TempDir,
    fetcher: Fetcher,
    reporter: Reporter,
    source: Source,
}

impl Scene {
    async fn new(file: Served) -> Self {
        let sum = sha256(&file.body);
        let server = Server::start().await;
        // The query is a signature, as object storages have it.
        server.serve("/m/tiny.gguf?signature=hush", file);
        let folder = tempfile::tempdir().unwrap();
        let settings = HubSettings { endpoint: server.url(""), token: Some("secret".to_owned()), cache: None };
        let mut fetcher = Fetcher::new(client(), folder.path().join("models"), settings);
        let silence = Duration::from_secs(600);
        fetcher.downloader.patience = Patience { attempts: 4, first_wait: Duration::ZERO, silence };
        let source = Source::parse(&server.url("/m/tiny.gguf?signature=hush"), Some(&sum)).unwrap();
        Self { server, folder, fetcher, reporter: Reporter::default(), source }
    }

    async fn fetch(&self) -> Result<PathBuf, LoadError> {
        self.fetcher.fetch(&self.source, &self.reporter).await
    }

    fn left_over(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("models")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn hub(&self, name: &str) -> Source {
        Source::parse(name, None).unwrap()
    }
}

#[test]
fn sources_are_told_apart_by_how_they_begin() {
    let parse = |text: &str, sha256: Option<&str>| Source::parse(text, sha256);
    assert_eq!(parse("data/m.gguf", None).unwrap(), Source::Local(PathBuf::from("data/m.gguf")));
    let sum = "AB".repeat(32);
    assert!(matches!(parse("https://host/m.gguf", Some(&sum)).unwrap(), Source::Address(_)));
    let refusal = |text: &str, sha256: Option<&str>| parse(text, sha256).unwrap_err().to_string();
    assert!(refusal("https://host/m.gguf", None).contains("needs model.local.sha256"));
    assert!(refusal("https://host/m.gguf", Some("abc")).contains("64 hex digits"));
    assert!(refusal("https://", Some(&sum)).contains("no valid address"));
    for good in ["hf:a/b", "hf:a/b@0f3c", "hf:a/b/m.gguf", "hf:a/b@v1.0/q/m.gguf"] {
        assert!(matches!(parse(good, None).unwrap(), Source::Hub(_)), "{good}");
    }
    for bad in [
        "hf:",
        "hf:a",
        "hf:a/",
        "hf:../b",
        "hf:a/b@",
        "hf:a/b@../c",
        "hf:a/b/../m.gguf",
        "hf:a/b/m.bin",
        "hf:a/b//m.gguf",
    ] {
        assert!(refusal(bad, None).contains("it should be hf:"), "{bad}");
    }
    assert!(refusal("hf:a/b", Some(&sum)).contains("@COMMIT"));
}

#[tokio::test]
async fn a_file_is_downloaded_once_and_checked() {
    let scene = Scene::new(Served::new(&body())).await;
    assert_eq!(scene.fetcher.present(&scene.source), None);
    let path = scene.fetch().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), body());
    assert_eq!(scene.left_over(), [path.file_name().unwrap().to_str().unwrap()]);
    let progress = scene.reporter.get();
    assert_eq!((progress.stage, progress.percent()), (Stage::Downloading, Some(100)));
    assert_eq!(scene.server.requests().len(), 1);
    assert_eq!(scene.fetch().await.unwrap(), path);
    assert_eq!(scene.fetcher.present(&scene.source), Some(path));
    assert!(scene.server.requests().is_empty(), "the second time needs no network");
}

#[tokio::test]
async fn a_broken_connection_is_continued() {
    let scene = Scene::new(Served::new(&body())).await;
    scene.server.misbehave([Mishap::CutAfter(300_000), Mishap::Status(503), Mishap::CutAfter(50_000)]);
    let path = scene.fetch().await.unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    let asked: Vec<_> =
        scene.server.requests().into_iter().map(|request| request.headers.get("range").cloned()).collect();
    let from = |bytes: u32| Some(format!("bytes={bytes}-"));
    assert_eq!(asked, [None, from(300_000), from(300_000), from(350_000)]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_asked_again() {
    let mut scene = Scene::new(Served::new(&body())).await;
    let silence = Duration::from_millis(50);
    scene.fetcher.downloader.patience = Patience { attempts: 1000, first_wait: Duration::ZERO, silence };
    scene.server.misbehave([Mishap::Silence]);
    assert_eq!(fs::read(scene.fetch().await.unwrap()).unwrap(), body());
}

#[tokio::test]
async fn a_later_attempt_goes_on_where_an_earlier_one_gave_up() {
    let scene = Scene::new(Served::new(&body())).await;
    scene.server.misbehave([Mishap::CutAfter(1000), Mishap::Status(500), Mishap::Status(500), Mishap::Status(500)]);
    let error = scene.fetch().await.unwrap_err().to_string();
    assert!(error.contains("500") && !error.contains("hush"), "{error}");
    assert_eq!(scene.left_over().len(), 2, "the part and its version");
    scene.server.requests();
    let path = scene.fetch().await.unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    assert_eq!(scene.server.requests()[0].headers["range"], "bytes=1000-");
}

#[tokio::test]
async fn another_version_is_fetched_from_its_beginning() {
    let scene = Scene::new(Served { etag: Some("\"old\"".to_owned()), ..Served::new(&[7; 5000]) }).await;
    let url = "/m/tiny.gguf?signature=hush";
    let scene = Scene { source: Source::parse(&scene.server.url(url), Some(&sha256(&body()))).unwrap(), ..scene };
    scene.server.misbehave([Mishap::CutAfter(900), Mishap::Status(500), Mishap::Status(500), Mishap::Status(500)]);
    scene.fetch().await.unwrap_err();
    scene.server.serve(url, Served::new(&body()));
    assert_eq!(fs::read(scene.fetch().await.unwrap()).unwrap(), body());
}

#[tokio::test]
async fn servers_without_ranges_or_versions_are_asked_for_everything_again() {
    for file in [Served { ignores_ranges: true, ..Served::new(&body()) }, Served { etag: None, ..Served::new(&body()) }]
    {
        let scene = Scene::new(file).await;
        scene.server.misbehave([Mishap::CutAfter(1000)]);
        assert_eq!(fs::read(scene.fetch().await.unwrap()).unwrap(), body());
    }
    let weak = Served { etag: Some("W/\"one\"".to_owned()), ..Served::new(&body()) };
    let scene = Scene::new(weak).await;
    scene.server.misbehave([Mishap::CutAfter(1000)]);
    assert_eq!(fs::read(scene.fetch().await.unwrap()).unwrap(), body());
    assert!(scene.server.requests().iter().all(|request| !request.headers.contains_key("range")));
}

#[tokio::test]
async fn a_file_with_another_checksum_is_not_kept() {
    let scene = Scene::new(Served::new(&body())).await;
    scene.server.serve("/m/tiny.gguf?signature=hush", Served::new(b"another model"));
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(&error, LoadError::Checksum { actual, .. } if *actual == sha256(b"another model")), "{error}");
    assert_eq!(scene.fetcher.present(&scene.source), None);
}

#[tokio::test]
async fn a_damaged_part_is_replaced_without_asking_anybody() {
    let scene = Scene::new(Served::new(&body())).await;
    scene.server.misbehave([Mishap::CutAfter(1000), Mishap::Status(500), Mishap::Status(500), Mishap::Status(500)]);
    scene.fetch().await.unwrap_err();
    let part = scene.left_over().into_iter().find(|name| name.ends_with(".part")).unwrap();
    fs::write(scene.folder.path().join("models").join(part), vec![0; 1000]).unwrap();
    assert_eq!(fs::read(scene.fetch().await.unwrap()).unwrap(), body());
}

#[tokio::test]
async fn what_is_not_there_or_forbidden_is_not_asked_for_twice() {
    let scene = Scene::new(Served::new(&body())).await;
    for (status, hint) in [(404, "model.local.path"), (403, "HF_TOKEN"), (400, "400")] {
        scene.server.misbehave([Mishap::Status(status)]);
        let error = scene.fetch().await.unwrap_err();
        assert!(matches!(&error, LoadError::Download { .. }) && error.to_string().contains(hint), "{error}");
        assert_eq!(scene.server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_the_download() {
    let mut scene = Scene::new(Served::new(&body())).await;
    scene.fetcher.downloader.free_bytes = |_| Some(1000);
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(error, LoadError::Space { needed_bytes: 400_000, free_bytes: 1000, .. }), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_without_the_token() {
    let scene = Scene::new(Served::new(&body())).await;
    let elsewhere = Server::start().await;
    elsewhere.serve("/cdn", Served::new(&body()));
    scene.server.serve("/m/tiny.gguf?signature=hush", Served::redirect(&elsewhere.url("/cdn")));
    scene.fetch().await.unwrap();
    let url = Url::parse(&scene.server.url("/m/tiny.gguf?signature=hush")).unwrap();
    request::get(&client(), &url, Some("secret"), None).await.map_err(drop).unwrap();
    assert!(scene.server.requests().last().unwrap().headers["authorization"].contains("secret"));
    assert!(elsewhere.requests().iter().all(|request| !request.headers.contains_key("authorization")));
    scene.server.serve("/loop", Served::redirect("/loop"));
    let url = Url::parse(&scene.server.url("/loop")).unwrap();
    assert!(matches!(request::get(&client(), &url, None, None).await, Err(request::Failure::Final(_))));
}

#[tokio::test]
async fn two_downloads_of_one_file_do_not_mix() {
    let scene = Scene::new(Served::new(&body())).await;
    let (one, two) = tokio::join!(scene.fetch(), scene.fetch());
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(scene.server.requests().len(), 1);
}

#[test]
fn a_stop_ends_a_download_and_leaves_its_part() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new(Served::new(&body())));
    scene.server.misbehave([Mishap::CutAfter(1000), Mishap::Silence]);
    let stop = CancelToken::new();
    let mut progress = scene.reporter.subscribe();
    let canceller = stop.clone();
    runtime.spawn(async move {
        progress.wait_for(|progress| progress.stage == Stage::Downloading).await.ok();
        canceller.cancel();
    });
    let error = scene.fetcher.fetch_blocking(&scene.source, &scene.reporter, &stop).unwrap_err();
    assert!(matches!(error, LoadError::Cancelled), "{error}");
    assert!(scene.left_over().iter().any(|name| name.ends_with(".part")));
    scene.server.misbehave([]);
    let path = scene.fetcher.fetch_blocking(&scene.source, &scene.reporter, &CancelToken::new()).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
}

/// Lists files as the hub does; those that end in `.gguf` or `.safetensors` are large.
fn list(server: &Server, revision: &str, files: &[(&str, &[u8])]) {
    let siblings: Vec<_> = files
        .iter()
        .map(|(name, body)| {
            let large = name.ends_with(".gguf") || name.ends_with(".safetensors");
            let lfs = large.then(|| json!({ "sha256": sha256(body), "size": body.len() }));
            json!({ "rfilename": name, "size": body.len(), "lfs": lfs })
        })
        .collect();
    let listing = json!({ "sha": "c0ffee", "siblings": siblings }).to_string();
    server.serve(&format!("/api/models/own/repo/revision/{revision}?blobs=true"), Served::new(listing.as_bytes()));
    for (name, body) in files {
        server.serve(&format!("/own/repo/resolve/c0ffee/{name}"), Served::new(body));
    }
}

#[tokio::test]
async fn a_file_of_a_hub_is_fetched_at_its_commit_and_checked() {
    let scene = Scene::new(Served::new(&body())).await;
    list(&scene.server, "main", &[("q/m.gguf", &body()), ("README.md", b"hello")]);
    let source = scene.hub("hf:own/repo/q/m.gguf");
    let path = scene.fetcher.fetch(&source, &scene.reporter).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), body());
    assert!(path.ends_with("models--own--repo/snapshots/c0ffee/q/m.gguf"));
    let requests = scene.server.requests();
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer secret"));
    assert_eq!(requests.len(), 2);
    assert_eq!(scene.fetcher.fetch(&source, &scene.reporter).await.unwrap(), path);
    assert!(scene.server.requests().is_empty());
    scene.server.serve("/own/repo/resolve/c0ffee/q/m.gguf", Served::new(&vec![0; body().len()]));
    fs::remove_file(&path).unwrap();
    let error = scene.fetcher.fetch(&source, &scene.reporter).await.unwrap_err();
    assert!(matches!(error, LoadError::Checksum { .. }), "{error}");
}

#[tokio::test]
async fn a_repository_becomes_a_folder_with_what_is_needed() {
    let scene = Scene::new(Served::new(&body())).await;
    let model = testfolder::write("LlamaForCausalLM", "BF16", json!({}));
    let read = |name: &str| fs::read(model.path().join(name)).unwrap();
    let (config, weights) = (read("config.json"), read("model.safetensors"));
    let files: [(&str, &[u8]); 5] = [
        ("model.safetensors", &weights),
        ("config.json", &config),
        ("tokenizer.json", b"{}"),
        ("consolidated.safetensors", b"twice"),
        ("pytorch_model.bin", b"pickle"),
    ];
    list(&scene.server, "v2", &files);
    let source = scene.hub("hf:own/repo@v2");
    let path = scene.fetcher.fetch(&source, &scene.reporter).await.unwrap();
    assert_eq!(crate::file::ModelFile::open(&path).unwrap().architecture().unwrap(), "llama");
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(scene.reporter.get().percent(), Some(100));
    assert_eq!(scene.fetcher.present(&source), Some(path));
}

#[tokio::test]
async fn all_parts_of_a_split_file_are_fetched() {
    let scene = Scene::new(Served::new(&body())).await;
    list(
        &scene.server,
        "main",
        &[("m-00001-of-00002.gguf", b"one"), ("m-00002-of-00002.gguf", b"two"), ("x.gguf", b"x")],
    );
    let path = scene.fetcher.fetch(&scene.hub("hf:own/repo/m-00001-of-00002.gguf"), &scene.reporter).await.unwrap();
    assert_eq!(fs::read(path.with_file_name("m-00002-of-00002.gguf")).unwrap(), b"two");
    assert!(!path.with_file_name("x.gguf").exists());
}

#[tokio::test]
async fn a_hub_cannot_write_outside_the_folder() {
    let scene = Scene::new(Served::new(&body())).await;
    for commit in ["../../evil", ""] {
        let listing = json!({ "sha": commit, "siblings": [{ "rfilename": "m.gguf", "size": 1 }] }).to_string();
        scene.server.serve("/api/models/own/repo/revision/main?blobs=true", Served::new(listing.as_bytes()));
        scene.fetcher.fetch(&scene.hub("hf:own/repo/m.gguf"), &scene.reporter).await.unwrap_err();
    }
    list(&scene.server, "main", &[("config.json", b"{}"), ("../x.safetensors", b"x")]);
    scene.fetcher.fetch(&scene.hub("hf:own/repo"), &scene.reporter).await.unwrap_err();
    list(&scene.server, "main", &[("README.md", b"no model here")]);
    let error = scene.fetcher.fetch(&scene.hub("hf:own/repo/m.gguf"), &scene.reporter).await.unwrap_err();
    assert!(error.to_string().contains("does not hold that file"), "{error}");
}

#[test]
fn what_the_hubs_own_tools_downloaded_is_used() {
    let cache = tempfile::tempdir().unwrap();
    let home = cache.path().join("models--own--repo");
    fs::create_dir_all(home.join("refs")).unwrap();
    fs::create_dir_all(home.join("snapshots/abc")).unwrap();
    fs::write(home.join("refs/main"), "abc").unwrap();
    fs::write(home.join("snapshots/abc/m.gguf"), "x").unwrap();
    let settings = HubSettings { endpoint: String::new(), token: None, cache: Some(cache.path().to_owned()) };
    let fetcher = Fetcher::new(client(), cache.path().join("ours"), settings);
    let path = home.join("snapshots/abc/m.gguf");
    let present = |name: &str| fetcher.present(&Source::parse(name, None).unwrap());
    assert_eq!(present("hf:own/repo/m.gguf"), Some(path.clone()));
    assert_eq!(present("hf:own/repo@abc/m.gguf"), Some(path));
    assert_eq!((present("hf:own/repo/other.gguf"), present("hf:own/repo")), (None, None));
}
