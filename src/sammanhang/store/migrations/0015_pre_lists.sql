-- Worklists and pages that are open: to whom a task has come up, and what has changed since a page last asked.
ALTER TABLE work.task
    ADD COLUMN up text[] NOT NULL DEFAULT '{}',
    ADD COLUMN was_owner text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN changed_in bigint NOT NULL DEFAULT 0;
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

-- The functions of the first steps of a way up.
CREATE FUNCTION work.came_to(ways jsonb, level int) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT f), '{}') FROM (
        SELECT jsonb_path_query_first(e, '$.extension[*] ? (@.url == "function").valueCode') #>> '{}' AS f
          FROM jsonb_array_elements(ways) WITH ORDINALITY AS x(e, n) WHERE n <= level) s WHERE f <> ''
    $$;
ALTER FUNCTION work.came_to OWNER TO sammanhang_writer;

CREATE OR REPLACE FUNCTION work.project() RETURNS trigger LANGUAGE plpgsql AS $$
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
-- Tasks there were: to whom they have come up.
UPDATE work.task t SET up = work.came_to(coalesce((SELECT jsonb_agg(e ORDER BY n)
    FROM jsonb_array_elements(convert_from(r.body, 'UTF8')::jsonb -> 'extension') WITH ORDINALITY AS x(e, n)
   WHERE e ->> 'url' = 'http://sammanhang.se/fhir/StructureDefinition/task-way-up'), '[]'), t.level)
  FROM store.other r WHERE r.self = t.self AND r.type = {Task} AND t.level > 0;
-- unrouted: what waits to be distributed by hand
CREATE INDEX task_unrouted ON work.task (owner) WHERE open AND kind = 'distribute';
