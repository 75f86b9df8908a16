-- Labels that a client gave its session, to find sessions by.
ALTER TABLE sessions ADD COLUMN labels text[] NOT NULL DEFAULT '{}';
CREATE INDEX sessions_by_label ON sessions USING gin (labels);
