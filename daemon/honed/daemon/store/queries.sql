-- Every statement the store runs, by name. Parameters are named; time is RFC 3339 in UTC.

-- name: insert_job
INSERT INTO jobs (id, owner, kind, request, work, makes, target, request_id, state, create_time)
VALUES (:id, :owner, :kind, :request, :work, :makes, :target, :request_id, 'QUEUED', :create_time)
RETURNING *;

-- name: insert_job_input
INSERT OR IGNORE INTO job_inputs (job, resource) VALUES (:job, :resource);

-- name: job_by_id
SELECT * FROM jobs WHERE id = :id;

-- name: job_by_request_id
SELECT * FROM jobs WHERE request_id = :request_id;

-- name: live_job_by_target
SELECT * FROM jobs WHERE target = :target AND state IN ('QUEUED', 'RUNNING', 'PAUSED');

-- The newest first; `before` is the last number of the page before.
-- name: page_of_jobs
SELECT * FROM jobs WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- The queue in order, what runs, and what is paused.
-- name: live_jobs
SELECT * FROM jobs WHERE state IN ('QUEUED', 'RUNNING', 'PAUSED') ORDER BY number;

-- name: set_job_state
UPDATE jobs SET
  state = :state,
  phase = '',
  attempt = attempt + (:state = 'RUNNING'),
  start_time = CASE WHEN :state = 'RUNNING' THEN :time ELSE start_time END,
  end_time = CASE WHEN :state IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN :time END,
  progress = CASE WHEN :state IN ('QUEUED', 'RUNNING') THEN NULL ELSE progress END,
  failure = :failure
WHERE number = :number
RETURNING *;

-- name: set_job_phase
UPDATE jobs SET phase = :phase, progress = NULL WHERE number = :number;

-- name: set_job_progress
UPDATE jobs SET progress = :progress WHERE number = :number;

-- Appends the last training step that the job has reported in any attempt, or null. A training step has a loss; other
-- progress counts the rows of an evaluation.
-- name: record_death
UPDATE jobs SET deaths = json_insert(deaths, '$[#]', (
  SELECT json_extract(data, '$.step') FROM events
  WHERE job = :number AND kind = 'progress' AND json_extract(data, '$.loss') IS NOT NULL
  ORDER BY sequence DESC LIMIT 1))
WHERE number = :number RETURNING *;

-- name: delete_job
DELETE FROM jobs WHERE number = :number;

-- A live job reads this resource.
-- name: live_job_using
SELECT jobs.id FROM jobs JOIN job_inputs ON job_inputs.job = jobs.number
WHERE job_inputs.resource = :resource AND jobs.state IN ('QUEUED', 'RUNNING', 'PAUSED') LIMIT 1;

-- name: append_event
INSERT INTO events (job, sequence, time, kind, data)
VALUES (:job, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM events WHERE job = :job), :time, :kind, :data);

-- name: events_after
SELECT sequence, time, kind, data FROM events WHERE job = :job AND sequence > :after ORDER BY sequence LIMIT :limit;

-- Events of one kind in the current attempt.
-- name: events_of_kind
SELECT data FROM events WHERE job = :job AND kind = :kind
  AND sequence > COALESCE((SELECT MAX(sequence) FROM events WHERE job = :job AND kind = 'state'
                           AND json_extract(data, '$.state') = 'RUNNING'), 0)
ORDER BY sequence;

-- name: insert_resource
INSERT INTO resources (name, collection, owner, create_time, job, digest, size_bytes, folder, facts)
VALUES (:name, :collection, :owner, :create_time, :job, :digest, :size_bytes, :folder, :facts)
RETURNING *;

-- name: insert_parent
INSERT INTO resource_parents (child, parent) VALUES (:child, :parent);

-- name: resource_by_name
SELECT * FROM resources WHERE name = :name;

-- name: page_of_resources
SELECT * FROM resources WHERE collection = :collection AND number < :before ORDER BY number DESC LIMIT :limit;

-- The newest resource of a collection made from this parent.
-- name: newest_child
SELECT resources.* FROM resources JOIN resource_parents ON resource_parents.child = resources.number
WHERE resource_parents.parent = :parent AND resources.collection = :collection
  AND json_extract(resources.facts, '$.source') = :parent
ORDER BY resources.number DESC LIMIT 1;

-- The newest adapter tuned on this model; a combined one was not.
-- name: newest_adapter
SELECT resources.* FROM resources JOIN resource_parents ON resource_parents.child = resources.number
WHERE resource_parents.parent = :model AND resources.collection = 'adapters'
  AND json_extract(resources.facts, '$.combine') IS NULL
ORDER BY resources.number DESC LIMIT 1;

-- name: children
SELECT resources.name FROM resources JOIN resource_parents ON resource_parents.child = resources.number
WHERE resource_parents.parent = :parent ORDER BY resources.number;

-- name: delete_resource
DELETE FROM resources WHERE number = :number;

-- name: all_folders
SELECT folder FROM resources;

-- name: insert_template
INSERT INTO templates (id, version, owner, create_time, digest, spec)
VALUES (:id, :version, :owner, :create_time, :digest, :spec)
RETURNING *;

-- name: template_version
SELECT * FROM templates WHERE id = :id AND version = :version;

-- name: newest_template_version
SELECT * FROM templates WHERE id = :id ORDER BY version DESC LIMIT 1;

-- The newest version of each template, under the number of its first: a new version moves no template to another page.
-- name: page_of_templates
SELECT ids.number, newest.id, newest.version, newest.owner, newest.create_time, newest.digest, newest.spec
FROM (SELECT id, MIN(number) AS number, MAX(version) AS version FROM templates GROUP BY id) AS ids
JOIN templates AS newest ON newest.id = ids.id AND newest.version = ids.version
WHERE ids.number < :before ORDER BY ids.number DESC LIMIT :limit;

-- name: delete_template
DELETE FROM templates WHERE id = :id RETURNING id;
