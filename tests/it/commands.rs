//! The commands: exit codes, and whether what they say helps.

use std::fs;
use std::path::Path;

use crate::harness::service::{Finished, free_port, run};
use crate::harness::{Backing, Plan, Stage};

/// Runs a command on a configuration file of this text.
async fn with_config(folder: &Path, command: &[&str], config: &str) -> Finished {
    let file = folder.join("test.toml");
    fs::write(&file, config).expect("the test's folder is writable");
    let file = file.to_str().expect("the folder's name is UTF-8");
    run(folder, &[command, &["--config", file]].concat()).await
}

/// A configuration on SQLite in the current folder.
fn minimal() -> String {
    let (port, admin_port) = (free_port(), free_port());
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nadmin_listen = \"127.0.0.1:{admin_port}\"\n\
         [store]\nurl = \"sqlite://magpie.db\"\n"
    )
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_one_and_its_line() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    for command in ["serve", "migrate"] {
        let config = format!("{}[chat]\nhistory_mesages = 3\n", minimal());
        let ended = with_config(folder.path(), &[command], &config).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("history_mesages") && ended.stderr.contains("history_messages"), "{ended:?}");
        let line = config.lines().count();
        assert!(ended.stderr.contains(&format!("test.toml:{line}")), "line {line}: {ended:?}");
    }
}

#[tokio::test]
async fn a_bot_without_its_secrets_does_not_start() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let feishu = "[bots.helpdesk]\nplatform = \"feishu\"\napp_id = \"cli_1\"\n";
    let dingtalk = "[bots.it]\nplatform = \"dingtalk\"\nclient_id = \"ding1\"\n";
    for (bot, key) in [
        (feishu, "bots.helpdesk.app_secret"),
        (feishu, "bots.helpdesk.verification_token"),
        (dingtalk, "bots.it.client_secret"),
    ] {
        let ended = with_config(folder.path(), &["serve"], &format!("{}{bot}", minimal())).await;
        assert!(ended.code == 2 && ended.stderr.contains(key), "{key}: {ended:?}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_two_and_help_with_zero() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    for arguments in [&["frobnicate"][..], &["serve", "--frobnicate"], &["migrate", "--config", "not-there.toml"], &[]]
    {
        let ended = run(folder.path(), arguments).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
    }
    let models = ["inspect", "bench", "tokenize", "eval"].map(|command| vec!["model", command]);
    let others = ["serve", "demo", "check", "migrate", "chat"].map(|command| vec![command]);
    for command in models.iter().chain(&others) {
        let ended = run(folder.path(), &[&command[..], &["--help"]].concat()).await;
        assert!(ended.code == 0 && ended.stdout.contains("--config"), "{command:?}: {ended:?}");
    }
}

async fn migrate_says_what_it_applied(backing: Backing) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let config = format!("[store]\nurl = \"{}\"\n", backing.url(folder.path()));
    let first = with_config(folder.path(), &["migrate"], &config).await;
    assert!(first.code == 0 && first.stdout.contains("applied 0001 initial"), "{first:?}");
    let second = with_config(folder.path(), &["migrate"], &config).await;
    assert!(second.code == 0 && !second.stdout.contains("000"), "{second:?}");
    assert!(second.stdout.contains("up to date"), "{second:?}");
}

#[tokio::test]
async fn migrate_says_what_it_applied_on_sqlite() {
    migrate_says_what_it_applied(Backing::Sqlite).await;
}

#[tokio::test]
async fn migrate_says_what_it_applied_on_postgres() {
    let Some(backing) = Backing::postgres().await else { return };
    migrate_says_what_it_applied(backing).await;
}

#[tokio::test]
async fn check_says_what_to_do_about_each_failure() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let fine = with_config(folder.path(), &["check"], &minimal()).await;
    assert_eq!(fine.code, 0, "{fine:?}");
    let nobody = free_port();
    let away = format!("[store]\nurl = \"postgres://magpie:pass-word@127.0.0.1:{nobody}/magpie\"\n");
    let ended = with_config(folder.path(), &["check"], &away).await;
    assert!(ended.code == 1 && ended.stdout.contains("FAIL  database"), "{ended:?}");
    assert!(ended.stdout.contains("store.url") && !ended.stdout.contains("pass-word"), "{ended:?}");
    let no_model = format!("{}[model.local]\npath = \"not-there.gguf\"\n", minimal());
    let ended = with_config(folder.path(), &["check"], &no_model).await;
    assert!(ended.code == 1 && ended.stdout.contains("FAIL  model.local"), "{ended:?}");
    assert!(ended.stdout.contains("not-there.gguf"), "{ended:?}");
    let ended = with_config(folder.path(), &["check"], "[server]\nlissten = \"x\"\n").await;
    assert!(ended.code == 1 && ended.stdout.contains("listen"), "{ended:?}");
}

#[tokio::test]
async fn check_works_beside_the_running_service_and_asks_it() {
    let mut stage = Stage::start(Plan::new(Backing::Sqlite)).await;
    let config = stage.folder().join("magpie.toml");
    let config = config.to_str().expect("the folder's name is UTF-8");
    let beside = run(stage.folder(), &["check", "--config", config]).await;
    assert!(beside.code == 0 && beside.stdout.contains("up to date"), "{beside:?}");
    let running = run(stage.folder(), &["check", "--running", "--config", config]).await;
    assert_eq!(running.code, 0, "{running:?}");
    // Changing the database beside its service is not for a command.
    let changing = run(stage.folder(), &["migrate", "--config", config]).await;
    assert_eq!(changing.code, 2, "{changing:?}");
    stage.service.kill();
    let gone = run(stage.folder(), &["check", "--running", "--config", config]).await;
    assert_eq!(gone.code, 1, "{gone:?}");
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_start_with_one() {
    let stage = Stage::start(Plan::new(Backing::Sqlite)).await;
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let taken = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\n[store]\nurl = \"sqlite://other.db\"\n",
        stage.service.port,
        free_port()
    );
    let ended = with_config(folder.path(), &["serve"], &taken).await;
    assert!(ended.code == 1 && ended.stderr.contains("server.listen"), "{ended:?}");
}
