-- Work: what the open tasks are, drawn from the Task resources themselves by a trigger, so that however a Task
-- is written (a page, the API, a bulk load) worklists, deadlines and "nothing adrift" know it in the same commit.
CREATE SCHEMA IF NOT EXISTS work;
REVOKE ALL ON SCHEMA work FROM PUBLIC;
GRANT USAGE ON SCHEMA work TO sammanhang_reader, sammanhang_whole;
GRANT USAGE, CREATE ON SCHEMA work TO sammanhang_writer;

CREATE TABLE work.task (
    self bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    patient bigint,
    owner text COLLATE "C" NOT NULL DEFAULT '',
    function text COLLATE "C" NOT NULL DEFAULT '',
    taken_by text COLLATE "C" NOT NULL DEFAULT '',
    kind text COLLATE "C" NOT NULL DEFAULT '',
    state text COLLATE "C" NOT NULL DEFAULT '',
    open boolean NOT NULL,
    priority smallint NOT NULL,
    deadline timestamptz,
    level smallint NOT NULL DEFAULT 0,
    top boolean NOT NULL DEFAULT false,
    next_at timestamptz,
    focus text COLLATE "C" NOT NULL DEFAULT '',
    authored timestamptz,
    modified timestamptz NOT NULL,
    up text[] NOT NULL DEFAULT '{}',
    was_owner text COLLATE "C" NOT NULL DEFAULT '',
    changed_in bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN work.task.owner IS 'HSA-id of the accountable unit; empty when the Task names none';
COMMENT ON COLUMN work.task.function IS 'the function at the unit whose work it is: content/routing/functions';
COMMENT ON COLUMN work.task.taken_by IS 'id of the PractitionerRole that took it; empty when nobody has';
COMMENT ON COLUMN work.task.level IS 'how many steps of its way up have been taken; top when that was the last';
COMMENT ON COLUMN work.task.next_at IS 'when the next step up is due; null when none is left or it waits on others';
COMMENT ON COLUMN work.task.up IS 'the functions it has come up to: those of the steps of its way up that have been taken';
COMMENT ON COLUMN work.task.was_owner IS 'the unit that had it before; its open pages are told that it has gone';
COMMENT ON COLUMN work.task.changed_in IS 'the transaction that last changed it: what is new since a snapshot, whatever clocks say';
-- worklist: a unit's worklist, oldest deadline first
CREATE INDEX task_worklist ON work.task (owner, deadline NULLS FIRST, self) WHERE open;
-- mine: a person's worklist
CREATE INDEX task_mine ON work.task (taken_by, deadline NULLS FIRST, self) WHERE open AND taken_by <> '';
-- lately_anywhere: what has changed since a snapshot
CREATE INDEX task_changed ON work.task (changed_in);
-- lately_here: what has changed at a unit since a page that comes back was last there
CREATE INDEX task_changed_here ON work.task (owner, changed_in);
CREATE INDEX task_changed_away ON work.task (was_owner, changed_in) WHERE was_owner <> '';
-- due: what the deadlines' job takes next
CREATE INDEX task_due ON work.task (next_at) WHERE open AND next_at IS NOT NULL;
-- top: overdue beyond the last step
CREATE INDEX task_top ON work.task (deadline) WHERE open AND top;
-- about: the work around an order
CREATE INDEX task_about ON work.task (focus) WHERE focus <> '';
-- unrouted: what waits to be distributed by hand
CREATE INDEX task_unrouted ON work.task (owner) WHERE open AND kind = 'distribute';
ALTER TABLE work.task OWNER TO sammanhang_writer;

-- A FHIR dateTime as the last instant it can mean; null for what is no time.
CREATE FUNCTION work.instant(said text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN said ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$' THEN said::timestamptz
        WHEN said ~ '^\d{4}-\d\d-\d\d$' THEN (said::date + 1)::timestamp AT TIME ZONE 'Europe/Stockholm'
        WHEN said ~ '^\d{4}-\d\d$' THEN ((said || '-01')::date + interval '1 month') AT TIME ZONE 'Europe/Stockholm'
        WHEN said ~ '^\d{4}$' THEN ((said || '-01-01')::date + interval '1 year') AT TIME ZONE 'Europe/Stockholm'
    END $$;
ALTER FUNCTION work.instant OWNER TO sammanhang_writer;

-- The functions of the first steps of a way up.
CREATE FUNCTION work.came_to(ways jsonb, level int) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT f), '{}') FROM (
        SELECT jsonb_path_query_first(e, '$.extension[*] ? (@.url == "function").valueCode') #>> '{}' AS f
          FROM jsonb_array_elements(ways) WITH ORDINALITY AS x(e, n) WHERE n <= level) s WHERE f <> ''
    $$;
ALTER FUNCTION work.came_to OWNER TO sammanhang_writer;

CREATE FUNCTION work.project() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    b jsonb;
    refers text;
    ways jsonb;
    lvl int;
    named text;
    xact bigint := pg_current_xact_id()::text::bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- What is left says to open pages, also to those that come back later, that it has gone; nothing of the patient.
        UPDATE work.task SET (open, state, patient, taken_by, changed_in) = (false, 'deleted', NULL, '', xact)
         WHERE self = OLD.self;
        RETURN NULL;
    END IF;
    b := convert_from(NEW.body, 'UTF8')::jsonb;
    refers := b #>> '{owner,reference}';
    SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') INTO ways
      FROM jsonb_array_elements(coalesce(b -> 'extension', '[]')) WITH ORDINALITY AS x(e, n)
     WHERE e ->> 'url' = 'http://sammanhang.se/fhir/StructureDefinition/task-way-up'
       -- as work.tasks reads it: a way up without a step or a time is none
       AND (jsonb_path_query_first(e, '$.extension[*] ? (@.url == "step")') ? 'valueCode')
       AND (jsonb_path_query_first(e, '$.extension[*] ? (@.url == "at")') ? 'valueDateTime');
    lvl := least(greatest(coalesce((jsonb_path_query_first(b,
        '$.extension[*] ? (@.url == "http://sammanhang.se/fhir/StructureDefinition/task-level").valueInteger') #>> '{}')::int, 0),
        0), 32767);
    named := CASE WHEN refers LIKE 'Organization/%' THEN substr(refers, 14)
        ELSE coalesce((SELECT p.id FROM store.party p WHERE p.number = NEW.unit), '') END;
    INSERT INTO work.task AS t (self, id, patient, owner, function, taken_by, kind, state, open, priority, deadline,
        level, top, next_at, focus, authored, modified, up, changed_in)
    VALUES (
        NEW.self, NEW.id, NEW.patient, named,
        coalesce(jsonb_path_query_first(b,
            '$.performerType[*].coding[*] ? (@.system == "http://sammanhang.se/fhir/CodeSystem/function").code') #>> '{}', ''),
        coalesce(CASE WHEN refers LIKE 'PractitionerRole/%' THEN substr(refers, 18) END, substring(jsonb_path_query_first(b,
            '$.extension[*] ? (@.url == "http://sammanhang.se/fhir/StructureDefinition/task-taken-by").valueReference.reference') #>> '{}'
            FROM '^PractitionerRole/(.*)$'), ''),
        coalesce(jsonb_path_query_first(b,
            '$.code.coding[*] ? (@.system == "http://sammanhang.se/fhir/CodeSystem/task-kind").code') #>> '{}', ''),
        b ->> 'status',
        b ->> 'status' IN ('requested', 'received', 'accepted', 'ready', 'in-progress', 'on-hold'),
        CASE b ->> 'priority' WHEN 'stat' THEN 0 WHEN 'asap' THEN 1 WHEN 'urgent' THEN 2 ELSE 3 END,
        work.instant(b #>> '{restriction,period,end}'),
        lvl,
        lvl > 0 AND lvl >= jsonb_array_length(ways),
        CASE WHEN b ->> 'status' <> 'on-hold' THEN work.instant(jsonb_path_query_first(ways -> lvl,
            '$.extension[*] ? (@.url == "at").valueDateTime') #>> '{}') END,
        coalesce(b #>> '{focus,reference}', ''),
        work.instant(b ->> 'authoredOn'),
        NEW.updated, work.came_to(ways, lvl), xact)
    ON CONFLICT (self) DO UPDATE SET (patient, owner, function, taken_by, kind, state, open, priority, deadline, level,
        top, next_at, focus, authored, modified, up, changed_in, was_owner) = (excluded.patient, excluded.owner,
        excluded.function, excluded.taken_by, excluded.kind, excluded.state, excluded.open, excluded.priority,
        excluded.deadline, excluded.level, excluded.top, excluded.next_at, excluded.focus, excluded.authored,
        excluded.modified, excluded.up, excluded.changed_in,
        CASE WHEN t.owner <> excluded.owner THEN t.owner ELSE t.was_owner END);
    -- No notice to open pages here: transactions with a notice commit one at a time. See work/live.py.
    RETURN NULL;
END $$;
ALTER FUNCTION work.project() OWNER TO sammanhang_writer;
CREATE TRIGGER project_new AFTER INSERT ON store.other FOR EACH ROW WHEN (NEW.type = {Task})
    EXECUTE FUNCTION work.project();
CREATE TRIGGER project_change AFTER UPDATE ON store.other FOR EACH ROW WHEN (NEW.type = {Task})
    EXECUTE FUNCTION work.project();
CREATE TRIGGER project_end AFTER DELETE ON store.other FOR EACH ROW WHEN (OLD.type = {Task})
    EXECUTE FUNCTION work.project();

-- Who is away when, and who stands in. Their work moves when the time begins (`moved`).
CREATE TABLE work.absence (
    id uuid PRIMARY KEY,
    assignment text COLLATE "C" NOT NULL,
    begins timestamptz NOT NULL,
    ends timestamptz NOT NULL CHECK (ends > begins),
    substitute text COLLATE "C" NOT NULL DEFAULT '',
    noted_by text COLLATE "C" NOT NULL,
    noted timestamptz NOT NULL DEFAULT now(),
    ended timestamptz,
    moved timestamptz
);
CREATE INDEX absence_of ON work.absence (assignment, ends);
CREATE INDEX absence_begins ON work.absence (begins) WHERE moved IS NULL AND ended IS NULL;
ALTER TABLE work.absence OWNER TO sammanhang_writer;
GRANT SELECT ON work.task, work.absence TO sammanhang_whole;
-- Tasks there were are drawn as if they were written now.
UPDATE store.other SET body = body WHERE type = {Task};
