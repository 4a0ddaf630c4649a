-- $1 flow, $2 ids, $3 their hashes, in the same order
SELECT id, body_hash FROM decisions WHERE flow = $1 AND id = ANY($2::text[])
UNION ALL
SELECT ($2::text[])[array_position($3::bytea[], id_hash)], body_hash
FROM moved
WHERE flow = $1 AND id_hash = ANY($3::bytea[])
