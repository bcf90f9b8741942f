-- 1: it takes deliveries, but not now.
ALTER TABLE callback ADD COLUMN paused BIGINT NOT NULL DEFAULT 0;
-- NULL: as many requests a second as there are.
ALTER TABLE callback ADD COLUMN rate_limit TEXT;
-- NULL: the default.
ALTER TABLE callback ADD COLUMN circuit TEXT;
-- NULL: never.
ALTER TABLE callback ADD COLUMN resumed_at_ms BIGINT;

-- The number of the first attempt of the series that it is in.
ALTER TABLE delivery ADD COLUMN series_start BIGINT NOT NULL DEFAULT 1;
-- What waits for a callback to be resumed: few rows, or none.
CREATE INDEX delivery_parked ON delivery (callback_id, created_at_ms, id) WHERE reason = 'paused';
