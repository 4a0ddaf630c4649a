INSERT INTO oracle_choices (name, kind, digest, rejected)
VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET
    kind = excluded.kind,
    digest = excluded.digest,
    rejected = excluded.rejected,
    chosen_at = now()
