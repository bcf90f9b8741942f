-- When its deliveries begin; NULL: at once.
ALTER TABLE event ADD COLUMN deliver_at_ms BIGINT;
-- How often it was replayed by itself: the number of the last replay.
ALTER TABLE event ADD COLUMN replays BIGINT NOT NULL DEFAULT 0;

-- The catalog: what somebody added to the types that are built in, or put in the place of one.
CREATE TABLE event_type (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    -- A JSON array, in the order they are shown.
    variables TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);

-- Accounts that want something else than the default.
CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY,
    -- 1: events of a type that the catalog does not know are refused.
    strict BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);

-- Bulk replays: jobs.
CREATE TABLE replay (
    id TEXT NOT NULL PRIMARY KEY,
    -- The account of the key that asked for it; NULL: the whole instance.
    account TEXT,
    -- JSON.
    filter TEXT NOT NULL,
    per_second BIGINT NOT NULL,
    status TEXT NOT NULL,
    -- How far it is: of the last delivery looked at, when its event was accepted, and its id.
    cursor_at_ms BIGINT,
    cursor_id TEXT,
    -- NULL: not counted.
    total BIGINT,
    replayed BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    error TEXT,
    -- The process that works on it, and until when it has it for itself.
    owner TEXT,
    owned_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT
);
CREATE INDEX replay_by_time ON replay (created_at_ms, id);
CREATE INDEX replay_by_account ON replay (account, created_at_ms, id);
-- Those that are not finished: few.
CREATE INDEX replay_open ON replay (status) WHERE finished_at_ms IS NULL;

-- What the log callback was sent: the last of each account.
CREATE TABLE logged_request (
    id TEXT NOT NULL PRIMARY KEY,
    -- NULL: an instance callback's, or nobody's that is known.
    account TEXT,
    -- The callback whose signature it bears; NULL: of nobody that is known.
    callback_id TEXT,
    received_at_ms BIGINT NOT NULL,
    method TEXT NOT NULL,
    query TEXT NOT NULL,
    -- JSON, secrets masked.
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    body_is_base64 BIGINT NOT NULL,
    body_is_truncated BIGINT NOT NULL
);
CREATE INDEX logged_request_by_time ON logged_request (received_at_ms, id);
CREATE INDEX logged_request_by_account ON logged_request (account, received_at_ms, id);
