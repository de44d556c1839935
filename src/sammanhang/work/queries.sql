-- organizations: every organisation, for the directory kept in memory
SELECT body FROM store.other WHERE type = %s;

-- patient_of_task: the patient whose record holds a task, whether it names any, and whose work it is
SELECT p.id, t.patient IS NOT NULL, t.owner FROM work.task t LEFT JOIN store.patient p ON p.self = t.patient
 WHERE t.self = %s AND t.id = %s;

-- due: tasks whose next step up has come, but for some, locked for whoever takes them; another job's are left to it
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM work.task t JOIN store.other r ON r.self = t.self AND r.type = %s
  LEFT JOIN store.patient p ON p.self = t.patient
 WHERE t.open AND t.next_at <= %s AND t.id <> ALL(%s::text[]) ORDER BY t.next_at LIMIT %s
   FOR UPDATE OF r SKIP LOCKED;

-- worklist: open tasks of a unit, oldest deadline first
SELECT t.self, t.id, t.patient, t.kind, t.state, t.priority, t.deadline, t.level, t.function, t.taken_by, t.focus,
       t.up, t.open
  FROM work.task t WHERE t.owner = %(unit)s AND t.open {also}
 ORDER BY t.deadline NULLS FIRST, t.self LIMIT %(limit)s OFFSET %(offset)s;

-- some: these tasks of a unit, open or not, for rows that are shown already
SELECT t.self, t.id, t.patient, t.kind, t.state, t.priority, t.deadline, t.level, t.function, t.taken_by, t.focus,
       t.up, t.open
  FROM work.task t WHERE t.owner = %(unit)s AND t.self = ANY(%(selves)s::bigint[]) ORDER BY t.deadline NULLS FIRST, t.self;

-- counts: how much open work a unit has, by whose it is; one row at least, with the snapshot
SELECT s.now, g.* FROM (SELECT pg_current_snapshot()::text AS now) s LEFT JOIN (
    SELECT t.function, t.up, t.taken_by, count(*), count(*) FILTER (WHERE t.deadline < %s)
      FROM work.task t WHERE t.owner = %s AND t.open GROUP BY 1, 2, 3) g ON true;

-- changed: what has become visible since a snapshot, for pages that are open; one row at least, with the snapshot now
SELECT s.now, t.id, t.owner, t.was_owner, t.kind, t.state, t.open, t.priority, t.deadline, t.function, t.up, t.taken_by, t.focus
  FROM (SELECT pg_current_snapshot()::text AS now) s
  LEFT JOIN work.task t ON t.changed_in >= %s OR t.changed_in = ANY(%s::bigint[]) LIMIT %s;

-- missed: the same for one unit, for a page that comes back
SELECT s.now, t.id, t.owner, t.was_owner, t.kind, t.state, t.open, t.priority, t.deadline, t.function, t.up, t.taken_by, t.focus
  FROM (SELECT pg_current_snapshot()::text AS now) s
  LEFT JOIN work.task t ON (t.changed_in >= %s OR t.changed_in = ANY(%s::bigint[]))
   AND (t.owner = %s OR t.was_owner = %s OR t.focus = %s) LIMIT %s;

-- bodies: the tasks of a page of a worklist, through the wall
SELECT r.self, r.body FROM store.other r WHERE r.type = %s AND r.self = ANY(%s::bigint[]) AND {wall};

-- versions: what a task has been, through the wall
SELECT r.version, r.updated, r.body FROM store.history r
 WHERE r.self = %s AND r.type = %s AND r.id = %s AND r.body IS NOT NULL AND {wall} ORDER BY r.version LIMIT %s;

-- patient_id: the id of a patient by their number
SELECT id FROM store.patient WHERE self = %s;

-- about: the tasks about an order, open and closed
SELECT self, id, owner, open, kind, state, deadline, level FROM work.task WHERE focus = %s ORDER BY authored;

-- note_absence: somebody is away
INSERT INTO work.absence (id, assignment, begins, ends, substitute, noted_by) VALUES (%s, %s, %s, %s, %s, %s);

-- end_absence: they are back
UPDATE work.absence SET ended = now() WHERE id::text = %s AND assignment = %s AND ended IS NULL;

-- absences_begun: those whose work is to be moved now
SELECT id, assignment, substitute FROM work.absence
 WHERE moved IS NULL AND ended IS NULL AND begins <= %s ORDER BY begins;

-- away: whether somebody is away at a moment
SELECT FROM work.absence WHERE assignment = %s AND ended IS NULL AND begins <= %s AND ends > %s LIMIT 1;

-- absence_moved: their work has been moved
UPDATE work.absence SET moved = %s WHERE id = %s;

-- absences_of: when people of some assignments are away, now or later
SELECT id, assignment, begins, ends, substitute FROM work.absence
 WHERE assignment = ANY(%s::text[]) AND ended IS NULL AND ends > %s ORDER BY begins;

-- taken_tasks: what somebody has taken, for moving
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM store.other r JOIN work.task t ON t.self = r.self LEFT JOIN store.patient p ON p.self = t.patient
 WHERE r.type = %s AND t.open AND t.taken_by = %s AND t.id <> ALL(%s::text[]) ORDER BY t.self LIMIT %s;

-- owned_tasks: what a unit answers for, for moving
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM store.other r JOIN work.task t ON t.self = r.self LEFT JOIN store.patient p ON p.self = t.patient
 WHERE r.type = %s AND t.open AND t.owner = %s AND t.id <> ALL(%s::text[]) ORDER BY t.self LIMIT %s;

-- with_open_work: which of these units have open tasks
SELECT DISTINCT owner FROM work.task WHERE open AND owner = ANY(%s::text[]);

-- adrift: open tasks nobody can be counted on for. no-owner: the unit is not there, is closed, or has nobody in the
-- function; no-deadline: nothing would remind of it; top: overdue beyond the last step up; waiting: it rests on an
-- answer that nobody has been asked for; taker-gone: who took it no longer works there. A task of another system may
-- come without a way up: overdue, it has no step left either
WITH unit AS MATERIALIZED (  -- all of them: they are some thousand, and to ask the tasks for theirs costs more
    SELECT r.id, convert_from(r.body, 'UTF8')::jsonb ->> 'active' IS DISTINCT FROM 'false' AS active
      FROM store.other r WHERE r.type = %(organization)s
), held AS (
    SELECT r.id, substr(b #>> '{organization,reference}', 14) AS unit,
           jsonb_path_query_array(b, '$.code[*].coding[*] ? (@.system == "http://sammanhang.se/fhir/CodeSystem/role").code') AS roles
      FROM store.other r, LATERAL (SELECT convert_from(r.body, 'UTF8')::jsonb AS b) x
     WHERE r.type = %(role)s AND b ->> 'active' IS DISTINCT FROM 'false'
       AND coalesce(work.instant(b #>> '{period,end}'), 'infinity') > %(now)s
), staffed AS (
    SELECT DISTINCT h.unit, f.function FROM held h
      JOIN unnest(%(functions)s::text[], %(roles)s::text[]) AS f(function, role) ON h.roles ? f.role
), grace AS (
    SELECT * FROM unnest(%(priorities)s::smallint[], %(graces)s::timestamptz[]) AS g(priority, before)
)
SELECT t.id, t.patient IS NOT NULL, t.owner, t.function, t.kind, t.state, t.priority, t.deadline, t.level, t.authored, why
  FROM work.task t
  LEFT JOIN unit u ON u.id = t.owner
  LEFT JOIN staffed s ON s.unit = t.owner AND s.function = t.function
  LEFT JOIN held h ON h.id = t.taken_by
  JOIN grace g ON g.priority = t.priority
  CROSS JOIN LATERAL (SELECT CASE
    WHEN u.id IS NULL OR NOT u.active THEN 'no-owner'
    WHEN t.function = '' OR s.unit IS NULL THEN 'no-owner'
    WHEN t.taken_by <> '' AND h.id IS NULL THEN 'taker-gone'
    WHEN t.deadline IS NULL THEN 'no-deadline'
    WHEN t.deadline < g.before AND (t.top OR t.next_at IS NULL AND t.state <> 'on-hold') THEN 'top'
    WHEN t.next_at < %(now)s - interval '5 minutes' THEN 'not-escalated'
    WHEN t.state = 'on-hold' AND NOT EXISTS (SELECT FROM work.task o WHERE o.focus = t.focus AND o.open AND o.self <> t.self
        AND o.state <> 'on-hold') THEN 'waiting'
    END AS why) w
 WHERE t.open AND why IS NOT NULL AND (%(unit)s = '' OR t.owner = %(unit)s)
 ORDER BY t.deadline NULLS FIRST LIMIT %(limit)s;

-- unrouted: what waits to be distributed by hand
SELECT count(*) FROM work.task t WHERE t.open AND t.kind = 'distribute' AND (%s = '' OR t.owner = %s);
