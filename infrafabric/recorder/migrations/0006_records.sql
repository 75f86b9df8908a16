-- The coordinator's signed records, as they travelled: they prove who signed a row of history, also a row of a session,
-- or of an attempt without an answer. Rows of earlier releases have none.
CREATE TABLE records (
    message_id text PRIMARY KEY,
    session_id text NOT NULL,
    home       text NOT NULL,
    epoch      integer NOT NULL,
    signed_at  timestamptz NOT NULL,
    record     text NOT NULL,
    rows       text -- of a record of attempts: the text whose hash the record's citation has; NULL for a session's record
);
CREATE INDEX records_by_session ON records (session_id);

ALTER TABLE sessions ADD COLUMN record_id text; -- message_id in records
ALTER TABLE task_results ADD COLUMN record_id text;

-- One line for each row, for  fabric bus verify --history
CREATE VIEW signed_history AS
    SELECT one.session_id, to_jsonb(one) AS "row", records.record, records.rows
    FROM sessions AS one LEFT JOIN records ON records.message_id = one.record_id
    UNION ALL
    SELECT one.session_id, to_jsonb(one), records.record, records.rows
    FROM task_results AS one LEFT JOIN records ON records.message_id = one.record_id;
