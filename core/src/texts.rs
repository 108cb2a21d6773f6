//! Every fixed sentence a person may read, in Chinese and English, in one place.

use crate::card::Language;
use crate::engine::{Backlog, EngineError};

/// Shorter waits are not worth a sentence, in seconds.
const NOTICEABLE_SECONDS: u64 = 3;

/// A fixed sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    StopButton,
    NewTopicButton,
    Stopped,
    Recalled,
    Help,
    NewTopic,
    EmptyMessage,
    UnreadableMessage,
    UnknownCommand,
    QuestionTooLong,
    NoEngine,
    EngineBusy,
    EngineSlow,
    EngineFailed,
    Interrupted,
    GivenUp,
    ContentRefused,
    ThanksForVote,
    Stopping,
    NotYours,
    UnknownCard,
    Works,
    DoesNotWork,
    Local,
    Cloud,
}

impl Text {
    /// The sentence in `language`.
    #[must_use]
    pub fn of(self, language: Language) -> &'static str {
        let (zh, en) = self.both();
        match language {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    fn both(self) -> (&'static str, &'static str) {
        match self {
            Self::StopButton => ("停止", "Stop"),
            Self::NewTopicButton => ("新话题", "New topic"),
            Self::Stopped => ("已停止。", "Stopped."),
            Self::Recalled => ("问题已撤回，不再回答。", "The question was taken back, so it is not answered."),
            Self::Help => (
                "直接提问即可；在群里请 @ 我。\n\n- `/help` 或 `/帮助`：显示这份说明\n- `/new` 或 `/新话题`：开始新话题，之前的内容不再参考\n- `/status` 或 `/状态`：查看哪些模型可用",
                "Just ask; in a group, @mention me.\n\n- `/help`: this page\n- `/new`: begin a new topic and leave the old one behind\n- `/status`: which models are available",
            ),
            Self::NewTopic => ("好的，我们从头开始。", "All right, a fresh start."),
            Self::EmptyMessage => {
                ("请把问题写在消息里，例如：@我 怎么报销？", "Please write your question in the message.")
            }
            Self::UnreadableMessage => (
                "这种消息我还读不懂，请把问题写成文字发给我。",
                "I can't read this kind of message yet. Please write your question as text.",
            ),
            Self::UnknownCommand => {
                ("没有这个命令。发送 `/帮助` 查看可用命令。", "There is no such command. Send `/help` to see them.")
            }
            Self::QuestionTooLong => (
                "这条消息太长，超出了模型一次能读的长度，请缩短后再发。",
                "This message is longer than the model can read at once. Please shorten it.",
            ),
            Self::NoEngine => (
                "现在没有可用的模型，请联系管理员。",
                "No model is set up at the moment. Please tell your administrator.",
            ),
            Self::EngineBusy => {
                ("现在提问的人太多，请稍后再试。", "Too many questions at the moment. Please try again shortly.")
            }
            Self::EngineSlow => {
                ("模型没有及时回应，请稍后再试。", "The model did not answer in time. Please try again.")
            }
            Self::EngineFailed => ("模型出错了，请稍后再试。", "The model failed. Please try again later."),
            Self::Interrupted => {
                ("回答在中途断开了，以上内容不完整。", "The answer broke off here and is not complete.")
            }
            Self::GivenUp => (
                "多次尝试后仍无法完成这次回答，请重新提问。",
                "This answer could not be completed after several attempts. Please ask again.",
            ),
            Self::ContentRefused => ("平台不允许显示这个答案。", "The platform did not allow this answer to be shown."),
            Self::ThanksForVote => ("谢谢反馈", "Thank you for your feedback"),
            Self::Stopping => ("正在停止", "Stopping"),
            Self::NotYours => ("只有提问的人可以这样做", "Only the person who asked can do this"),
            Self::UnknownCard => ("这张卡片已失效", "This card no longer works"),
            Self::Works => ("可用", "available"),
            Self::DoesNotWork => ("暂不可用", "not available"),
            Self::Local => ("本地", "local"),
            Self::Cloud => ("云端", "cloud"),
        }
    }
}

/// The one sentence for a person whose question no engine could answer.
#[must_use]
pub fn engine_error(error: &EngineError, language: Language) -> &'static str {
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
    let sentence = match (backlog.waiting, seconds, language) {
        (0, None, _) => return None,
        (0, Some(seconds), Language::Zh) => format!("大约 {seconds} 秒后开始回答。"),
        (0, Some(seconds), Language::En) => format!("The answer will begin in about {seconds} s."),
        (ahead, None, Language::Zh) => format!("前面还有 {ahead} 个问题。"),
        (ahead, None, Language::En) => format!("Questions before yours: {ahead}."),
        (ahead, Some(seconds), Language::Zh) => format!("前面还有 {ahead} 个问题，大约 {seconds} 秒后开始回答。"),
        (ahead, Some(seconds), Language::En) => format!("Questions before yours: {ahead}; about {seconds} s to wait."),
    };
    Some(sentence)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn people_are_told_how_many_are_before_them_and_how_long_it_takes() {
        let line = |waiting, seconds: Option<u64>, language| {
            in_line(Backlog { running: 1, waiting, expected_wait: seconds.map(Duration::from_secs) }, language)
        };
        assert_eq!(line(0, None, Language::En), None);
        assert_eq!(line(0, Some(2), Language::Zh), None);
        assert_eq!(line(0, Some(9), Language::Zh).unwrap(), "大约 9 秒后开始回答。");
        assert_eq!(line(2, None, Language::En).unwrap(), "Questions before yours: 2.");
        assert_eq!(line(2, Some(1), Language::En).unwrap(), "Questions before yours: 2.");
        assert_eq!(line(2, Some(40), Language::En).unwrap(), "Questions before yours: 2; about 40 s to wait.");
        assert_eq!(line(2, Some(40), Language::Zh).unwrap(), "前面还有 2 个问题，大约 40 秒后开始回答。");
    }
}
