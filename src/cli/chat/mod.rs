//! `magpie chat`: talking to the local model in a terminal.

mod input;
mod screen;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use futures::StreamExt as _;
use magpie_core::cancel::CancelToken;
use magpie_core::clock::SystemClock;
use magpie_core::conversation::window;
use magpie_core::engine::{Completion, Delta, Engine, Finish, Prompt, PromptMessage, Role, Sampling};
use magpie_core::platform::Health;

use super::loading::LoadingBar;
use super::{ConfigFile, Failure};
use crate::app::local;
use crate::config;
use input::{Input, Line};
use screen::Screen;

/// Where the demo model is put if no other is named: where `magpie demo` has it too.
const DEMO_FOLDER: &str = "data/demo";

const HELP: &str =
    "/reset  forget the conversation\n/help   this\n/quit   end; so does Ctrl-D\nCtrl-C stops an answer.";

/// Talk to the local model in this terminal.
///
/// Answers stream in; the conversation is remembered until /reset. Questions may also come from a pipe, one a line;
/// standard output then holds the answers and nothing else.
#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    config: ConfigFile,
    /// Model file or folder [default: model.local.path, else the demo model].
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT", default_value = "")]
    system: String,
}

impl Chat {
    pub async fn run(self) -> Result<(), Failure> {
        let mut model = self.config.load()?.config.model;
        choose_model(&mut model.local, self.model)?;
        let engine = load(&model).await?;
        let mut input = Input::new().map_err(Failure::failed)?;
        let info = engine.info();
        let mut talk = Talk {
            budget_tokens: info.context_tokens.unwrap_or(model.local.context_tokens),
            engine,
            system: self.system,
            turns: Vec::new(),
            screen: Screen::new(),
        };
        if input.is_terminal() {
            println!("{}. /help says what else can be typed.", info.model);
        }
        let mut failed = false;
        loop {
            match input.line().await.map_err(Failure::failed)? {
                Line::End => break,
                Line::Text(text) => match text.trim() {
                    "" => {}
                    "/quit" | "/exit" => break,
                    "/help" => println!("{HELP}"),
                    "/reset" => talk.turns.clear(),
                    command if command.starts_with('/') => {
                        eprintln!("there is no {command}; /help lists what there is")
                    }
                    question => failed |= !talk.turn(question).await,
                },
            }
        }
        if failed && !input.is_terminal() { Err(Failure::Told) } else { Ok(()) }
    }
}

/// What was named on the command line, else configured, else the demo model.
fn choose_model(local: &mut config::LocalModel, named: Option<String>) -> Result<(), Failure> {
    if let Some(path) = named {
        // What else is configured belongs to another model.
        *local = config::LocalModel {
            path,
            sha256: String::new(),
            tokenizer: String::new(),
            chat_template: String::new(),
            ..local.clone()
        };
    } else if local.path.is_empty() {
        let folder = PathBuf::from(DEMO_FOLDER);
        let written = std::fs::create_dir_all(&folder).and_then(|()| local::demo_model(&folder));
        let path = written.context("the demo model can't be written").map_err(Failure::Failed)?;
        local.path = path.map(|path| path.display().to_string()).unwrap_or_default();
        // Its figures were measured so; sampling mixes its few fixed answers.
        local.temperature = 0.0;
    }
    Ok(())
}

async fn load(model: &config::Model) -> Result<Arc<dyn Engine>, Failure> {
    let Some(engine) = local::chat_engine(model, Arc::new(SystemClock)) else {
        return Err(Failure::Usage(anyhow!("no model; set model.local.path or use --model")));
    };
    let mut bar = LoadingBar::new();
    while tokio::time::timeout(Duration::from_millis(100), engine.loaded()).await.is_err() {
        if let Health::Degraded { detail } = engine.health() {
            bar.say(detail);
        }
    }
    bar.end();
    match engine.health() {
        Health::Ok => Ok(engine as Arc<dyn Engine>),
        Health::Degraded { detail } => Err(Failure::Failed(anyhow!(detail))),
    }
}

/// A conversation.
struct Talk {
    engine: Arc<dyn Engine>,
    /// Prompt and answer together.
    budget_tokens: usize,
    system: String,
    /// Questions and answers in turn.
    turns: Vec<PromptMessage>,
    screen: Screen,
}

impl Talk {
    /// Asks and shows the answer; says whether there was one.
    async fn turn(&mut self, question: &str) -> bool {
        let prompt = match self.prompt(question) {
            Ok(prompt) => prompt,
            Err(why) => {
                eprintln!("error: {why}");
                return false;
            }
        };
        let stop = CancelToken::new();
        let mut deltas = self.engine.generate(prompt, stop.clone());
        let mut answer = String::new();
        self.screen.begin();
        loop {
            let delta = tokio::select! {
                biased;
                Ok(()) = tokio::signal::ctrl_c(), if !stop.is_cancelled() => {
                    stop.cancel();
                    continue;
                }
                delta = deltas.next() => delta,
            };
            match delta {
                Some(Ok(Delta::Text(text))) => {
                    self.screen.text(&text);
                    answer.push_str(&text);
                }
                Some(Ok(Delta::Reasoning(text))) => self.screen.reasoning(&text),
                Some(Ok(Delta::Done(completion))) => {
                    self.end(question, answer, completion);
                    return true;
                }
                // A single engine neither chooses nor begins anew.
                Some(Ok(Delta::Engine(_) | Delta::Restart)) => {}
                Some(Err(error)) => {
                    self.screen.end(None);
                    eprintln!("error: {:#}", anyhow::Error::new(error));
                    return false;
                }
                None => return false,
            }
        }
    }

    fn end(&mut self, question: &str, answer: String, completion: Completion) {
        self.screen.end(Some(completion));
        // A stopped answer is part of the conversation, as far as it came.
        if completion.finish != Finish::Cancelled || !answer.is_empty() {
            self.turns.push(PromptMessage { role: Role::User, text: question.to_owned() });
            self.turns.push(PromptMessage { role: Role::Assistant, text: answer });
        }
    }

    /// The conversation with this question, as much of it as leaves room for an answer.
    fn prompt(&self, question: &str) -> Result<Prompt, String> {
        let message = |role, text: &str| PromptMessage { role, text: text.to_owned() };
        let system = (!self.system.is_empty()).then(|| message(Role::System, &self.system));
        let messages = system.into_iter().chain(self.turns.iter().cloned()).chain([message(Role::User, question)]);
        let prompt = Prompt {
            messages: messages.collect(),
            sampling: Sampling::default(),
            images: Vec::new(),
            conversation: None,
        };
        let budget_tokens = self.budget_tokens * 3 / 4;
        window::fit(&prompt, budget_tokens, |text| self.engine.count_tokens(text)).map_err(|long| {
            format!("the question is {} tokens long; there is room for {}", long.tokens, long.budget_tokens)
        })
    }
}
