//! Feishu and Lark: events in, cards out.
