//! The playground in a real browser: a person writes, sees a card fill up on either platform, and presses a button.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tokio::sync::oneshot;

use crate::harness::endpoint::usual_answer;
use crate::harness::{Endpoint, Gate, Script, eventually};

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

/// One platform's half of the page.
struct Pane<'a> {
    client: &'a Client,
    platform: &'static str,
}

impl Pane<'_> {
    /// The cards that say this and grow no more.
    fn card(&self, text: &str) -> String {
        let card = "article[contains(@class, 'card') and @data-state='final']";
        format!("//section[@id='{}']//{card}[contains(., '{text}')]", self.platform)
    }

    async fn sees(&self, xpath: &str) {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(xpath)).await;
        found.unwrap_or_else(|error| panic!("{xpath} does not appear: {error}"));
    }

    /// Waits until nothing is there any more.
    async fn misses(&self, xpath: &str) {
        eventually(&format!("{xpath} to go away"), async || match self.client.find(Locator::XPath(xpath)).await {
            Ok(_) => Err("it is there".to_owned()),
            Err(_) => Ok(()),
        })
        .await;
    }

    /// Presses what can be pressed there; a page that is just being redrawn is tried again.
    async fn click(&self, xpath: &str) {
        eventually(&format!("{xpath} to be pressed"), async || {
            let node = self.client.find(Locator::XPath(xpath)).await.map_err(|error| error.to_string())?;
            node.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Presses the button with this label on the card that says `text`.
    async fn press(&self, text: &str, label: &str) {
        self.click(&format!("{}//button[normalize-space()='{label}' and not(@disabled)]", self.card(text))).await;
    }

    async fn act(&self, name: &str) {
        self.click(&format!("//section[@id='{}']//button[@data-act='{name}']", self.platform)).await;
    }

    async fn ask(&self, text: &str) {
        write(self.client, self.platform, &format!("@bot {text}")).await;
    }

    async fn stops_an_answer(&self, model: &Endpoint) {
        model.when("never stop", Script::gated("On and on ", &Gate::closed(), "and on."));
        self.ask("never stop").await;
        self.click(&format!("//section[@id='{}']//button[normalize-space()='Stop']", self.platform)).await;
        self.sees(&self.card("Stopped.")).await;
    }

    async fn turns_the_versions(&self, models: &[Endpoint; 2]) {
        let first = usual_answer("tell me");
        self.ask("tell me").await;
        self.sees(&self.card(&first)).await;
        models[0].when("tell me", Script::answer("The second answer."));
        self.press(&first, "Regenerate").await;
        self.sees(&self.card("The second answer.")).await;
        self.press("The second answer.", "‹").await;
        self.sees(&self.card(&first)).await;
        self.press(&first, "›").await;
        self.sees(&self.card("The second answer.")).await;
        models[1].when("tell me", Script::answer("From another engine."));
        self.press("The second answer.", "Ask second").await;
        self.sees(&self.card("From another engine.")).await;
    }

    async fn votes(&self) {
        const CARD: &str = "From another engine.";
        self.press(CARD, "👍").await;
        self.sees(&format!("{}//div[@class='toast' and not(@hidden)]", self.card(CARD))).await;
        self.press(CARD, "👎").await;
        let asked = match self.platform {
            "feishu" => format!("{}//form[@data-form]", self.card(CARD)),
            _ => format!("{}//button[normalize-space()='It is wrong']", self.card(CARD)),
        };
        self.sees(&asked).await;
        if self.platform == "feishu" {
            self.click(&format!("{asked}//select[@data-field='reason']/option[@value='wrong']")).await;
            let comment = Locator::Css("#feishu [data-field=comment]");
            let field = self.client.find(comment).await.expect("the form has a comment");
            field.send_keys("not at all").await.expect("it takes text");
            self.press(CARD, "Send").await;
        } else {
            self.press(CARD, "It is wrong").await;
        }
        self.misses(&asked).await;
        self.press(CARD, "New topic").await;
    }

    async fn runs_commands(&self) {
        self.ask("/help").await;
        let commands = [
            ("Who am I", "Role: member"),
            ("Status", "Answers running"),
            ("Choose a model", "Choose who answers you here"),
            ("Earlier topics", "Your latest topics here"),
            ("Export this topic", "There is nothing to export"),
            ("Stop the answer", "Nothing is being answered"),
            ("New topic", "All right, a fresh start."),
        ];
        for (label, answer) in commands {
            self.press("/whoami", label).await;
            self.sees(&self.card(answer)).await;
        }
    }

    async fn is_welcomed(&self) {
        if self.platform == "feishu" {
            self.act("open-direct").await;
        } else {
            self.act("new-group").await;
            self.sees("//section[@id='dingtalk']//button[@data-act='bot-membership' and @data-inside='false']").await;
            self.act("bot-membership").await;
        }
        self.press("Hello", "Who made you?").await;
        self.sees(&self.card(&usual_answer("Who made you?"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_presses_every_button_on_both_platforms() {
    let home = tempfile::tempdir().unwrap();
    let models = [Endpoint::start().await, Endpoint::start().await];
    let cloud = |name: &str, model: &Endpoint| {
        let url = &model.base_url;
        format!("[[model.cloud]]\nname = \"{name}\"\nbase_url = \"{url}\"\napi_key = \"sk\"\nmodel = \"stand-in\"\n")
    };
    let chat = "[chat]\nwelcome_questions = [\"Who made you?\"]\n";
    let config = format!("{chat}{}{}", cloud("primary", &models[0]), cloud("second", &models[1]));
    std::fs::write(home.path().join("demo.toml"), config).unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_magpie"));
    demo.args(["demo", "--listen", "127.0.0.1:0", "--config", "demo.toml"]).current_dir(home.path());
    let (_demo, line) = start(demo, "http://").await;
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let (_driver, client) = browser().await;
    client.goto(&address).await.unwrap();
    wait_for(&client, ".link.on").await;

    for platform in ["dingtalk", "feishu"] {
        let pane = Pane { client: &client, platform };
        pane.stops_an_answer(&models[0]).await;
        pane.turns_the_versions(&models).await;
        pane.votes().await;
        pane.runs_commands().await;
        pane.is_welcomed().await;
    }
    client.close().await.unwrap();
}
