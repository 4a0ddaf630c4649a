-- An occurred_at without a zone is UTC, whatever the session's time zone is.
-- What is no time is NULL; body has it as it came.
CREATE FUNCTION json_timestamptz(body json, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT SET timezone = 'UTC' AS $$
BEGIN
    RETURN (body ->> key)::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- An escaped NUL anywhere in the body makes -> fail.
CREATE FUNCTION json_member(body json, key text) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN body -> key;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE VIEW events AS
SELECT
    seq                                    AS id,
    -- The identity, which is what the index knows.
    decisions.id                           AS event_id,
    json_timestamptz(body, 'occurred_at')  AS occurred_at,
    json_text(body, 'user_id')             AS user_id,
    json_text(body, 'event_type')          AS event_type,
    json_member(body, 'properties')        AS properties,
    received_at,
    decided_at                             AS created_at
FROM decisions
WHERE flow = 'events';

CREATE VIEW tasks AS
SELECT
    -- Guarded in itself: a condition on it may be looked at before the flow is.
    CASE WHEN decisions.id ~ '^[0-9]{1,18}$' THEN decisions.id::bigint END AS id,
    json_text(body, 'payload')  AS payload,
    'done'                      AS status,
    output                      AS result,
    received_at                 AS created_at,
    decided_at                  AS updated_at
FROM decisions
WHERE flow = 'tasks';
