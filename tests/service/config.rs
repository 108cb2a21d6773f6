//! Every layer of the configuration, and what is refused how.

use std::fs;

use magpie::config::{ConfigError, Environment, Loaded, Sources};
use magpie_core::attachment::FileSettings;
use magpie_core::settings::{ChatSettings, GroupPolicy, ModelChoice, SessionScope};

const HELPDESK: &str = r#"
[bots.helpdesk]
platform = "feishu"
app_id = "cli_a"
app_secret = "very private one"
verification_token = "very private two"
"#;

fn parse(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let environment: Environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources { file: Some(("magpie.toml", file)), environment: &environment, command: None }.parse()
}

fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
    parse(file, environment).expect_err("this configuration must be refused").to_string()
}

#[test]
fn defaults_alone_boot_on_sqlite_without_bots() {
    let loaded = parse("", &[]).unwrap();
    assert_eq!(loaded.config.server.listen, "0.0.0.0:18789");
    assert_eq!(loaded.config.store.url.reveal(), "sqlite://data/magpie.db");
    assert!(loaded.config.bots.is_empty() && loaded.config.model.cloud.is_empty());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn default_chat_section_equals_the_defaults_of_core() {
    let loaded = parse(HELPDESK, &[]).unwrap();
    assert_eq!(loaded.config.bot_settings()[0].chat, ChatSettings::default());
}

#[test]
fn default_files_section_equals_the_defaults_of_core() {
    let config = parse("", &[]).unwrap().config;
    assert_eq!(config.files.settings(), FileSettings::default());
    assert!(config.model.transcription.base_url.is_empty(), "nobody's voice goes anywhere unasked");
}

#[test]
fn files_and_transcription_keep_their_limits() {
    let file = "[files]\nmax_bytes = \"5MiB\"\nmax_files = 0\n\
        [model.transcription]\nbase_url = \"https://a.example/v1\"\nmodel = \"whisper-1\"\nlanguage = \"zh\"\n";
    let config = parse(file, &[]).unwrap().config;
    let settings = config.files.settings();
    assert_eq!((settings.max_bytes, settings.max_files), (5 << 20, 0));
    assert_eq!(config.model.transcription.language, "zh");
    for (file, told) in [
        ("files.max_bytes = \"101MiB\"", "files.max_bytes: is \"101MiB\"; must be a size from 1MiB to 100MiB"),
        ("files.max_characters = 1", "is 1; must be an integer from 1000 to 1000000"),
        ("model.transcription.language = \"Chinese\"", "must be empty or a language's code of two or three letters"),
        ("model.transcription.base_url = \"https://a.example\"", "model.transcription.model: is missing"),
        ("model.transcription.model = \"whisper-1\"", "model.transcription.base_url: is missing"),
    ] {
        let text = refusal(file, &[]);
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn later_layers_win() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nmax_body_bytes = 2048\n";
    let loaded = parse(file, &[("MAGPIE_SERVER__LISTEN", "127.0.0.1:2")]).unwrap();
    assert_eq!(loaded.config.server.listen, "127.0.0.1:2");
    assert_eq!(loaded.config.server.max_body_bytes, 2048);
    assert_eq!(loaded.config.server.keep_alive_seconds, 60);
}

#[test]
fn the_layer_of_a_command_wins_over_all_and_replaces_the_bots() {
    let environment: Environment =
        [("MAGPIE_SERVER__LISTEN".to_owned(), "127.0.0.1:2".to_owned())].into_iter().collect();
    let command = "server.listen = \"127.0.0.1:3\"\nbots.demo.platform = \"dingtalk\"\nbots.demo.client_id = \"a\"\n\
        bots.demo.client_secret = \"b\"\n";
    let sources = Sources { file: Some(("f", HELPDESK)), environment: &environment, command: Some(command) };
    let config = sources.parse().unwrap().config;
    assert_eq!(config.server.listen, "127.0.0.1:3");
    assert_eq!(config.bots.keys().collect::<Vec<_>>(), ["demo"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let text = refusal("[server]\nlisten = \"127.0.0.1:1\"\nmax_boddy_bytes = 1\n", &[]);
    assert_eq!(text, "magpie.toml:3: server.max_boddy_bytes: unknown key; did you mean `max_body_bytes`?");
    let text = refusal(&HELPDESK.replace("verification_token", "verification_tokn"), &[]);
    assert!(text.starts_with("magpie.toml:6: bots.helpdesk.verification_tokn: unknown key; did you mean"), "{text}");
    let text = refusal(&format!("{HELPDESK}[bots.helpdesk.chat]\ngroup_polcy = \"all\"\n"), &[]);
    assert!(text.contains("did you mean `group_policy`?"), "{text}");
    let text = refusal("[[model.cloud]]\nname = \"a\"\nbase_ulr = \"https://a\"\n", &[]);
    assert!(text.contains("magpie.toml:3: model.cloud.0.base_ulr") && text.contains("`base_url`"), "{text}");
    let text = refusal("", &[("MAGPIE_SERVER__LISTEM", "x")]);
    assert!(text.contains("MAGPIE_SERVER__LISTEM") && text.contains("`listen`"), "{text}");
}

#[test]
fn every_unknown_key_is_reported_at_once() {
    let text = refusal("nonsense = 1\n[server]\nlisten_on = 2\n", &[]);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn malformed_toml_is_refused_with_its_line() {
    let text = refusal("[server]\nlisten = \n", &[]);
    assert!(text.starts_with("magpie.toml:2: not valid TOML"), "{text}");
}

#[test]
fn a_value_out_of_range_names_key_value_and_range() {
    let text = refusal("[server]\ntimestamp_window_seconds = 5\n", &[]);
    assert_eq!(text, "magpie.toml:2: server.timestamp_window_seconds: is 5; must be an integer from 60 to 86400");
    let text = refusal("[store]\ndedupe_hours = 7\n", &[]);
    assert!(text.contains("from 8 to"), "{text}");
    let text = refusal("[log]\nformat = \"xml\"\n", &[]);
    assert!(text.contains("is \"xml\"; must be one of text, json"), "{text}");
    let text = refusal("", &[("MAGPIE_LOG__LEVEL", "loud")]);
    assert!(text.contains("environment variable MAGPIE_LOG__LEVEL: log.level"), "{text}");
    let text = refusal("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/40\"]\n", &[]);
    assert!(text.contains("server.trusted_proxies.1: is \"10.0.0.0/40\""), "{text}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    let text = refusal("[server]\nmax_body_bytes = \"big\"\n", &[]);
    assert!(text.contains("must be an integer, is a string"), "{text}");
    let text = refusal("", &[("MAGPIE_SERVER__MAX_BODY_BYTES", "big")]);
    assert!(text.contains("must be an integer"), "{text}");
    let text = refusal("server = 1\n", &[]);
    assert!(text.contains("server: must be a table"), "{text}");
}

#[test]
fn the_environment_fills_lists_by_number() {
    let environment: Vec<(String, String)> =
        (0..11).map(|i| (format!("MAGPIE_CHAT__ALLOW_USERS__{i}"), format!("user{i}"))).collect();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let loaded = parse("", &environment).unwrap();
    assert_eq!(loaded.config.server.trusted_proxies.len(), 0);
    let bot = parse(HELPDESK, &environment).unwrap().config.bot_settings().remove(0);
    assert_eq!(bot.chat.allow_users.len(), 11);
    assert_eq!(bot.chat.allow_users[10], "user10");
}

#[test]
fn the_environment_changes_one_element_of_a_list_of_tables() {
    let file = "[[model.cloud]]\nname = \"a\"\nbase_url = \"https://a.example\"\nmodel = \"m\"\n";
    let environment = [
        ("MAGPIE_MODEL__CLOUD__0__API_KEY", "key-a"),
        ("MAGPIE_MODEL__CLOUD__1__NAME", "b"),
        ("MAGPIE_MODEL__CLOUD__1__BASE_URL", "https://b.example"),
        ("MAGPIE_MODEL__CLOUD__1__MODEL", "n"),
    ];
    let cloud = parse(file, &environment).unwrap().config.model.cloud;
    assert_eq!((cloud[0].name.as_str(), cloud[0].api_key.reveal()), ("a", "key-a"));
    assert_eq!((cloud[1].name.as_str(), cloud[1].max_retries), ("b", 2));
}

#[test]
fn a_gap_in_a_list_is_refused() {
    let text = refusal("", &[("MAGPIE_CHAT__ALLOW_USERS__1", "x")]);
    assert!(text.contains("the next free number is 0"), "{text}");
    let text = refusal("", &[("MAGPIE_CHAT__ALLOW_USERS", "x"), ("MAGPIE_SERVER__TLS", "x")]);
    assert!(text.contains("MAGPIE_SERVER__TLS__KEY") && text.contains("MAGPIE_CHAT__ALLOW_USERS__0"), "{text}");
}

#[test]
fn bot_names_in_the_environment_ignore_case_and_hyphens() {
    let file = HELPDESK.replace("helpdesk", "help-desk");
    let loaded = parse(&file, &[("MAGPIE_BOTS__HELP_DESK__APP_SECRET", "other")]).unwrap();
    assert_eq!(loaded.config.bots["help-desk"].app_secret.reveal(), "other");
}

#[test]
fn a_bot_can_stand_in_the_environment_alone() {
    let environment = [
        ("MAGPIE_BOTS__IT__PLATFORM", "dingtalk"),
        ("MAGPIE_BOTS__IT__CLIENT_ID", "ding1"),
        ("MAGPIE_BOTS__IT__CLIENT_SECRET", "secret"),
        ("MAGPIE_BOTS__IT__CHAT__SESSION_SCOPE", "chat"),
    ];
    let bot = parse("", &environment).unwrap().config.bot_settings().remove(0);
    assert_eq!(bot.id.as_str(), "it");
    assert_eq!(bot.chat.session_scope, SessionScope::Chat);
}

#[test]
fn database_url_sets_the_store_unless_the_key_itself_is_set() {
    let url = ("DATABASE_URL", "postgres://u:p@db/magpie");
    let file = "[store]\nurl = \"sqlite://x.db\"\n";
    assert_eq!(parse(file, &[url]).unwrap().config.store.url.reveal(), url.1);
    let both = [url, ("MAGPIE_STORE__URL", "sqlite://y.db")];
    assert_eq!(parse(file, &both).unwrap().config.store.url.reveal(), "sqlite://y.db");
}

#[test]
fn references_are_resolved_and_typed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "from a file\n").unwrap();
    let file = HELPDESK
        .replace("very private one", &format!("file:{}", secret.display()))
        .replace("very private two", "${TOKEN}")
        + "[server]\nmax_body_bytes = \"${BODY}\"\n";
    let config = parse(&file, &[("TOKEN", "from the environment"), ("BODY", "4096")]).unwrap().config;
    assert_eq!(config.bots["helpdesk"].app_secret.reveal(), "from a file");
    assert_eq!(config.bots["helpdesk"].verification_token.reveal(), "from the environment");
    assert_eq!(config.server.max_body_bytes, 4096);
}

#[test]
fn a_reference_to_nothing_is_refused() {
    let file = HELPDESK.replace("very private one", "${NOT_SET}").replace("very private two", "file:/no/such/file");
    let text = refusal(&file, &[]);
    assert!(text.contains("bots.helpdesk.app_secret: takes its value from the environment variable NOT_SET"), "{text}");
    assert!(text.contains("bots.helpdesk.verification_token: takes its value from the file /no/such/file"), "{text}");
}

#[test]
fn a_missing_secret_is_named() {
    let text = refusal(&HELPDESK.replace("verification_token = \"very private two\"", ""), &[]);
    assert!(text.contains("bots.helpdesk.verification_token: is missing"), "{text}");
    let text = refusal("[bots.it]\nplatform = \"dingtalk\"\nclient_id = \"a\"\n", &[]);
    assert!(text.starts_with("magpie.toml:1: bots.it.client_secret: is missing"), "{text}");
    let text = refusal("[bots.it]\nclient_id = \"a\"\n", &[]);
    assert!(text.contains("bots.it.platform") && text.contains("feishu, lark, dingtalk"), "{text}");
}

#[test]
fn secrets_never_show() {
    let file = HELPDESK.replace("cli_a\"", "cli_a\"\nmodel = \"none such\"");
    assert!(!refusal(&file, &[]).contains("private"));
    assert!(!format!("{:?}", parse(HELPDESK, &[]).unwrap().config).contains("private"));
    let text = refusal("[auth]\njwt_secret = \"short private\"\n", &[]);
    assert!(text.contains("at least 32 bytes") && !text.contains("private"), "{text}");
    let text = refusal("[store]\nencryption_key = \"cHJpdmF0ZQ==\"\n", &[]);
    assert!(text.contains("32 bytes in base64") && !text.contains("cHJp"), "{text}");
    let text = refusal("[store]\nurl = \"mysql://u:private@h/d\"\n", &[]);
    assert!(text.contains("postgres://") && !text.contains("private"), "{text}");
}

#[test]
fn one_app_serves_one_bot() {
    let file = format!("{HELPDESK}{}", HELPDESK.replace("helpdesk", "second"));
    let text = refusal(&file, &[]);
    assert!(text.contains("bots.second.app_id: is the same as bots.helpdesk.app_id"), "{text}");
}

#[test]
fn a_bot_uses_a_model_there_is_and_keys_of_its_platform() {
    let cloud = "[[model.cloud]]\nname = \"primary\"\nbase_url = \"https://a.example\"\nmodel = \"m\"\n";
    let with = |line: &str| format!("{HELPDESK}{line}\n{cloud}");
    let named = parse(&with("model = \"primary\""), &[]).unwrap();
    assert_eq!(named.config.bot_settings()[0].model, ModelChoice::Named("primary".to_owned()));
    let text = refusal(&with("model = \"primry\""), &[]);
    assert!(text.contains("must be one of auto, local, primary"), "{text}");
    let text = refusal(&with("robot_code = \"x\""), &[]);
    assert!(text.contains("bots.helpdesk.robot_code: has no meaning on feishu"), "{text}");
}

#[test]
fn names_of_bots_are_plain() {
    let text = refusal(&HELPDESK.replace("bots.helpdesk", "bots.\"Help desk\""), &[]);
    assert!(text.contains("a bot's name is made of"), "{text}");
}

#[test]
fn a_bot_overrides_single_keys_of_the_chat_section() {
    let file = format!("[chat]\nhistory_messages = 5\n{HELPDESK}[bots.helpdesk.chat]\ngroup_policy = \"all\"\n");
    let chat = parse(&file, &[]).unwrap().config.bot_settings().remove(0).chat;
    assert_eq!((chat.history_messages, chat.group_policy), (5, GroupPolicy::All));
}

#[test]
fn a_key_without_effect_is_never_silent() {
    let text = refusal("[store]\nencrypt_messages = true\n", &[]);
    assert!(text.contains("store.encrypt_messages: has no effect in this version"), "{text}");
    let text = refusal(&format!("{HELPDESK}transport = \"stream\"\n"), &[]);
    assert!(text.contains("only webhook works yet"), "{text}");
    let loaded = parse("[auth]\ntoken_ttl_seconds = 60\nkeep_key_versions = 3\n", &[]).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].starts_with("magpie.toml:2: auth.token_ttl_seconds: has no effect"));
}

#[test]
fn a_variable_with_a_single_underscore_is_pointed_out() {
    let loaded = parse("", &[("MAGPIE_SERVER_LISTEN", "x"), ("MAGPIE_PORT", "tcp://10.0.0.1:80")]).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("did you mean MAGPIE_SERVER__LISTEN?"));
}

#[test]
fn timeouts_fit_each_other() {
    let text = refusal("[model]\nrequest_timeout_ms = 200000\n", &[]);
    assert!(text.contains("model.total_timeout_ms: is 120000; must not be under"), "{text}");
}

#[test]
fn the_example_is_valid_as_it_stands_and_with_its_comments_taken_off() {
    let example = include_str!("../../config/example.toml");
    parse(example, &[]).unwrap();
    let uncommented: String = example
        .lines()
        .filter(|line| !line.starts_with("# ") || line.contains(" = ") || line.starts_with("# ["))
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let secrets =
        ["FEISHU_APP_SECRET", "FEISHU_VERIFICATION_TOKEN", "FEISHU_ENCRYPT_KEY", "DING_SECRET", "CLOUD_API_KEY"];
    let loaded = parse(&uncommented, &secrets.map(|name| (name, "value"))).unwrap();
    assert_eq!(loaded.config.bots.len(), 2);
}

#[test]
fn groups_start_from_their_bots_chat_section_and_are_checked_like_it() {
    let bot = "[bots.it]\nplatform = \"dingtalk\"\nclient_id = \"a\"\nclient_secret = \"b\"\n";
    let text = format!(
        "{bot}[bots.it.chat]\ndeny_reply = true\nhistory_messages = 7\n\
         [bots.it.groups.\"cid==\"]\ngroup_policy = \"off\"\nhistory_messages = 3\n"
    );
    let settings = parse(&text, &[]).unwrap().config.bot_settings().remove(0);
    let (own, group) = (settings.chat_in(&"else".into()).clone(), settings.chat_in(&"cid==".into()).clone());
    assert_eq!((own.history_messages, group.history_messages), (7, 3));
    assert!(own.deny_reply && group.deny_reply, "what the group does not say is as in the bot's section");
    assert_ne!(own.group_policy, group.group_policy);
    for (wrong, said) in [
        ("busy_policy = \"jump\"", "bots.it.groups.cid==.busy_policy"),
        ("deny_replies = true", "did you mean `deny_reply`?"),
        ("models = [\"nobody\"]", "bots.it.groups.cid==.models"),
    ] {
        let text = format!("{bot}[bots.it.groups.\"cid==\"]\n{wrong}\n");
        let refused = refusal(&text, &[]);
        assert!(refused.contains(said), "{refused}");
    }
}
