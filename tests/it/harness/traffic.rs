//! Many people at once, on both platforms, from a seed.

use std::time::Duration;

use magpie_sim::dingtalk::DingTalkSim;
use magpie_sim::feishu::FeishuSim;
use magpie_sim::view::CardState;

use super::wait::eventually;
use super::{Seat, Stage};

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From `MAGPIE_TEST_SEED`, else from the time; always said, so that a failure can be repeated.
    pub fn said_aloud(purpose: &str) -> Self {
        let given = std::env::var("MAGPIE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 16);
        println!("{purpose}: MAGPIE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Evenly from `range`.
    pub fn roll(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (mixed ^ (mixed >> 31)) % (range.end - range.start)
    }

    /// A pause of so many milliseconds.
    pub fn pause_ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.roll(range))
    }
}

/// Chats of the test's own, half of them on each platform.
pub fn open_chats(stage: &Stage, count: usize) -> Vec<Seat> {
    let [feishu, dingtalk] = stage.groups();
    let seat = |number: usize| {
        let title = format!("traffic {number}");
        if number.is_multiple_of(2) {
            let chat = stage.feishu.add_group(&title, &[&feishu.user]);
            Seat { chat, ..feishu.clone() }
        } else {
            let chat = format!("cidTraffic{number}+w==");
            stage.dingtalk.add_group(&chat, &title, &[&dingtalk.user]);
            Seat { chat, ..dingtalk.clone() }
        }
    };
    (0..count).map(seat).collect()
}

/// The question `number` in the chat `chat`; none contains another.
pub fn question(chat: usize, number: usize) -> String {
    format!("question {chat:03}n{number:03}")
}

/// What is answered to it, in a dozen words.
pub fn answer_to(question: &str) -> String {
    let name = question.split_whitespace().last().unwrap_or_default();
    format!("This is, word by word and in no hurry at all, the reply {name} and nothing else.")
}

/// Asks questions in one chat, given by its number and how many; each once the platform has got its acknowledgement
/// for the one before.
pub async fn talk(platforms: (FeishuSim, DingTalkSim), seat: Seat, (chat, count): (usize, usize), mut dice: Dice) {
    let (feishu, dingtalk) = platforms;
    let is_acknowledged = |message: &str| match seat.platform.name() {
        "feishu" => feishu.delivery(message).is_some_and(|delivery| delivery.acknowledged > 0),
        _ => !dingtalk.unacknowledged().iter().any(|open| open == message),
    };
    for number in 0..count {
        // How people type; nothing waits for it.
        tokio::time::sleep(dice.pause_ms(0..2500)).await;
        let pushed = seat.say(&question(chat, number)).await;
        eventually("the platform to be acknowledged", async || match is_acknowledged(&pushed.id) {
            true => Ok(()),
            false => Err(format!("{} is not", pushed.id)),
        })
        .await;
    }
}

/// Waits for every answer; sees to it that each is there once, in order, and that nothing is left open.
pub async fn all_answered_once(seats: &[Seat], count: usize) {
    for (chat, seat) in seats.iter().enumerate() {
        for number in 0..count {
            seat.finished(&answer_to(&question(chat, number))).await;
        }
    }
    for (chat, seat) in seats.iter().enumerate() {
        let shown = seat.answers();
        let expected: Vec<String> = (0..count).map(|number| answer_to(&question(chat, number))).collect();
        let in_order = shown.len() == count && shown.iter().zip(&expected).all(|(it, text)| it.markdown.contains(text));
        let all_final = shown.iter().all(|answer| answer.state == CardState::Final);
        assert!(in_order && all_final, "expected {expected:?} in this order, but: {}", seat.described());
    }
}
