-- History of sessions and task results. Money in USD with nine decimals: the platform counts in nano-USD.
CREATE TABLE sessions (
    session_id text PRIMARY KEY,
    status     text NOT NULL CHECK (status IN ('COMPLETE', 'PARTIAL', 'FAILED', 'CANCELLED')),
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    budget_usd numeric(18, 9) NOT NULL,
    cost_usd   numeric(18, 9) NOT NULL,
    tasks      integer NOT NULL,
    model      text NOT NULL,
    report_key text NOT NULL
);

-- One row for each attempt at a task, whoever says how often that it was made.
CREATE TABLE task_results (
    session_id    text NOT NULL,
    task_id       text NOT NULL,
    attempt       integer NOT NULL,
    agent         text NOT NULL,
    status        text NOT NULL CHECK (status IN ('DONE', 'FAILED')),
    reason        text NOT NULL DEFAULT '',
    s3_key        text NOT NULL DEFAULT '',
    evidence_hash text NOT NULL DEFAULT '',
    tokens_in     integer NOT NULL,
    tokens_out    integer NOT NULL,
    cost_usd      numeric(18, 9) NOT NULL,
    model         text NOT NULL,
    message_id    text NOT NULL,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (session_id, task_id, attempt)
);

CREATE INDEX task_results_by_agent ON task_results (agent, recorded_at);
CREATE INDEX sessions_by_end ON sessions (ended_at);
