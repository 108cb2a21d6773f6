//! Simulated DingTalk and Feishu platforms for the demo and the tests; shares no code with the adapters.
