-- $1 to $5 flow, fault, id, beginning of a digest, time since; $6 an id or a stream
-- id; $7 the generation that those before are asked for; $8 most rows. A filter
-- that is NULL lets everything pass.
--
-- No bodies: there may be a million letters of 64 KB. An empty body with the hash
-- of another is one that was erased; to compare it with an empty one reads its
-- length only.
SELECT
    flow, partition, stream_id, id, fault, error, oracle, digest,
    attempts, deliveries, received_at, first_at, last_at, generation, attributes,
    body = '' AND body_hash <> '\xe3b0c44298fc1c149afbf4c8996fb924' AS erased
FROM dead_letters
WHERE ($1::text IS NULL OR flow = $1)
  AND ($2::text IS NULL OR fault = $2)
  AND ($3::text IS NULL OR id = $3)
  AND ($4::text IS NULL OR starts_with(digest, $4))
  AND ($5::timestamptz IS NULL OR last_at >= $5)
  AND ($6::text IS NULL OR id = $6 OR stream_id = $6)
  AND ($7::bigint IS NULL OR generation < $7)
ORDER BY generation DESC
LIMIT $8
