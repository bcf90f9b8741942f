-- Ids are TEXT, moments BIGINT milliseconds, yes or no BIGINT 0 or 1, JSON TEXT: types that PostgreSQL has, too.

-- One row: the revision of the configuration, and a known text sealed with the master key, to tell a wrong key by.
CREATE TABLE meta (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL,
    master_key_check TEXT
);
INSERT INTO meta (id, revision) VALUES (1, 0);

CREATE TABLE callback (
    id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    description TEXT NOT NULL,
    url TEXT NOT NULL,
    method TEXT NOT NULL,
    format TEXT NOT NULL,
    authorization_sealed TEXT NOT NULL,
    headers TEXT NOT NULL,
    -- NULL: enabled.
    disabled_reason TEXT,
    -- NULL: an instance callback.
    account TEXT,
    events TEXT NOT NULL,
    retry TEXT NOT NULL,
    timeout_ms BIGINT NOT NULL,
    max_in_flight BIGINT NOT NULL,
    signing_secret_sealed TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
-- What changed since a revision.
CREATE INDEX callback_by_revision ON callback (revision);
-- The lists: all, and one account's.
CREATE INDEX callback_by_time ON callback (created_at_ms, id);
CREATE INDEX callback_by_account ON callback (account, created_at_ms, id);

-- What is left of a deleted callback: enough for a worker to hear of it, and no secret.
CREATE TABLE deleted_callback (
    id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    deleted_at_ms BIGINT NOT NULL
);
CREATE INDEX deleted_callback_by_revision ON deleted_callback (revision);

CREATE TABLE api_key (
    id TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    -- NULL: the whole instance.
    account TEXT,
    hash TEXT NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL
);

-- History. Each index below serves a list that would otherwise read every row; all together they are a third of the work
-- of recording a delivery (examples/record.rs), so another one has to be worth it.
CREATE TABLE event (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    variables TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
-- The list of all, a span of time, and what retention deletes.
CREATE INDEX event_by_time ON event (accepted_at_ms, id);
-- One account's list.
CREATE INDEX event_by_account ON event (account, accepted_at_ms, id);

CREATE TABLE delivery (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    account TEXT NOT NULL,
    callback_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    status TEXT NOT NULL,
    -- Why it waits, if it is pending and does; why it was given up on, if it is cancelled.
    reason TEXT,
    -- If it is pending.
    next_attempt_at_ms BIGINT,
    attempts BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
-- The list of all, and a span of time.
CREATE INDEX delivery_by_time ON delivery (created_at_ms, id);
-- One account's list.
CREATE INDEX delivery_by_account ON delivery (account, created_at_ms, id);
-- One callback's list.
CREATE INDEX delivery_by_callback ON delivery (callback_id, created_at_ms, id);
-- An event with its deliveries; retention.
CREATE INDEX delivery_by_event ON delivery (event_id);
-- The lists of what did not go well. Few rows: a delivery that succeeds at once never touches it. Most rows are delivered,
-- so a list of those is found along the other indexes.
CREATE INDEX delivery_undelivered ON delivery (status, created_at_ms, id)
    WHERE status = 'pending' OR status = 'exhausted' OR status = 'cancelled';

CREATE TABLE attempt (
    delivery_id TEXT NOT NULL,
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
    PRIMARY KEY (delivery_id, number)
);
