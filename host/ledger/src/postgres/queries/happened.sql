-- Several processes see the same, and one of them writes it down: what it happened
-- to ($8), what happened ($9), the last other change of that thing and how often in
-- a row it was seen ($10) make a key that is the same in all of them.
INSERT INTO audit (who, peer, action, target, flows, at, ended_at, outcome, about, seen, once)
VALUES ($1, $2, $3, $4, $5, $6, now(), $7, $8, $9, concat_ws(' ', $8, $9,
    (SELECT coalesce(max(seq), 0) FROM audit WHERE about = $8 AND seen <> $9), $10::bigint))
ON CONFLICT (once) DO NOTHING
