-- What keeps a batch of decisions. Behind a pooler no statement can be prepared,
-- so that each would be planned anew; a function's plan is kept by the server, for
-- each of its connections.
--
-- The arrays have one element per row. Returned are the rows that were not kept
-- before.
--
-- What was moved to the cold tier is looked up by its key, one by one: a join
-- might read all of `moved`, by a plan of when there was little in it.
--
-- The order keeps two hosts that store overlapping batches from waiting for
-- each other in a circle; within one batch the first of an id wins.
CREATE FUNCTION keep_decisions(
    of_flow text, by_flow_digest text, by_settings_digest text,
    ids text[], bodies text[], body_hashes bytea[], scores float8[],
    labels text[], label_names text[], all_reasons text[], outputs text[],
    all_oracles text[], thresholds float8[], inference float8[],
    stream_ids text[], received timestamptz[], all_attributes text[],
    happened timestamptz[], id_hashes bytea[]
) RETURNS TABLE (id text, body_hash bytea, label text)
LANGUAGE plpgsql
AS $$
-- The columns of what is returned have the names of columns of tables.
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH inserted AS (
        INSERT INTO decisions (
            flow, flow_digest, settings_digest,
            id, body, body_hash, score, label, label_name, reasons, output,
            oracles, threshold, inference_us, stream_id, received_at, attributes, at
        )
        SELECT
            of_flow, by_flow_digest, by_settings_digest,
            r.id, r.body::json, r.body_hash, r.score, r.label, r.label_name,
            -- unnest flattens arrays of arrays, so each row's reasons come as JSON.
            ARRAY(SELECT json_array_elements_text(r.reasons::json)), r.output,
            r.oracles::json, r.threshold, r.inference_us, r.stream_id, r.received_at,
            r.attributes::json, r.at
        FROM unnest(
            ids, bodies, body_hashes, scores, labels, label_names,
            all_reasons, outputs, all_oracles, thresholds, inference,
            stream_ids, received, all_attributes, happened, id_hashes
        ) WITH ORDINALITY AS r (
            id, body, body_hash, score, label, label_name,
            reasons, output, oracles, threshold, inference_us,
            stream_id, received_at, attributes, at, id_hash, position
        )
        WHERE (
            SELECT file FROM moved WHERE moved.flow = of_flow AND moved.id_hash = r.id_hash
        ) IS NULL
        ORDER BY r.id COLLATE "C", r.position
        ON CONFLICT (flow, id) DO NOTHING
        RETURNING decisions.id, decisions.body_hash, decisions.label
    ), no_longer_dead AS (
        -- Only the letter of this body: one buried as a conflict tells of another.
        DELETE FROM dead_letters
        USING inserted
        WHERE dead_letters.flow = of_flow
          AND dead_letters.id = inserted.id
          AND dead_letters.body_hash = inserted.body_hash
    )
    SELECT inserted.id, inserted.body_hash, inserted.label FROM inserted;
END
$$;
