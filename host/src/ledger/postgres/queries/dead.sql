-- An empty body with the hash of another is one that was erased.
-- A filter that is NULL lets everything pass, and so does LIMIT NULL.
SELECT
    flow, partition, stream_id, id, fault, error, oracle, digest,
    attempts, deliveries, received_at, first_at, last_at, generation,
    attributes, CASE WHEN $7 THEN ''::bytea ELSE body END AS body,
    body = '' AND body_hash <> '\xe3b0c44298fc1c149afbf4c8996fb924' AS erased
FROM dead_letters
WHERE ($1::text IS NULL OR flow = $1)
  AND ($2::text IS NULL OR fault = $2)
  AND ($3::text IS NULL OR id = $3)
  AND ($4::text IS NULL OR starts_with(digest, $4))
  AND ($5::timestamptz IS NULL OR last_at >= $5)
ORDER BY last_at DESC, generation DESC
LIMIT $6
