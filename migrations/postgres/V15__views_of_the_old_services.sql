-- Dead letters are asked for page by page, newest first: by their generation,
-- which no later death ever has again.
CREATE INDEX dead_letters_by_generation ON dead_letters (generation);
CREATE INDEX dead_letters_of_flow ON dead_letters (flow, generation);
-- One is found by its stream id, whatever its partition.
CREATE INDEX dead_letters_by_stream_id ON dead_letters (flow, stream_id);

-- The views get the types that the tables of the old services had. A column that
-- changes its type makes a view anew, so that what was granted on it is granted
-- again; one that somebody built another view upon stays as it is.

-- As json_text, of a body that may be no text at all.
CREATE FUNCTION bytes_text(body bytea, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(body, 'UTF8')::json ->> key;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION read_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is a view of what Floodgate decided, and read only', TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'floodgate erase removes a body, floodgate dead the dead letters';
END
$$;

-- What the views ask for by id, as an index knows it.
CREATE INDEX decisions_event_id ON decisions (
    (CASE WHEN id ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' THEN id::uuid END)
) WHERE flow = 'events';
CREATE INDEX decisions_task_id ON decisions (
    (CASE WHEN id ~ '^[0-9]{1,18}$' THEN id::bigint END)
) WHERE flow = 'tasks';

DO $$
DECLARE
    views text[][] := ARRAY[
        ARRAY['transactions', $view$
            SELECT
                seq                                  AS id,
                -- The identity, which is what the index knows.
                decisions.id                         AS tx_hash,
                json_text(body, 'from_address')      AS from_address,
                json_text(body, 'to_address')        AS to_address,
                json_numeric(body, 'value_eth')      AS value_eth,
                json_bigint(body, 'gas_price_gwei')  AS gas_price_gwei,
                json_text(body, 'input_data')        AS input_data,
                json_bigint(body, 'timestamp')       AS tx_timestamp,
                score                                AS risk_score,
                label_name                           AS priority,
                -- Microseconds, and nobody reads the digits behind them.
                round((inference_us / 1000.0)::numeric, 3) AS inference_time_ms,
                decided_at                           AS created_at
            FROM decisions
            WHERE flow = 'transactions'
        $view$],
        ARRAY['events', $view$
            SELECT
                seq                                    AS id,
                -- NULL where it is no UUID, which the flow's schema refuses.
                CASE WHEN decisions.id ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
                     THEN decisions.id::uuid END       AS event_id,
                json_timestamptz(body, 'occurred_at')  AS occurred_at,
                json_text(body, 'user_id')             AS user_id,
                json_text(body, 'event_type')          AS event_type,
                json_member(body, 'properties')        AS properties,
                received_at,
                decided_at                             AS created_at
            FROM decisions
            WHERE flow = 'events'
        $view$],
        ARRAY['tasks', $view$
            SELECT
                -- Guarded in itself: a condition on it may be looked at before the flow is.
                CASE WHEN decisions.id ~ '^[0-9]{1,18}$' THEN decisions.id::bigint END AS id,
                json_text(body, 'payload')  AS payload,
                'done'                      AS status,
                output                      AS result,
                received_at                 AS created_at,
                decided_at                  AS updated_at
            FROM decisions
            WHERE flow = 'tasks'
            UNION ALL
            -- Not those that died after their decision, by their delivery.
            SELECT
                CASE WHEN dead.id ~ '^[0-9]{1,18}$' THEN dead.id::bigint END,
                bytes_text(dead.body, 'payload'),
                'failed',
                NULL,
                dead.received_at,
                dead.last_at
            FROM dead_letters AS dead
            WHERE dead.flow = 'tasks' AND dead.downstream = '' AND dead.fault <> 'conflict'
        $view$]
    ];
    this text;
    view text[];
    granted text;
    grants text[];
BEGIN
    this := current_schema();
    FOREACH view SLICE 1 IN ARRAY views LOOP
        SELECT array_agg(format('GRANT %s ON %I.%I TO %s%s', privilege_type, this, view[1],
                   CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                   CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
        INTO grants
        FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid,
             aclexplode(relacl)
        WHERE nspname = this AND relname = view[1] AND grantee <> relowner;
        BEGIN
            EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS %s', this, view[1], view[2]);
        EXCEPTION WHEN invalid_table_definition THEN
            BEGIN
                EXECUTE format('DROP VIEW %I.%I', this, view[1]);
                EXECUTE format('CREATE VIEW %I.%I AS %s', this, view[1], view[2]);
                FOREACH granted IN ARRAY coalesce(grants, '{}') LOOP
                    EXECUTE granted;
                END LOOP;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                RAISE WARNING 'view % stays as it was: another view depends on it', view[1];
            END;
        END;
        -- A view of one table could be written through.
        EXECUTE format('CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE
            ON %I.%I FOR EACH ROW EXECUTE FUNCTION read_only()', this, view[1]);
    END LOOP;
END
$$;
