-- Everything honed keeps, as of version 0.1.0.

CREATE TABLE jobs (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of creation: the queue is first in, first out
  id          TEXT NOT NULL UNIQUE,
  owner       TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('import_model', 'tune', 'sweep', 'combine', 'evaluate', 'export')),
  request     BLOB NOT NULL,                      -- the spec as the API shows it (a honed.v1.Job, serialised)
  work        TEXT NOT NULL,                      -- the worker's spec, JSON
  makes       TEXT NOT NULL,                      -- JSON: folder of the output -> resource it becomes
  target      TEXT NOT NULL,                      -- name of the first resource it makes, '' for none
  request_id  TEXT UNIQUE,
  state       TEXT NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'PAUSED', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  phase       TEXT NOT NULL DEFAULT '',
  attempt     INTEGER NOT NULL DEFAULT 0,
  deaths      TEXT NOT NULL DEFAULT '[]',         -- JSON: for each worker that died, the last step reported by then, or null
  create_time TEXT NOT NULL,
  start_time  TEXT,
  end_time    TEXT,
  progress    TEXT,                               -- JSON
  failure     TEXT                                -- JSON
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, number);
-- Two live jobs never make the same resource.
CREATE UNIQUE INDEX jobs_live_target ON jobs (target) WHERE target <> '' AND state IN ('QUEUED', 'RUNNING', 'PAUSED');

CREATE TABLE job_inputs (
  job      INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
  resource TEXT NOT NULL,                         -- name of a model, data set, adapter or export
  PRIMARY KEY (job, resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  job      INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  time     TEXT NOT NULL,
  kind     TEXT NOT NULL,
  data     TEXT NOT NULL,                         -- JSON
  PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;

-- Models, data sets, adapters, exports and reports: what a finished job or upload left behind.
CREATE TABLE resources (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE,               -- 'models/smollm2'
  collection  TEXT NOT NULL CHECK (collection IN ('models', 'datasets', 'adapters', 'exports', 'reports')),
  owner       TEXT NOT NULL,
  create_time TEXT NOT NULL,
  job         TEXT NOT NULL,                      -- 'jobs/{id}', '' for an upload
  digest      TEXT NOT NULL,
  size_bytes  INTEGER NOT NULL,
  folder      TEXT NOT NULL UNIQUE,               -- below the state folder; made by honed, never from a user's words
  facts       TEXT NOT NULL                       -- JSON, by collection
) STRICT;
CREATE INDEX resources_by_collection ON resources (collection, number);

CREATE TABLE resource_parents (
  child  INTEGER NOT NULL REFERENCES resources (number) ON DELETE CASCADE,
  parent TEXT NOT NULL REFERENCES resources (name) ON DELETE RESTRICT,
  PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID;

-- Templates that users wrote. A version is never changed; deleting a template deletes all of its versions.
CREATE TABLE templates (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  id          TEXT NOT NULL,
  version     INTEGER NOT NULL,                   -- from 1, without gaps
  owner       TEXT NOT NULL,
  create_time TEXT NOT NULL,
  digest      TEXT NOT NULL,                      -- honed.template_library.digest of `spec`
  spec        TEXT NOT NULL,                      -- JSON: the template without its name and version
  UNIQUE (id, version)
) STRICT;
