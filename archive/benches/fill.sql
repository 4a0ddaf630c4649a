-- :events over the 30 days that ended ten days ago, in the order of time, as
-- batches of them would have come. 100,000 users, 20 types, 8 countries.
SET search_path = floodgate, public;

INSERT INTO decisions (
    flow, id, body, body_hash, reasons, oracles, flow_digest, threshold,
    inference_us, stream_id, received_at, decided_at, at
)
SELECT 'events', id,
       json_build_object(
           'event_id', id, 'occurred_at', at, 'user_id', 'user-' || who,
           'event_type', 'type-' || kind,
           'properties', json_build_object('country', country, 'page', '/p/' || n % 1000)
       ),
       substring(sha256(convert_to(id, 'UTF8')) FOR 16), '{}', '[]', repeat('0', 64), 0.5,
       0, n || '-0', at, at, at
FROM (
    SELECT n, gen_random_uuid()::text AS id,
           (date_trunc('day', now(), 'UTC') - interval '40 days')
               + n * (interval '30 days' / :events) AS at,
           -- Some come much more often than others.
           (100000 * random() ^ 2)::int AS who,
           (20 * random() ^ 2)::int AS kind,
           (ARRAY['UA', 'DE', 'FR', 'PL', 'US', 'GB', 'JP', 'BR'])[1 + n % 8] AS country
    FROM generate_series(0, :events - 1) AS n
) AS made
