-- The function is of the migrations: its plan is made once for each connection.
-- $20 and $21 are of keep_and_deliver.sql, which has the same parameters.
SELECT id, body_hash FROM keep_decisions(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
)
