-- A subquery sees the table as it was before the statement.
INSERT INTO landmarks (flow, partition, born, open)
VALUES ($1, $2, $3, $4)
ON CONFLICT (flow, partition) DO UPDATE
SET born = excluded.born, open = excluded.open, noted_at = now()
RETURNING
    (SELECT born FROM landmarks WHERE flow = $1 AND partition = $2),
    (SELECT open FROM landmarks WHERE flow = $1 AND partition = $2)
