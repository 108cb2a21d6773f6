-- Calls to platforms by app, class of API and calendar month of UTC (`2026-01`).
CREATE TABLE api_calls (
    app     text NOT NULL,
    class   text NOT NULL CHECK (class IN ('messages', 'cards', 'streaming', 'other')),
    month   text NOT NULL,
    calls   bigint NOT NULL,
    -- The day (`2026-01-31`) on which it was last reported that the month's budget is used up.
    told_on text,
    PRIMARY KEY (app, month, class)
);

-- When the calls that were given a place so far will have left, in microseconds since 1970 (UTC).
CREATE TABLE api_lines (
    app        text NOT NULL,
    class      text NOT NULL CHECK (class IN ('messages', 'cards', 'streaming', 'other')),
    reaches_us bigint NOT NULL,
    PRIMARY KEY (app, class)
);
