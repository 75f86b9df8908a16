-- A row is one agent's. Without its name in the key, whoever may sign could take another agent's place in history, by
-- reporting on the same attempt before it does: the true row would be taken for a repeat.
ALTER TABLE task_results DROP CONSTRAINT task_results_pkey;
ALTER TABLE task_results ADD PRIMARY KEY (session_id, task_id, attempt, agent);
