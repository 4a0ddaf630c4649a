-- $1 flow, $2 ids, $3 whether each is HIGH; $4 downstreams, $5 whether each wants
-- HIGH decisions only.
INSERT INTO deliveries (flow, id, downstream)
SELECT $1, decided.id, downstream.name
FROM unnest($2::text[], $3::boolean[]) AS decided (id, high)
CROSS JOIN unnest($4::text[], $5::boolean[]) AS downstream (name, only_high)
WHERE NOT downstream.only_high OR decided.high
