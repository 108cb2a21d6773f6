-- Ids are text (UUIDs in lower case with hyphens, so that text order is time order); times are milliseconds since 1970 (UTC).

-- Events as they came in; also the queue they are worked off from.
CREATE TABLE events (
    id                  TEXT PRIMARY KEY NOT NULL,
    bot                 TEXT NOT NULL,
    platform            TEXT NOT NULL,
    kind                TEXT NOT NULL,
    lane                TEXT NOT NULL CHECK (lane IN ('messages', 'control')),
    scope               TEXT NOT NULL,
    platform_event_id   TEXT NOT NULL,
    platform_message_id TEXT,
    conversation_id     TEXT,
    state               TEXT NOT NULL CHECK (state IN ('received', 'running', 'failed', 'done', 'dead')),
    reason              TEXT,
    attempts            INTEGER NOT NULL DEFAULT 0,
    worker              TEXT,
    lease_until         INTEGER,
    retry_at            INTEGER,
    cancel              TEXT,
    trace               TEXT,
    body                TEXT NOT NULL,
    occurred_at         INTEGER,
    received_at         INTEGER NOT NULL,
    done_at             INTEGER,
    -- An event is open until it has a `done_at`; the partial indexes below rely on it.
    CHECK ((state IN ('done', 'dead')) = (done_at IS NOT NULL))
);
CREATE INDEX events_open ON events (lane, id) WHERE done_at IS NULL;
CREATE INDEX events_open_scope ON events (bot, scope, id) WHERE done_at IS NULL AND lane = 'messages';
CREATE INDEX events_running_scope ON events (bot, scope) WHERE state = 'running';
CREATE INDEX events_running_worker ON events (worker) WHERE state = 'running';
CREATE INDEX events_unfinished ON events (state, received_at) WHERE state <> 'done';
CREATE INDEX events_received ON events (received_at);

-- Ids that make an event a duplicate: `e:` event id, `m:` message id; `r:` a message whose cancellation came first.
CREATE TABLE event_keys (
    bot        TEXT NOT NULL,
    key        TEXT NOT NULL,
    event_id   TEXT,
    cause      TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (bot, key)
) WITHOUT ROWID;
CREATE INDEX event_keys_created ON event_keys (created_at);

CREATE TABLE conversations (
    id         TEXT PRIMARY KEY NOT NULL,
    bot        TEXT NOT NULL,
    platform   TEXT NOT NULL,
    scope      TEXT NOT NULL,
    chat_id    TEXT NOT NULL,
    user_id    TEXT,
    thread_id  TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at   INTEGER
);
CREATE UNIQUE INDEX conversations_current ON conversations (bot, scope) WHERE ended_at IS NULL;
CREATE INDEX conversations_updated ON conversations (updated_at);

CREATE TABLE messages (
    id                TEXT PRIMARY KEY NOT NULL,
    conversation_id   TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    event_id          TEXT NOT NULL,
    role              TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    text              TEXT NOT NULL,
    reasoning         TEXT,
    user_id           TEXT,
    user_name         TEXT,
    engine            TEXT,
    model             TEXT,
    fallback_from     TEXT,
    fallback_reason   TEXT,
    finish            TEXT,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    created_at        INTEGER NOT NULL,
    UNIQUE (event_id, role)
);
CREATE INDEX messages_history ON messages (conversation_id, event_id DESC, role ASC);
CREATE INDEX messages_created ON messages (created_at);

-- What was sent to a platform because of an event; `kind` tells the parts of one event apart.
CREATE TABLE deliveries (
    id                  TEXT PRIMARY KEY NOT NULL,
    event_id            TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    bot                 TEXT NOT NULL,
    kind                TEXT NOT NULL,
    platform_message_id TEXT,
    card_id             TEXT,
    sequence            INTEGER NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('prepared', 'open', 'finishing', 'final', 'dropped')),
    card                TEXT NOT NULL,
    final_card          TEXT,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    UNIQUE (event_id, kind)
);
CREATE INDEX deliveries_message ON deliveries (bot, platform_message_id) WHERE platform_message_id IS NOT NULL;
CREATE INDEX deliveries_card ON deliveries (bot, card_id) WHERE card_id IS NOT NULL;

CREATE TABLE feedback (
    id         TEXT PRIMARY KEY NOT NULL,
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    bot        TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    value      TEXT NOT NULL CHECK (value IN ('up', 'down')),
    comment    TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (message_id, user_id)
);

CREATE TABLE usage_daily (
    day               TEXT NOT NULL,
    bot               TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    engine            TEXT NOT NULL,
    model             TEXT NOT NULL,
    answers           INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, bot, user_id, engine, model)
);

CREATE TABLE bot_error_logs (
    id         TEXT PRIMARY KEY NOT NULL,
    timestamp  INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    bot        TEXT NOT NULL,
    request_id TEXT NOT NULL,
    message    TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX bot_error_logs_timestamp ON bot_error_logs (timestamp);

CREATE TABLE audit_log (
    id         TEXT PRIMARY KEY NOT NULL,
    timestamp  INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    resource   TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    bot        TEXT,
    address    TEXT,
    request_id TEXT,
    detail     TEXT NOT NULL
);
CREATE INDEX audit_log_timestamp ON audit_log (timestamp);

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL UNIQUE,
    policy       TEXT NOT NULL,
    allow_ips    TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    rotated_at   INTEGER,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
);

-- Secrets of a key, by hash alone; `retired` ones are the history.
CREATE TABLE api_key_versions (
    id          TEXT PRIMARY KEY NOT NULL,
    key_id      TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    version     INTEGER NOT NULL,
    slot        TEXT NOT NULL CHECK (slot IN ('primary', 'secondary', 'retired')),
    secret_hash TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER,
    UNIQUE (key_id, version)
);

-- Values that all instances share, such as a generated secret.
CREATE TABLE settings (
    name       TEXT PRIMARY KEY NOT NULL,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
);
