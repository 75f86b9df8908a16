-- A session's data has one writing region, which is part of its key; a region that takes a session over begins the next
-- epoch. Sessions of earlier releases have neither.
ALTER TABLE sessions
    ADD COLUMN home text NOT NULL DEFAULT '',
    ADD COLUMN epoch integer NOT NULL DEFAULT 1,
    ADD COLUMN owner text NOT NULL DEFAULT '',
    ADD COLUMN committed_usd numeric(18, 9) NOT NULL DEFAULT 0, -- what unanswered attempts may still spend
    DROP CONSTRAINT sessions_pkey,
    ADD PRIMARY KEY (session_id, home, epoch);
CREATE INDEX sessions_by_owner ON sessions (owner, ended_at);

ALTER TABLE task_results
    ADD COLUMN home text NOT NULL DEFAULT '',
    ADD COLUMN epoch integer NOT NULL DEFAULT 1,
    ADD COLUMN answer text, -- the agent's signed answer, as it travelled; NULL where only its object was found
    DROP CONSTRAINT task_results_pkey,
    ADD PRIMARY KEY (session_id, home, epoch, task_id, attempt, agent);
