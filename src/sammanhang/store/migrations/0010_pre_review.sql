-- Log review (PDL 4:3, HSLF-FS 2016:40 4:9): what was found in the trace, what came of it, and the figures.
-- Only the writer reads these tables: what is under review is nobody's to see by a forgotten predicate.
CREATE TABLE access.review_cursor (
    chain bigint PRIMARY KEY,
    seq bigint NOT NULL
);
COMMENT ON TABLE access.review_cursor IS 'how far each chain of the trace has been read; a chain has no gaps, so nothing is skipped or taken twice';

-- What somebody opened or was refused within the longest window that is counted: see content/rules/log_review.
CREATE TABLE access.review_recent (
    kind text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (kind, actor, what)
);
CREATE INDEX review_recent_at ON access.review_recent (at);

CREATE TABLE access.review_case (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    provider text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    assignment text COLLATE "C" NOT NULL DEFAULT '',
    patient text COLLATE "C" NOT NULL DEFAULT '',
    day date NOT NULL,
    weight int NOT NULL DEFAULT 0,
    began timestamptz NOT NULL,
    lasted timestamptz NOT NULL,
    times int NOT NULL DEFAULT 0,
    found timestamptz NOT NULL DEFAULT now(),
    state text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'asking', 'confirm', 'done')),
    outcome text COLLATE "C",
    decided timestamptz,
    decided_by text COLLATE "C",
    holder text COLLATE "C",
    holder_name text,
    UNIQUE (provider, actor, patient, day)
);
CREATE INDEX review_case_queue ON access.review_case (provider, weight DESC, found) WHERE state <> 'done';
CREATE INDEX review_case_actor ON access.review_case (actor, day);
CREATE INDEX review_case_day ON access.review_case (provider, day);
COMMENT ON COLUMN access.review_case.patient IS 'id of the Patient; empty when it is about many patients';

CREATE TABLE access.review_reason (
    review_case uuid NOT NULL REFERENCES access.review_case (id),
    pattern text COLLATE "C" NOT NULL,
    weight int NOT NULL,
    found timestamptz NOT NULL DEFAULT now(),
    details jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (review_case, pattern)
);

-- Every step of a review, in order; never changed.
CREATE TABLE access.review_step (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    review_case uuid NOT NULL REFERENCES access.review_case (id),
    at timestamptz NOT NULL DEFAULT now(),
    actor text COLLATE "C" NOT NULL,
    name text NOT NULL DEFAULT '',
    kind text COLLATE "C" NOT NULL,
    outcome text COLLATE "C",
    measures text[] COLLATE "C" NOT NULL DEFAULT '{}',
    said text NOT NULL DEFAULT ''
);
CREATE INDEX review_step_case ON access.review_step (review_case, at);

-- The draw of the random sample: its seed is made when the day is first seen, and stays.
CREATE TABLE access.review_draw (
    provider text COLLATE "C" NOT NULL,
    day date NOT NULL,
    seed bytea NOT NULL,
    made timestamptz NOT NULL DEFAULT now(),
    closed timestamptz,
    PRIMARY KEY (provider, day)
);
CREATE TABLE access.review_candidate (
    provider text COLLATE "C" NOT NULL,
    day date NOT NULL,
    unit text COLLATE "C" NOT NULL,
    rank bytea NOT NULL,
    actor text COLLATE "C" NOT NULL,
    assignment text COLLATE "C" NOT NULL,
    patient text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (provider, day, unit, rank)
);

-- Public people of a care provider: who is on the list is itself secret.
CREATE TABLE access.public_person (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    provider text COLLATE "C" NOT NULL,
    patient text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    until date,
    added timestamptz NOT NULL DEFAULT now(),
    added_by text COLLATE "C" NOT NULL,
    removed timestamptz,
    removed_by text COLLATE "C"
);
CREATE UNIQUE INDEX public_person_listed ON access.public_person (provider, patient) WHERE removed IS NULL;

-- Figures: what was done a month at a unit, by whom, and on which days the log was gone through.
CREATE TABLE access.review_tally (
    provider text COLLATE "C" NOT NULL,
    month date NOT NULL,
    unit text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (provider, month, unit, what)
);
CREATE TABLE access.review_person (
    provider text COLLATE "C" NOT NULL,
    month date NOT NULL,
    unit text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    PRIMARY KEY (provider, month, unit, actor)
);
CREATE TABLE access.review_run (
    day date PRIMARY KEY,
    entries bigint NOT NULL,
    cases bigint NOT NULL,
    ended timestamptz NOT NULL
);

-- What residents ask about one line of their log extract, and the answer.
CREATE TABLE access.log_question (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    review_case uuid NOT NULL REFERENCES access.review_case (id),
    patient text COLLATE "C" NOT NULL,
    line text COLLATE "C" NOT NULL,
    said text NOT NULL,
    asked timestamptz NOT NULL DEFAULT now(),
    answer text,
    answered timestamptz,
    UNIQUE (patient, line)
);
CREATE INDEX log_question_case ON access.log_question (review_case);
CREATE TABLE access.log_seen (
    patient text COLLATE "C" PRIMARY KEY,
    before timestamptz,
    seen timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON access.review_cursor, access.review_case, access.review_reason, access.review_draw,
    access.public_person, access.review_tally, access.review_run, access.log_question, access.log_seen
    TO sammanhang_writer;
GRANT SELECT, INSERT ON access.review_step, access.review_person TO sammanhang_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON access.review_recent, access.review_candidate TO sammanhang_writer;

-- Emergencies that were reviewed before there was a queue for all patterns keep what came of them.
WITH old AS (
    SELECT e.*, (e.declared AT TIME ZONE 'Europe/Stockholm')::date AS on_day,
           row_number() OVER (PARTITION BY provider, actor, patient_id, (e.declared AT TIME ZONE 'Europe/Stockholm')::date
                              ORDER BY declared) AS place
      FROM access.emergency e WHERE e.reviewed IS NOT NULL
), made AS (
    INSERT INTO access.review_case (provider, unit, actor, assignment, patient, day, weight, began, lasted, state,
        outcome, decided, decided_by)
    SELECT provider, unit, actor, assignment, patient_id, on_day, 80, declared, declared,
           CASE outcome WHEN 'ask' THEN 'asking' ELSE 'done' END, outcome, reviewed, reviewed_by FROM old WHERE place = 1
    RETURNING id, provider, actor, patient, day
), reasons AS (
    INSERT INTO access.review_reason (review_case, pattern, weight, found, details)
    SELECT m.id, 'emergency', 80, o.declared,
           jsonb_build_object('danger', o.danger, 'unable', o.unable, 'said', o.said)
      FROM made m JOIN old o ON o.place = 1 AND (o.provider, o.actor, o.patient_id, o.on_day)
           = (m.provider, m.actor, m.patient, m.day)
)
INSERT INTO access.review_step (review_case, at, actor, kind, outcome, said)
SELECT m.id, o.reviewed, o.reviewed_by, 'outcome', o.outcome, coalesce(o.review_said, '')
  FROM made m JOIN old o ON (o.provider, o.actor, o.patient_id, o.on_day) = (m.provider, m.actor, m.patient, m.day);
