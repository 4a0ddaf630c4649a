-- $1 flow, $2 downstream, $3 deliverer, $4 lease, $5 how long after the start of
-- a POST of unknown outcome nobody takes it up, $6 most rows.
WITH due AS (
    SELECT flow, id, downstream
    FROM deliveries
    WHERE flow = $1
      AND downstream = $2
      AND state = 'waiting'
      AND due_at <= now()
      AND (leased_until IS NULL OR leased_until <= now())
      AND (posted_at IS NULL OR posted_at <= now() - make_interval(secs => $5))
    ORDER BY due_at
    LIMIT $6
    FOR UPDATE SKIP LOCKED
)
UPDATE deliveries
SET leased_by = $3, leased_until = now() + make_interval(secs => $4)
FROM due JOIN decisions USING (flow, id)
WHERE deliveries.flow = due.flow
  AND deliveries.id = due.id
  AND deliveries.downstream = due.downstream
RETURNING deliveries.id, decisions.body::text AS body, deliveries.attempts,
    deliveries.unanswered, deliveries.error
