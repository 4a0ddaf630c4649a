-- $1 and $2 times since and until; $3 a flow, and $4 how older rows name it in
-- JSON; $5 actions; $6 the row that those before are asked for; $7 most rows. A
-- filter that is NULL lets everything pass, and a row that names no flow passes
-- for each: it may touch any.
--
-- The text of the JSON is searched, because an id in it may have an escaped NUL,
-- on which every operator of JSON fails.
SELECT seq, at, who, person, peer, action, target, flows, request_id, ended_at, outcome
FROM audit
WHERE ($1::timestamptz IS NULL OR at >= $1)
  AND ($2::timestamptz IS NULL OR at < $2)
  AND ($3::text IS NULL OR $3 = ANY (flows) OR (flows IS NULL AND (
          position('"flow":' IN target::text) = 0 OR position($4 IN target::text) > 0)))
  AND ($5::text[] IS NULL OR action = ANY ($5))
  AND ($6::bigint IS NULL OR seq < $6)
ORDER BY seq DESC
LIMIT $7
