-- What is pending, by what it waits for and until when: what is overdue is counted every few seconds. A delivery that
-- succeeds at once never touches it, nor the one below.
CREATE INDEX delivery_due ON delivery (reason, next_attempt_at_ms) WHERE status = 'pending';
-- What was put off before its first attempt: due since its event was accepted, or was to be delivered.
CREATE INDEX delivery_waiting ON delivery (created_at_ms) WHERE status = 'pending' AND generation = 0
    AND series_start = 1 AND (reason = 'rate_limit' OR reason = 'concurrency' OR reason = 'circuit_open'
    OR reason = 'paused');
