-- $1 flow, $2 flow digest, $3 settings digest; the arrays have one element per row.
--
-- What was moved to the cold tier is looked up by its key, one by one: a join
-- might read all of `moved`, by a plan of when there was little in it.
--
-- The order keeps two hosts that store overlapping batches from waiting for
-- each other in a circle; within one batch the first of an id wins.
WITH inserted AS (
    INSERT INTO decisions (
        flow, flow_digest, settings_digest,
        id, body, body_hash, score, label, label_name, reasons, output,
        oracles, threshold, inference_us, stream_id, received_at, attributes, at
    )
    SELECT
        $1, $2, $3,
        id, body::json, body_hash, score, label, label_name,
        -- unnest flattens arrays of arrays, so each row's reasons come as JSON.
        ARRAY(SELECT json_array_elements_text(reasons::json)), output,
        oracles::json, threshold, inference_us, stream_id, received_at,
        attributes::json, at
    FROM unnest(
        $4::text[], $5::text[], $6::bytea[], $7::float8[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::float8[], $14::float8[],
        $15::text[], $16::timestamptz[], $17::text[], $18::timestamptz[], $19::bytea[]
    ) WITH ORDINALITY AS r (
        id, body, body_hash, score, label, label_name,
        reasons, output, oracles, threshold, inference_us,
        stream_id, received_at, attributes, at, id_hash, position
    )
    WHERE (
        SELECT file FROM moved WHERE moved.flow = $1 AND moved.id_hash = r.id_hash
    ) IS NULL
    ORDER BY id COLLATE "C", position
    ON CONFLICT (flow, id) DO NOTHING
    RETURNING id, body_hash, label
), no_longer_dead AS (
    -- Only the letter of this body: one buried as a conflict tells of another.
    DELETE FROM dead_letters
    USING inserted
    WHERE dead_letters.flow = $1
      AND dead_letters.id = inserted.id
      AND dead_letters.body_hash = inserted.body_hash
)
SELECT id, body_hash, label FROM inserted
