-- Events as they came in; also the queue they are worked off from.
CREATE TABLE events (
    id                  uuid PRIMARY KEY,
    bot                 text NOT NULL,
    platform            text NOT NULL,
    kind                text NOT NULL,
    lane                text NOT NULL CHECK (lane IN ('messages', 'control')),
    scope               text NOT NULL,
    platform_event_id   text NOT NULL,
    platform_message_id text,
    conversation_id     uuid,
    state               text NOT NULL CHECK (state IN ('received', 'running', 'failed', 'done', 'dead')),
    reason              text,
    attempts            bigint NOT NULL DEFAULT 0,
    worker              text,
    lease_until         timestamptz,
    retry_at            timestamptz,
    cancel              text,
    trace               text,
    body                jsonb NOT NULL,
    occurred_at         timestamptz,
    received_at         timestamptz NOT NULL,
    done_at             timestamptz,
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
    bot        text NOT NULL,
    key        text NOT NULL,
    event_id   uuid,
    cause      text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (bot, key)
);
CREATE INDEX event_keys_created ON event_keys (created_at);

CREATE TABLE conversations (
    id         uuid PRIMARY KEY,
    bot        text NOT NULL,
    platform   text NOT NULL,
    scope      text NOT NULL,
    chat_id    text NOT NULL,
    user_id    text,
    thread_id  text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE UNIQUE INDEX conversations_current ON conversations (bot, scope) WHERE ended_at IS NULL;
CREATE INDEX conversations_updated ON conversations (updated_at);

CREATE TABLE messages (
    id                uuid PRIMARY KEY,
    conversation_id   uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    event_id          uuid NOT NULL,
    role              text NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    text              text NOT NULL,
    reasoning         text,
    user_id           text,
    user_name         text,
    engine            text,
    model             text,
    fallback_from     text,
    fallback_reason   text,
    finish            text,
    prompt_tokens     bigint,
    completion_tokens bigint,
    created_at        timestamptz NOT NULL,
    UNIQUE (event_id, role)
);
CREATE INDEX messages_history ON messages (conversation_id, event_id DESC, role ASC);
CREATE INDEX messages_created ON messages (created_at);

-- What was sent to a platform because of an event; `kind` tells the parts of one event apart.
CREATE TABLE deliveries (
    id                  uuid PRIMARY KEY,
    event_id            uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    bot                 text NOT NULL,
    kind                text NOT NULL,
    platform_message_id text,
    card_id             text,
    sequence            bigint NOT NULL,
    state               text NOT NULL CHECK (state IN ('prepared', 'open', 'finishing', 'final', 'dropped')),
    card                jsonb NOT NULL,
    final_card          jsonb,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    UNIQUE (event_id, kind)
);
CREATE INDEX deliveries_message ON deliveries (bot, platform_message_id) WHERE platform_message_id IS NOT NULL;
CREATE INDEX deliveries_card ON deliveries (bot, card_id) WHERE card_id IS NOT NULL;

CREATE TABLE feedback (
    id         uuid PRIMARY KEY,
    message_id uuid NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    bot        text NOT NULL,
    user_id    text NOT NULL,
    value      text NOT NULL CHECK (value IN ('up', 'down')),
    comment    text,
    created_at timestamptz NOT NULL,
    UNIQUE (message_id, user_id)
);

CREATE TABLE usage_daily (
    day               date NOT NULL,
    bot               text NOT NULL,
    user_id           text NOT NULL,
    engine            text NOT NULL,
    model             text NOT NULL,
    answers           bigint NOT NULL,
    prompt_tokens     bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    PRIMARY KEY (day, bot, user_id, engine, model)
);

CREATE TABLE bot_error_logs (
    id         uuid PRIMARY KEY,
    timestamp  timestamptz NOT NULL,
    error_code text NOT NULL,
    bot        text NOT NULL,
    request_id text NOT NULL,
    message    text NOT NULL,
    detail     jsonb NOT NULL
);
CREATE INDEX bot_error_logs_timestamp ON bot_error_logs (timestamp);

CREATE TABLE audit_log (
    id         uuid PRIMARY KEY,
    timestamp  timestamptz NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    resource   text NOT NULL,
    outcome    text NOT NULL,
    bot        text,
    address    text,
    request_id text,
    detail     jsonb NOT NULL
);
CREATE INDEX audit_log_timestamp ON audit_log (timestamp);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    prefix       text NOT NULL UNIQUE,
    policy       jsonb NOT NULL,
    allow_ips    jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    rotated_at   timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

-- Secrets of a key, by hash alone; `retired` ones are the history.
CREATE TABLE api_key_versions (
    id          uuid PRIMARY KEY,
    key_id      uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    version     bigint NOT NULL,
    slot        text NOT NULL CHECK (slot IN ('primary', 'secondary', 'retired')),
    secret_hash text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    retired_at  timestamptz,
    UNIQUE (key_id, version)
);

-- Values that all instances share, such as a generated secret.
CREATE TABLE settings (
    name       text PRIMARY KEY,
    value      text NOT NULL,
    updated_at timestamptz NOT NULL
);
