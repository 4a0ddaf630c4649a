-- A migration defines the function. The server plans it once for each connection.
-- Only keep_and_deliver.sql uses $20 and $21; both files have the same parameters.
SELECT id, body_hash FROM keep_decisions(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
)
