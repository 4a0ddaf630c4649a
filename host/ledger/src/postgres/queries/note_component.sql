-- A row only where the name stood for something else before.
INSERT INTO component_history (name, digest)
SELECT $1, $2
WHERE $2 IS DISTINCT FROM (
    SELECT digest FROM component_history WHERE name = $1 ORDER BY seq DESC LIMIT 1
)
