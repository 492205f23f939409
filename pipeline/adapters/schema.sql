-- The two tables that can be rebuilt from the topics. Applied by `pipeline.adapters.postgres.apply_schema`, under
-- an advisory lock, so that many starters may do it at once; every statement may be applied again.

-- The join index: which trace belongs to which request, and what can be said of the chat.
CREATE TABLE IF NOT EXISTS chats (
    -- "C": compared byte by byte, which keeps the index small and fast.
    client_request_id text COLLATE "C" PRIMARY KEY,
    trace_id          text COLLATE "C",
    completed_at      timestamptz NOT NULL,
    event_id          uuid        NOT NULL,
    session_id        text,
    user_id           text,
    environment       text,
    app_version       text,
    deployment_id     text,
    region            text,
    tags              jsonb
);
CREATE INDEX IF NOT EXISTS chats_trace_id ON chats (trace_id);
CREATE INDEX IF NOT EXISTS chats_completed_at ON chats USING brin (completed_at);

-- The newest version of every feedback. A withdrawn row stays, so that an older version cannot come back.
CREATE TABLE IF NOT EXISTS feedback (
    feedback_id       uuid PRIMARY KEY,
    version           timestamptz NOT NULL,          -- submitted_at; ties are decided by event_id
    event_id          uuid        NOT NULL,
    op                text        NOT NULL CHECK (op IN ('log', 'withdraw')),
    state             smallint    NOT NULL,          -- 0 open, 1 logged, 2 withdrawn, 3 dead
    payload           text        NOT NULL,          -- the version as JSON, all that is needed to write it
    trace_id          text COLLATE "C",              -- pinned before the first write
    written_event     uuid,                          -- the event whose version MLflow was last seen to hold
    dead_reason       text,
    dead_detail       text,
    claimed_at        timestamptz NOT NULL DEFAULT now(),
    pinned_at         timestamptz,                   -- since when a write of this version may be under way
    pins              integer     NOT NULL DEFAULT 0, -- how many of them were begun
    late_until        timestamptz,                   -- until when an older version may still arrive in MLflow
    past              text[]      NOT NULL DEFAULT '{}', -- how older ones ended: event_id, state, reason
    settled_at        timestamptz,
    reference         text COLLATE "C" NOT NULL,
    client_request_id text COLLATE "C",
    span_id           text,
    kind              text NOT NULL,
    name              text NOT NULL,
    source_type       text NOT NULL,
    source_id         text
) WITH (fillfactor = 80);                            -- state is in no index: settling is a HOT update
-- What a table of an earlier version lacks.
ALTER TABLE feedback ADD COLUMN IF NOT EXISTS pinned_at timestamptz;
ALTER TABLE feedback ADD COLUMN IF NOT EXISTS pins integer NOT NULL DEFAULT 0;
ALTER TABLE feedback ADD COLUMN IF NOT EXISTS late_until timestamptz;
ALTER TABLE feedback ADD COLUMN IF NOT EXISTS past text[] NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS feedback_event_id ON feedback (event_id);
-- What came in lately is asked for by Insights; a summarizing index costs no write, and keeps updates HOT.
CREATE INDEX IF NOT EXISTS feedback_version ON feedback USING brin (version)
    WITH (pages_per_range = 32, autosummarize = on);
