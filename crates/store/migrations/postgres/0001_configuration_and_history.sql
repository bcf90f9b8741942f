-- Ids are TEXT, but UUID in the history, of which a quarter as much is compared and kept; moments are BIGINT
-- milliseconds, yes or no BIGINT 0 or 1, JSON TEXT: types that SQLite has, too, so that most statements are the same. What is compared is compared by its bytes (COLLATE "C"): that is cheaper, and does not change
-- with the system's locales, which would spoil the indexes.

-- One row: the revision of the configuration, and a known text sealed with the master key, to tell a wrong key by.
CREATE TABLE meta (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,
    master_key_check TEXT
);
INSERT INTO meta (id, revision) VALUES (1, 0);

CREATE TABLE callback (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    description TEXT NOT NULL,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    format TEXT NOT NULL,
    authorization_sealed TEXT NOT NULL,
    headers TEXT NOT NULL,
    -- NULL: it takes deliveries.
    disabled_reason TEXT,
    -- 1: it takes deliveries, but not now.
    paused BIGINT NOT NULL,
    -- NULL: an instance callback.
    account TEXT COLLATE "C",
    events TEXT NOT NULL,
    retry TEXT NOT NULL,
    timeout_ms BIGINT NOT NULL,
    max_in_flight BIGINT NOT NULL,
    -- NULL: as many requests a second as there are.
    rate_limit TEXT,
    -- NULL: the default.
    circuit TEXT,
    signing_secret_sealed TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    -- NULL: never.
    resumed_at_ms BIGINT
);
-- What changed since a revision.
CREATE INDEX callback_by_revision ON callback (revision);
-- The lists: all, and one account's.
CREATE INDEX callback_by_time ON callback (created_at_ms, id);
CREATE INDEX callback_by_account ON callback (account, created_at_ms, id);

-- What is left of a deleted callback: enough for a worker to hear of it, and no secret.
CREATE TABLE deleted_callback (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    deleted_at_ms BIGINT NOT NULL
);
CREATE INDEX deleted_callback_by_revision ON deleted_callback (revision);

CREATE TABLE api_key (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    -- NULL: the whole instance.
    account TEXT COLLATE "C",
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);

-- History, in one partition for each day, so that a day that is over is dropped and not deleted row by row. `day` is the
-- day (UTC, counted from 1970-01-01) on which the event was accepted: with it an event, its deliveries and their attempts
-- go together. Partitions are made as days come (src/postgres/partitions.rs); rows of a day that has none are kept in the
-- default ones.
--
-- The indexes are those of SQLite without the id at their end: a list sorts what has the same millisecond (incremental
-- sort), and an eighth less is written for each delivery.
CREATE TABLE event (
    id UUID NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    variables TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (id, account, day)
) PARTITION BY RANGE (day);
CREATE TABLE event_default PARTITION OF event DEFAULT;
-- The list of all, and a span of time.
CREATE INDEX event_by_time ON event (accepted_at_ms);
-- One account's list.
CREATE INDEX event_by_account ON event (account, accepted_at_ms);

CREATE TABLE delivery (
    id UUID NOT NULL,
    event_id UUID NOT NULL,
    event_name TEXT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    callback_id UUID NOT NULL,
    generation BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    -- Why it waits, if it is pending and does; why it was given up on, if it is cancelled.
    reason TEXT COLLATE "C",
    -- If it is pending.
    next_attempt_at_ms BIGINT,
    attempts BIGINT NOT NULL,
    -- The number of the first attempt of the series that it is in.
    series_start BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE TABLE delivery_default PARTITION OF delivery DEFAULT;
-- The list of all, and a span of time.
CREATE INDEX delivery_by_time ON delivery (created_at_ms);
-- One account's list.
CREATE INDEX delivery_by_account ON delivery (account, created_at_ms);
-- One callback's list.
CREATE INDEX delivery_by_callback ON delivery (callback_id, created_at_ms);
-- An event with its deliveries; retention.
CREATE INDEX delivery_by_event ON delivery (event_id);
-- The lists of what did not go well, and whether anything of a day is pending. Few rows: a delivery that succeeds at once
-- never touches it.
CREATE INDEX delivery_undelivered ON delivery (status, created_at_ms)
    WHERE status = 'pending' OR status = 'exhausted' OR status = 'cancelled';
-- What waits for a callback to be resumed: few rows, or none.
CREATE INDEX delivery_parked ON delivery (callback_id, created_at_ms) WHERE reason = 'paused';

CREATE TABLE attempt (
    delivery_id UUID NOT NULL,
    number BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    request_headers TEXT NOT NULL,
    -- NULL: no body.
    format TEXT,
    outcome TEXT NOT NULL,
    -- The outcome's, which is the response's.
    status BIGINT,
    retry_after_ms BIGINT,
    error TEXT,
    -- The rest is NULL if no response came.
    response_headers TEXT,
    -- As it is, or in base64 if it is no text that every database takes.
    response_body TEXT,
    response_body_is_base64 BIGINT,
    response_body_is_truncated BIGINT,
    day INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number, day)
) PARTITION BY RANGE (day);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;
