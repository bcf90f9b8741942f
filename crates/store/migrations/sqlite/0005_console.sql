-- What the console needs.

-- Who is signed in. Hashes alone: what opens the console can't be read here.
CREATE TABLE session (
    -- SHA-256 of what the browser holds.
    hash TEXT NOT NULL PRIMARY KEY,
    -- Of the API key that it was opened with, or that made its link: it ends with that key.
    key_hash TEXT NOT NULL,
    -- NULL: the whole instance.
    account TEXT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
-- What has expired.
CREATE INDEX session_by_expiry ON session (expires_at_ms);
-- Links that open a session, once each.
CREATE TABLE console_link (
    hash TEXT NOT NULL PRIMARY KEY,
    key_hash TEXT NOT NULL,
    account TEXT,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX console_link_by_expiry ON console_link (expires_at_ms);

-- What was recorded within a step of time: what charts are made of, so that none counts the history. Added up by each
-- process for some seconds, so that a delivery costs nothing here.
CREATE TABLE traffic (
    -- `callback`, `account` or `all`.
    kind TEXT NOT NULL,
    -- The callback's id, the account's name, or nothing.
    subject TEXT NOT NULL,
    step_ms BIGINT NOT NULL,
    -- When the step begins.
    at_ms BIGINT NOT NULL,
    -- Deliveries that came to an end.
    delivered BIGINT NOT NULL,
    exhausted BIGINT NOT NULL,
    -- Attempts.
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- How long all attempts took together, and the longest.
    duration_ms BIGINT NOT NULL,
    duration_ms_max BIGINT NOT NULL,
    PRIMARY KEY (kind, subject, step_ms, at_ms)
);
-- All callbacks' at once; what is deleted.
CREATE INDEX traffic_by_time ON traffic (kind, step_ms, at_ms);

-- One account's and one callback's list of what did not go well, however much of it others have. A delivery that succeeds
-- at once never touches them.
CREATE INDEX delivery_undelivered_of_account ON delivery (account, status, created_at_ms, id)
    WHERE status = 'pending' OR status = 'exhausted' OR status = 'cancelled';
CREATE INDEX delivery_undelivered_of_callback ON delivery (callback_id, status, created_at_ms, id)
    WHERE status = 'pending' OR status = 'exhausted' OR status = 'cancelled';
-- One callback's next attempts, first one first.
CREATE INDEX delivery_ahead ON delivery (callback_id, next_attempt_at_ms) WHERE status = 'pending';

-- The secret before the one that counts, which signs too until then.
ALTER TABLE callback ADD COLUMN previous_secret_sealed TEXT;
ALTER TABLE callback ADD COLUMN previous_secret_until_ms BIGINT;
