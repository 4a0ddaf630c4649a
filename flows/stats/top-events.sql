-- The most frequent types of events; of those that are as frequent, the first in
-- the alphabet.
SELECT event_type, count(event_type) AS count
FROM events
WHERE day BETWEEN $from AND $to
  AND ($segment_field IS NULL
    OR CASE WHEN $segment_field = 'event_type' THEN event_type
            ELSE json_text(body, $segment_field) END = $segment_value)
GROUP BY event_type
HAVING count(event_type) > 0
ORDER BY count DESC, event_type
LIMIT $limit
