-- $1 flow, $2 id, $3 its hash, $4 instead of an error
WITH decision AS (
    UPDATE decisions
    SET body = 'null', output = NULL, attributes = NULL, erased_at = now()
    WHERE flow = $1 AND id = $2 AND erased_at IS NULL
    RETURNING erased_at
), letters AS (
    UPDATE dead_letters
    SET body = '', attributes = NULL, error = $4
    WHERE flow = $1 AND id = $2 AND body <> ''
    RETURNING 1
), ended AS (
    UPDATE deliveries
    SET state = 'given-up', ended_at = now(), error = $4,
        posted_at = NULL, leased_by = NULL, leased_until = NULL
    WHERE flow = $1 AND id = $2 AND state = 'waiting'
    RETURNING 1
), controls AS (
    DELETE FROM oracle_controls WHERE flow = $1 AND id = $2 RETURNING 1
)
SELECT
    (SELECT count(*) FROM decision) AS decisions,
    (SELECT count(*) FROM letters) AS dead_letters,
    (SELECT count(*) FROM ended) AS deliveries,
    (SELECT count(*) FROM controls) AS controls,
    (SELECT file FROM moved WHERE flow = $1 AND id_hash = $3) AS file,
    -- A subquery sees the table as it was before the statement.
    coalesce(
        (SELECT erased_at FROM decisions WHERE flow = $1 AND id = $2),
        (SELECT erased_at FROM decision)
    ) AS erased_at
