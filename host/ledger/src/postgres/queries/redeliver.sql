-- $1 flow, $2 partition, $3 stream id, $4 generation
WITH letter AS (
    DELETE FROM dead_letters
    WHERE flow = $1 AND partition = $2 AND stream_id = $3 AND generation = $4
      -- There is nothing to deliver of what was erased.
      AND body <> ''
    RETURNING flow, id, downstream
)
UPDATE deliveries
SET state = 'waiting', attempts = 0, unanswered = 0, due_at = now(), ended_at = NULL
FROM letter
WHERE deliveries.flow = letter.flow
  AND deliveries.id = letter.id
  AND deliveries.downstream = letter.downstream
  AND deliveries.state = 'given-up'
