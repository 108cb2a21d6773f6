//! DingTalk: events in, cards out.
