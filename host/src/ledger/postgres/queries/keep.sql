-- The function is of the migrations: its plan is made once for each connection.
SELECT id, body_hash, label FROM keep_decisions(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
)
