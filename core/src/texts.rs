//! Every fixed sentence a person may read. The words are in `texts/zh.ftl` and `texts/en.ftl`, in Fluent's format
//! (<https://projectfluent.org/fluent/guide/>); the code knows only their names.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::card::Language;
use crate::engine::{Backlog, EngineError};

/// Shorter waits are not worth a sentence, in seconds.
const NOTICEABLE_SECONDS: u64 = 3;

const SOURCE_ZH: &str = include_str!("../texts/zh.ftl");
const SOURCE_EN: &str = include_str!("../texts/en.ftl");

type Bundle = FluentBundle<FluentResource>;

static ZH: LazyLock<Bundle> = LazyLock::new(|| bundle("zh", SOURCE_ZH));
static EN: LazyLock<Bundle> = LazyLock::new(|| bundle("en", SOURCE_EN));

/// A fixed sentence. Its name in the files is the variant's in kebab-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Text {
    StopButton,
    NewTopicButton,
    RegenerateButton,
    /// With `engine`.
    OtherEngineButton,
    VoteFormTitle,
    VoteFormComment,
    VoteFormSubmit,
    VoteFormClose,
    ReasonWrong,
    ReasonIncomplete,
    ReasonOffTopic,
    ReasonUnclear,
    ReasonOther,
    /// In the answer's place until it begins.
    Thinking,
    ReasoningTitle,
    ReasoningHidden,
    ThanksForVote,
    Stopping,
    NotYours,
    UnknownCard,
    Regenerating,
    StillAnswering,
    PleaseSayWhy,
    AskedForYou,
    CommandSent,
    OtherEngineGone,

    Help,
    NewTopic,
    EmptyMessage,
    UnreadableMessage,
    AboutThePicture,
    NoVision,
    UnknownPicture,
    NoHearing,
    NothingSaid,
    RecordingRefused,
    NotHeard,
    /// With `count`, a number.
    TooManyFiles,
    /// This and the following ones with `name`.
    FileTooLarge,
    FileNotPermitted,
    FileNotFetched,
    FileUnsupported,
    FileLocked,
    FileDamaged,
    FileWithoutText,
    FileTooSlow,
    UnknownCommand,
    /// With `command`, the nearest one.
    UnknownCommandNear,
    Denied,
    AdminsOnly,
    /// With `seconds`, a number.
    TooManyMessages,
    StoppedAnswers,
    NothingToStop,
    Paused,
    Resumed,
    IsPaused,
    ModelChoice,
    /// With `model`.
    ModelChosen,
    ModelAuto,
    /// With `model`.
    ModelUnknown,
    HistoryTitle,
    HistoryEmpty,
    /// With `topic`.
    HistoryResumed,
    HistoryUnknown,
    HistorySummary,
    HistoryCurrent,
    Untitled,
    ExportEmpty,
    /// With `link` and `hours`.
    ExportLink,
    ExportTitle,
    /// With `name`, `user`, `chat`, `platform` and `role`.
    WhoAmI,
    Administrator,
    Member,
    /// With `running` and `waiting`, numbers.
    StatusQueue,
    WelcomeTitle,
    Welcome,
    WelcomeGroup,
    HelpButton,
    HelpNew,
    HelpStop,
    HelpStatus,
    HelpModel,
    HelpHistory,
    HelpExport,
    HelpWhoAmI,

    /// With `questions`, a number.
    Queue,
    /// With `questions` and `seconds`, numbers.
    QueueWithWait,
    /// With `seconds`, a number.
    Wait,

    Stopped,
    Recalled,
    Overtaken,
    QuestionTooLong,
    NoEngine,
    EngineBusy,
    EngineSlow,
    EngineFailed,
    Interrupted,
    GivenUp,
    ContentRefused,

    Works,
    DoesNotWork,
    Local,
    Cloud,
    /// With `seconds`, written out.
    Took,
    /// With `count`, a number.
    Tokens,
    /// With `cause`.
    FellBack,
    CauseOverloaded,
    CauseUnavailable,
    CauseTimeout,
    CauseInterrupted,
    CauseBreakerOpen,
    CauseRejected,
    CauseMissing,
    CauseMisconfigured,
}

impl Text {
    /// The sentence in `language`, for a text without variables.
    #[must_use]
    pub fn of(self, language: Language) -> String {
        self.with(language, &[])
    }

    /// The sentence in `language` with `values` for its variables, each a name and a number or a string. A number
    /// chooses the plural; a string is inserted as it is, whatever is in it.
    #[must_use]
    pub fn with(self, language: Language, values: &[(&str, FluentValue<'_>)]) -> String {
        let bundle: &Bundle = match language {
            Language::Zh => &ZH,
            Language::En => &EN,
        };
        let message = bundle.get_message(self.id()).expect("a test finds every text in both files");
        let sentence = message.value().expect("a test formats every text");
        let values: FluentArgs<'_> = values.iter().map(|(name, value)| (*name, value.clone())).collect();
        let mut errors = Vec::new();
        let formatted = bundle.format_pattern(sentence, Some(&values), &mut errors).into_owned();
        // In service a sentence with a hole in it is better than none.
        debug_assert!(errors.is_empty(), "{self:?} in {language:?}: {errors:?}");
        formatted
    }

    fn id(self) -> &'static str {
        self.into()
    }
}

fn bundle(language: &str, source: &str) -> Bundle {
    let resource = FluentResource::try_new(source.to_owned()).expect("a test parses both files");
    let mut bundle = Bundle::new_concurrent(vec![language.parse().expect("`zh` and `en` are language tags")]);
    // The marks that isolate right-to-left text are of no use to either language, and some clients show them as boxes.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).expect("a test finds no name twice");
    bundle
}

/// Why an engine of the strategy did not answer, in two or three words. `reason` is that of a
/// [`crate::engine::Fallback`]; an unknown one stays as it is.
#[must_use]
pub fn fallback_cause(reason: &str, language: Language) -> String {
    let text = match reason {
        "overloaded" => Text::CauseOverloaded,
        "unavailable" => Text::CauseUnavailable,
        "timeout" => Text::CauseTimeout,
        "interrupted" => Text::CauseInterrupted,
        "breaker_open" => Text::CauseBreakerOpen,
        "rejected" => Text::CauseRejected,
        "missing" => Text::CauseMissing,
        "misconfigured" => Text::CauseMisconfigured,
        other => return other.to_owned(),
    };
    text.of(language)
}

/// The one sentence for a person whose question no engine could answer.
#[must_use]
pub fn engine_error(error: &EngineError, language: Language) -> String {
    let text = match error {
        EngineError::Overloaded { .. } => Text::EngineBusy,
        EngineError::Timeout { .. } => Text::EngineSlow,
        EngineError::Rejected { .. } => Text::QuestionTooLong,
        EngineError::Interrupted { .. } => Text::Interrupted,
        EngineError::Unavailable { .. } | EngineError::Misconfigured { .. } => Text::EngineFailed,
    };
    text.of(language)
}

/// What a person reads who has to wait, until the answer begins; `None` if it will begin at once.
#[must_use]
pub fn in_line(backlog: Backlog, language: Language) -> Option<String> {
    let seconds = backlog.expected_wait.map(|wait| wait.as_secs()).filter(|seconds| *seconds >= NOTICEABLE_SECONDS);
    let sentence = match (backlog.waiting, seconds) {
        (0, None) => return None,
        (0, Some(seconds)) => Text::Wait.with(language, &[("seconds", seconds.into())]),
        (ahead, None) => Text::Queue.with(language, &[("questions", ahead.into())]),
        (ahead, Some(seconds)) => {
            Text::QueueWithWait.with(language, &[("questions", ahead.into()), ("seconds", seconds.into())])
        }
    };
    Some(sentence)
}

#[cfg(test)]
mod tests;
