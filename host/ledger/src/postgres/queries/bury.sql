-- A decision of the same body, moved or not, is what the entry came for: nothing
-- is buried then. One of another body proves nothing of this entry.
INSERT INTO dead_letters (
    flow, partition, stream_id, id, body, body_hash, fault, error, oracle,
    digest, attempts, deliveries, received_at, first_at, last_at, attributes
)
SELECT DISTINCT ON (flow, partition, stream_id)
    flow, partition, stream_id, id, body, body_hash, fault, error, oracle,
    digest, attempts, deliveries, received_at, first_at, last_at, attributes::json
FROM unnest(
    $1::text[], $2::int4[], $3::text[], $4::text[], $5::bytea[], $6::bytea[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::int8[], $12::int8[],
    $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::text[], $17::bytea[]
) AS letter (
    flow, partition, stream_id, id, body, body_hash, fault, error, oracle,
    digest, attempts, deliveries, received_at, first_at, last_at, attributes, id_hash
)
WHERE NOT EXISTS (
    SELECT FROM decisions
    WHERE decisions.flow = letter.flow
      AND decisions.id = letter.id
      AND decisions.body_hash = letter.body_hash
)
AND (
    SELECT body_hash FROM moved
    WHERE moved.flow = letter.flow AND moved.id_hash = letter.id_hash
) IS DISTINCT FROM letter.body_hash
ORDER BY flow, partition, stream_id
ON CONFLICT (flow, partition, stream_id, downstream) DO UPDATE SET
    fault = excluded.fault,
    error = excluded.error,
    oracle = excluded.oracle,
    digest = excluded.digest,
    attempts = excluded.attempts,
    deliveries = excluded.deliveries,
    last_at = excluded.last_at,
    generation = DEFAULT
