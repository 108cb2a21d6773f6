//! Tenant tokens: 2 h of life, the same one again while 30 minutes of it remain.

use crate::feishu::ids;

const LIFE_MS: i64 = 7_200_000;
const SAME_AGAIN_MS: i64 = 1_800_000;

#[derive(Debug, Default)]
pub(in crate::feishu) struct Tokens {
    /// `(token, end of life)`, oldest first. An older token works until its end beside a newer one.
    issued: Vec<(String, i64)>,
}

impl Tokens {
    /// The current token and its remaining seconds.
    pub(in crate::feishu) fn issue(&mut self, now_ms: i64) -> (String, i64) {
        self.issued.retain(|(_, ends_ms)| *ends_ms > now_ms);
        if let Some((token, ends_ms)) = self.issued.last().filter(|(_, ends_ms)| ends_ms - now_ms >= SAME_AGAIN_MS) {
            return (token.clone(), (ends_ms - now_ms) / 1_000);
        }
        let token = ids::fresh("t-");
        self.issued.push((token.clone(), now_ms + LIFE_MS));
        (token, LIFE_MS / 1_000)
    }

    pub(in crate::feishu) fn is_valid(&self, token: &str, now_ms: i64) -> bool {
        self.issued.iter().any(|(known, ends_ms)| known == token && *ends_ms > now_ms)
    }

    /// Everything issued so far stops working.
    pub(in crate::feishu) fn invalidate(&mut self) {
        self.issued.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_same_until_thirty_minutes_remain() {
        let mut tokens = Tokens::default();
        let (first, life_s) = tokens.issue(0);
        assert_eq!(life_s, 7_200);
        assert_eq!(tokens.issue(LIFE_MS - SAME_AGAIN_MS).0, first);
        let late = LIFE_MS - SAME_AGAIN_MS + 1_000;
        let (second, _) = tokens.issue(late);
        assert_ne!(second, first);
        assert!(tokens.is_valid(&first, late) && tokens.is_valid(&second, late));
        assert!(!tokens.is_valid(&first, LIFE_MS));
    }
}
