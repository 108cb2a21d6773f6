//! The playground in a real browser: a person writes, sees a card fill up on either platform, and presses a button.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and gives the line of its output that was waited for.
async fn start(mut command: Command, awaited: &'static str) -> (Running, String) {
    let name = format!("{:?}", command.get_program());
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child =
        spawned.unwrap_or_else(|error| panic!("{name} starts (check.sh installs what is missing): {error}"));
    let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let (found, line) = oneshot::channel();
    // Reads on after the line was found, so that the program never blocks on a full pipe.
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in lines.map_while(Result::ok).filter(|line| line.contains(awaited)) {
            if let Some(found) = found.take() {
                let _ = found.send(line);
            }
        }
    });
    let line = tokio::time::timeout(PATIENCE, line).await;
    (Running(child), line.ok().and_then(Result::ok).unwrap_or_else(|| panic!("{name} did not print {awaited:?}")))
}

async fn browser() -> (Running, Client) {
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0");
    let (driver, line) = start(driver, "started successfully on port").await;
    let port: String = line.chars().filter(char::is_ascii_digit).collect();
    let options = json!({"goog:chromeOptions": {"args": [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,950",
    ]}});
    let capabilities = options.as_object().expect("it is an object").clone();
    let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("chromedriver gives a session");
    (driver, client)
}

async fn wait_for(client: &Client, css: &str) -> fantoccini::elements::Element {
    let found = client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
    found.unwrap_or_else(|error| panic!("{css} does not appear: {error}"))
}

async fn write(client: &Client, platform: &str, text: &str) {
    let input = wait_for(client, &format!("#{platform} .composer input")).await;
    input.clear().await.expect("the composer can be emptied");
    input.send_keys(text).await.expect("the composer takes text");
    wait_for(client, &format!("#{platform} .composer button")).await.click().await.expect("the button can be pressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_card_fill_up_and_presses_its_button_on_both_platforms() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_magpie"));
    demo.args(["demo", "--listen", "127.0.0.1:0"]).current_dir(home.path());
    let (_demo, line) = start(demo, "http://").await;
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let (_driver, client) = browser().await;
    client.goto(&address).await.unwrap();
    wait_for(&client, ".link.on").await;

    for platform in ["dingtalk", "feishu"] {
        write(&client, platform, "@bot 你好").await;
        let card = format!("#{platform} .message.card[data-state=final]");
        let body = wait_for(&client, &format!("{card} .body:not([hidden])")).await;
        assert!(!body.text().await.unwrap().trim().is_empty(), "{platform}: the card has an answer");
        let note = wait_for(&client, &format!("{card} .note:not([hidden])")).await;
        assert!(note.text().await.unwrap().contains("Magpie demo"), "{platform}: the footer names the model");
        wait_for(&client, &format!("{card} .buttons button")).await.click().await.unwrap();
        let toast = wait_for(&client, &format!("{card} .toast:not([hidden])")).await;
        assert!(!toast.text().await.unwrap().contains("answered"), "{platform}: the press was taken");
        wait_for(&client, &format!("#exchanges details.{platform}")).await;
    }
    client.close().await.unwrap();
}
