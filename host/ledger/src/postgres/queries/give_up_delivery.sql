-- $1 flow, $2 id, $3 downstream, $4 deliverer, $5 error, $6 partition
WITH given_up AS (
    UPDATE deliveries
    SET state = 'given-up', ended_at = now(), error = $5,
        leased_by = NULL, leased_until = NULL
    WHERE flow = $1 AND id = $2 AND downstream = $3
      AND leased_by = $4 AND state = 'waiting'
    RETURNING flow, id, downstream, attempts
)
INSERT INTO dead_letters (
    flow, partition, stream_id, downstream, id, body, body_hash, fault, error,
    attempts, deliveries, received_at, first_at, last_at, attributes
)
SELECT
    flow, $6, stream_id, downstream, id, convert_to(body::text, 'UTF8'), body_hash,
    'delivery', $5, given_up.attempts, 1, received_at, decided_at, now(), attributes
FROM given_up JOIN decisions USING (flow, id)
ON CONFLICT (flow, partition, stream_id, downstream) DO NOTHING
