-- Where a message was written, so that a group's talk can be looked up.
ALTER TABLE events ADD COLUMN chat_id TEXT;
ALTER TABLE events ADD COLUMN thread_id TEXT;
-- Number of the present claim; a worker's writes name it. `attempts` counts attempts at the work alone: a claim that
-- only shows a message's place in the queue gets 2147483648 + `shown`.
ALTER TABLE events ADD COLUMN claim INTEGER NOT NULL DEFAULT 0;
-- How often a message's place in the queue was shown, and the last number of messages before it; NULL: not known.
ALTER TABLE events ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN ahead INTEGER;
-- The event that a message became part of.
ALTER TABLE events ADD COLUMN merged_into TEXT;
-- What the sender's allowance said: 0 for go on, else how long to wait; NULL: not asked.
ALTER TABLE events ADD COLUMN wait_ms INTEGER;
UPDATE events SET claim = attempts WHERE done_at IS NULL;
CREATE INDEX events_merged ON events (merged_into, id) WHERE merged_into IS NOT NULL;
CREATE INDEX events_overheard ON events (bot, chat_id, coalesce(thread_id, ''), id) WHERE reason = 'not_mentioned';

-- Why a vote was given, by the name of a choice of the form.
ALTER TABLE feedback ADD COLUMN reason TEXT;

CREATE INDEX conversations_scope ON conversations (bot, scope, updated_at DESC, id DESC);

-- The answers to a question that was answered more than once. The chosen one stands in `messages` as well.
CREATE TABLE answer_versions (
    event_id          TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    number            INTEGER NOT NULL,
    text              TEXT NOT NULL,
    reasoning         TEXT,
    engine            TEXT,
    model             TEXT,
    fallback_from     TEXT,
    fallback_reason   TEXT,
    finish            TEXT,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    card              TEXT NOT NULL,
    chosen            INTEGER NOT NULL CHECK (chosen IN (0, 1)),
    -- The event that asked for this one; NULL: the question itself.
    made_by           TEXT UNIQUE,
    created_at        INTEGER NOT NULL,
    PRIMARY KEY (event_id, number)
);
CREATE UNIQUE INDEX answer_versions_chosen ON answer_versions (event_id) WHERE chosen;

-- Stands for the messages of a conversation up to and including those of the event `upto`.
CREATE TABLE summaries (
    conversation_id TEXT PRIMARY KEY NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    text            TEXT NOT NULL,
    upto            TEXT NOT NULL,
    updated_at      INTEGER NOT NULL
);

-- What was chosen for a scope, a chat or a person, such as the engine.
CREATE TABLE choices (
    bot        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (bot, subject, name)
) WITHOUT ROWID;

-- How much of a person's allowance is used: all of it comes back by `free_at`. `told_at`: last told to wait.
CREATE TABLE allowances (
    bot        TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    free_at    INTEGER NOT NULL,
    told_at    INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (bot, user_id)
) WITHOUT ROWID;
CREATE INDEX allowances_updated ON allowances (updated_at);
