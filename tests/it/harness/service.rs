//! The real `magpie` as a process of its own, always at the same addresses, so that it can come back after a kill.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::wait::{eventually, within};

/// A service under test. Its log is printed when the test fails; it is killed when the test ends.
pub struct Service {
    child: Option<Child>,
    folder: PathBuf,
    config: PathBuf,
    log: PathBuf,
    pub port: u16,
    admin_port: u16,
    http: reqwest::Client,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Service {
    /// A service with addresses of its own and this configuration, not yet started. `config` is given both ports.
    pub fn new(folder: &Path, name: &str, config: impl FnOnce(u16, u16) -> String) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let at = |ending: &str| folder.join(format!("{name}.{ending}"));
        fs::write(at("toml"), config(port, admin_port)).expect("the test's folder is writable");
        Self {
            child: None,
            folder: folder.to_owned(),
            config: at("toml"),
            log: at("log"),
            port,
            admin_port,
            http: client(),
        }
    }

    /// Starts it and waits until it takes events.
    pub async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("the log can be written");
        let errors = log.try_clone().expect("a file handle can be copied");
        let config = self.config.to_str().expect("the folder's name is UTF-8");
        let mut command = magpie(&self.folder, &["serve", "--config", config]);
        self.child = Some(command.stdout(log).stderr(errors).spawn().expect("the program can be started"));
    }

    /// Waits until it takes events.
    pub async fn ready(&mut self) {
        eventually("the service to be ready", async || {
            if let Some(code) = self.exit_code() {
                panic!("the service ended with {code} instead of getting ready");
            }
            match self.get("/health/ready").await {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be waited for");
        }
    }

    /// `kill -9` and a new start.
    pub async fn crash_and_restart(&mut self) {
        self.kill();
        self.start().await;
    }

    /// SIGTERM; it goes on running for a while.
    pub fn ask_to_stop(&self) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal can be sent");
    }

    /// Waits for it to end by itself; gives the exit code (-1 for a signal).
    pub async fn ended(&mut self, limit: Duration) -> i32 {
        let code =
            within(limit, "the service to end", async || self.exit_code().ok_or_else(|| "it runs".to_owned())).await;
        self.child = None;
        code
    }

    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.exit_code().is_none()
    }

    /// A webhook's address.
    pub fn webhook(&self, bot: &str) -> String {
        self.url(&format!("/webhook/{bot}"))
    }

    /// Address of a path on the public listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Status and JSON body of a GET on the public listener; `None` if nothing answers.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let response = self.http.get(self.url(path)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_str(&response.text().await.ok()?).unwrap_or_default()))
    }

    /// The sum of a metric's samples whose labels contain all of these (`name="value"`).
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        let text = self.http.get(url).send().await.expect("metrics are served").text().await.expect("as text");
        let samples = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label)))
        });
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.as_mut()?.try_wait().expect("our own child can be asked")?;
        Some(status.code().unwrap_or(-1))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}", self.config.display(), self.log());
        }
    }
}

/// Runs a command to its end in `folder`.
pub async fn run(folder: &Path, arguments: &[&str]) -> Finished {
    run_with_input(folder, arguments, b"").await
}

/// Runs a command to its end, with this on its standard input.
pub async fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Finished {
    let typed = folder.join("command.in");
    fs::write(&typed, input).expect("the test's folder is writable");
    let (out, err) = (folder.join("command.out"), folder.join("command.err"));
    let file = |path: &Path| File::create(path).expect("the test's folder is writable");
    let mut command = magpie(folder, arguments);
    let typed = File::open(&typed).expect("what was just written can be read");
    let mut child =
        command.stdin(typed).stdout(file(&out)).stderr(file(&err)).spawn().expect("the program can be started");
    let code = eventually("the command to end", async || {
        let status = child.try_wait().expect("our own child can be asked");
        status.map(|status| status.code().unwrap_or(-1)).ok_or_else(|| "it runs".to_owned())
    })
    .await;
    let read = |path: &Path| fs::read_to_string(path).expect("the program prints UTF-8");
    Finished { code, stdout: read(&out), stderr: read(&err) }
}

/// The program with nothing of this machine's environment but `PATH`.
fn magpie(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_magpie"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A client for loopback.
pub fn client() -> reqwest::Client {
    // Only the first installation in a process counts; all of them are the same.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a plain client can be built")
}

/// A port that nobody has, and that no outgoing connection takes while the service is down: below the range from
/// which systems choose those.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 70).expect("under 70") * 200;
    loop {
        let port = 12_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
