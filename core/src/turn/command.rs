//! What commands do and how they answer.

use tracing::info;

use super::Turn;
use super::ask::MODEL;
use super::message::{Case, Fixed, PAUSED, chat_subject};
use crate::card::Card;
use crate::conversation::command::{Command, ModelPick, Topic as Wanted};
use crate::conversation::scope_key;
use crate::engine::Role;
use crate::event::Body;
use crate::ids::{ConversationId, EventId, ScopeKey};
use crate::inbox::CancelCause;
use crate::links::LINK_HOURS;
use crate::platform::Health;
use crate::reply::ReplyError;
use crate::reply::buttons::Buttons;
use crate::router::EngineState;
use crate::store::Topic;
use crate::texts::Text;

/// Topics that `/history` lists.
const TOPICS: u32 = 8;
/// A topic's name is the beginning of its first question.
const TOPIC_CHARS: usize = 40;

impl Turn {
    /// Runs a command and gives its answer.
    pub(super) async fn command(&self, case: &Case<'_>, command: Command) -> Result<Fixed, ReplyError> {
        info!(?command, "command");
        let say = |text: Text| Ok(Fixed::answer(case.card(case.text(text))));
        match command {
            Command::Help => Ok(Fixed::answer(help(case, case.text(Text::Help)))),
            Command::New => {
                self.store.end_conversation(&case.bot.settings.id, &self.scope(case)).await?;
                say(Text::NewTopic)
            }
            Command::Stop => match self.stop(case).await? {
                0 => say(Text::NothingToStop),
                _ => say(Text::StoppedAnswers),
            },
            Command::Status => self.status(case).await,
            Command::Model(pick) => self.pick_model(case, pick).await,
            Command::History(wanted) => self.show_history(case, wanted).await,
            Command::Export => self.export(case).await,
            Command::WhoAmI => Ok(Fixed::answer(case.card(who_am_i(case)))),
            Command::Pause | Command::Resume if !case.is_admin() => {
                Ok(Fixed { card: case.card(case.text(Text::AdminsOnly)), reason: Some("denied") })
            }
            Command::Pause => self.set_pause(case, Some("")).await,
            Command::Resume => self.set_pause(case, None).await,
            Command::Unknown(None) => say(Text::UnknownCommand),
            Command::Unknown(Some(near)) => {
                let text = Text::UnknownCommandNear.with(case.language, &[("command", near.into())]);
                let mut card = case.card(text);
                card.buttons.insert(0, buttons(case).command(&format!("/{near}"), format!("/{near}")));
                Ok(Fixed::answer(card))
            }
        }
    }

    /// The scope of the conversation that a command speaks of: not always the one it waited in.
    fn scope(&self, case: &Case<'_>) -> ScopeKey {
        scope_key(&case.bot.settings.id, case.chat.session_scope, case.message)
    }

    /// Ends what is being answered or waits in the conversation: a person's own questions, an administrator's all.
    async fn stop(&self, case: &Case<'_>) -> Result<usize, ReplyError> {
        let mut stopped = 0;
        for open in self.inbox.open_in_scope(&case.bot.settings.id, &self.scope(case)).await? {
            let own = match &open.event.body {
                Body::Message(message) => message.sender.id == case.message.sender.id,
                Body::Task(task) => task.asked_by() == Some(&case.message.sender.id),
                _ => false,
            };
            if open.id != case.event() && (own || case.is_admin()) {
                self.inbox.cancel(open.id, CancelCause::Stopped).await?;
                stopped += 1;
            }
        }
        Ok(stopped)
    }

    /// One line an engine: its name, its model, whether it works; then how much there is to do.
    async fn status(&self, case: &Case<'_>) -> Result<Fixed, ReplyError> {
        let engines = self.router.engines();
        if engines.is_empty() {
            return Ok(Fixed::answer(case.card(case.text(Text::NoEngine))));
        }
        let line = |engine: &EngineState| {
            let word = match engine.health {
                Health::Ok => Text::Works,
                Health::Degraded { .. } => Text::DoesNotWork,
            };
            format!("- {} · {}: {}", engine.info.name, engine.info.model, case.text(word))
        };
        let mut lines: Vec<_> = engines.iter().map(line).collect();
        let backlog = self.router.backlog(&case.bot.settings.model);
        let numbers = [("running", backlog.running.into()), ("waiting", backlog.waiting.into())];
        lines.push(format!("\n{}", Text::StatusQueue.with(case.language, &numbers)));
        if self.is_paused(case.bot, case.message).await? {
            lines.push(format!("\n{}", case.text(Text::IsPaused)));
        }
        Ok(Fixed::answer(case.card(lines.join("\n"))))
    }

    async fn pick_model(&self, case: &Case<'_>, pick: ModelPick) -> Result<Fixed, ReplyError> {
        let (bot, scope) = (&case.bot.settings.id, self.scope(case));
        let offered = self.choosable(case.chat);
        let text = match pick {
            ModelPick::Named(name) if offered.contains(&name) => {
                self.store.choose(bot, scope.as_str(), MODEL, Some(&name)).await?;
                Text::ModelChosen.with(case.language, &[("model", name.into())])
            }
            ModelPick::Auto => {
                self.store.choose(bot, scope.as_str(), MODEL, None).await?;
                case.text(Text::ModelAuto)
            }
            ModelPick::Ask => case.text(Text::ModelChoice),
            ModelPick::Named(name) => Text::ModelUnknown.with(case.language, &[("model", name.into())]),
        };
        let mut card = case.card(text);
        let names = offered.iter().map(String::as_str).chain(["auto"]);
        let choices = names.map(|name| buttons(case).command(&format!("/model {name}"), name.to_owned()));
        card.buttons.splice(0..0, choices);
        Ok(Fixed::answer(card))
    }

    async fn show_history(&self, case: &Case<'_>, wanted: Wanted) -> Result<Fixed, ReplyError> {
        let scope = self.scope(case);
        let topics = self.store.topics(&case.bot.settings.id, &scope, TOPICS).await?;
        let chosen = match wanted {
            Wanted::List => return Ok(Fixed::answer(history(case, &topics))),
            Wanted::Place(place) => {
                place.checked_sub(1).and_then(|index| topics.get(index)).map(|topic| topic.conversation)
            }
            Wanted::Conversation(id) => Some(id),
        };
        let resumed = match chosen {
            Some(conversation) => self.store.resume(&case.bot.settings.id, &scope, conversation).await?,
            None => false,
        };
        let Some(conversation) = chosen.filter(|_| resumed) else {
            return Ok(Fixed::answer(case.card(case.text(Text::HistoryUnknown))));
        };
        let topic = topics.iter().find(|topic| topic.conversation == conversation);
        let name = topic.map_or_else(|| case.text(Text::Untitled), |topic| name(case, topic));
        Ok(Fixed::answer(case.card(Text::HistoryResumed.with(case.language, &[("topic", name.into())]))))
    }

    /// A link to the current topic as a file; where there can be none, the topic itself.
    async fn export(&self, case: &Case<'_>) -> Result<Fixed, ReplyError> {
        let topics = self.store.topics(&case.bot.settings.id, &self.scope(case), 1).await?;
        let Some(topic) = topics.into_iter().find(|topic| topic.current) else {
            return Ok(Fixed::answer(case.card(case.text(Text::ExportEmpty))));
        };
        let text = match self.links.transcript(topic.conversation) {
            Some(link) => {
                let values = [("link", link.into()), ("hours", LINK_HOURS.into())];
                Text::ExportLink.with(case.language, &values)
            }
            None => self.transcript(case, topic.conversation).await?,
        };
        Ok(Fixed::answer(case.card(text)))
    }

    async fn transcript(&self, case: &Case<'_>, conversation: ConversationId) -> Result<String, ReplyError> {
        let all = self.store.history(conversation, EventId(uuid::Uuid::max()), u32::MAX >> 1).await?;
        let block = |message: &crate::store::StoredMessage| match message.role {
            Role::User => format!("**{}**\n\n{}", case.message.sender.name.as_deref().unwrap_or("?"), message.text),
            Role::Assistant | Role::System => message.text.clone(),
        };
        Ok(all.iter().map(block).collect::<Vec<_>>().join("\n\n---\n\n"))
    }

    async fn set_pause(&self, case: &Case<'_>, value: Option<&str>) -> Result<Fixed, ReplyError> {
        self.store.choose(&case.bot.settings.id, &chat_subject(case.message), PAUSED, value).await?;
        let text = if value.is_some() { Text::Paused } else { Text::Resumed };
        Ok(Fixed::answer(case.card(case.text(text))))
    }
}

fn buttons(case: &Case<'_>) -> Buttons {
    Buttons { event: case.event(), language: case.language }
}

/// A card with a button for each command that can be pressed.
fn help(case: &Case<'_>, text: String) -> Card {
    let commands = [
        ("/new", Text::HelpNew),
        ("/stop", Text::HelpStop),
        ("/status", Text::HelpStatus),
        ("/model", Text::HelpModel),
        ("/history", Text::HelpHistory),
        ("/export", Text::HelpExport),
        ("/whoami", Text::HelpWhoAmI),
    ];
    let button = |(command, label): (&str, Text)| buttons(case).command(command, case.text(label));
    Card { buttons: commands.map(button).to_vec(), ..case.card(text) }
}

fn history(case: &Case<'_>, topics: &[Topic]) -> Card {
    if topics.is_empty() {
        return case.card(case.text(Text::HistoryEmpty));
    }
    let mut lines = vec![case.text(Text::HistoryTitle), String::new()];
    for (index, topic) in topics.iter().enumerate() {
        let mark = if topic.current { format!(" · {}", case.text(Text::HistoryCurrent)) } else { String::new() };
        lines.push(format!("{}. {} ({}){mark}", index + 1, name(case, topic), topic.questions));
    }
    let current = topics.iter().find(|topic| topic.current);
    if let Some(summary) = current.and_then(|topic| topic.summary.as_deref()) {
        lines.extend([
            String::new(),
            format!("**{}**", case.text(Text::HistorySummary)),
            String::new(),
            summary.to_owned(),
        ]);
    }
    let resumable = topics.iter().filter(|topic| !topic.current);
    let button = |topic: &Topic| buttons(case).command(&format!("/history {}", topic.conversation), name(case, topic));
    Card { questions: resumable.map(button).collect(), ..case.card(lines.join("\n")) }
}

/// What a person knows a topic by. It goes into Markdown, so what could be markup is made harmless.
fn name(case: &Case<'_>, topic: &Topic) -> String {
    let line = topic.question.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut name: String =
        line.chars().take(TOPIC_CHARS).filter(|c| !matches!(c, '*' | '_' | '`' | '[' | ']' | '<' | '|')).collect();
    if line.chars().count() > TOPIC_CHARS {
        name.push('…');
    }
    if name.is_empty() { case.text(Text::Untitled) } else { name }
}

fn who_am_i(case: &Case<'_>) -> String {
    let message = case.message;
    let role = if case.is_admin() { Text::Administrator } else { Text::Member };
    let values = [
        ("name", message.sender.name.as_deref().unwrap_or("?").into()),
        ("user", message.sender.id.as_str().into()),
        ("chat", message.chat.id.as_str().into()),
        ("platform", case.bot.settings.platform.as_str().into()),
        ("role", case.text(role).into()),
    ];
    Text::WhoAmI.with(case.language, &values)
}
