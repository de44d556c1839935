-- organizations: every organisation, for the directory kept in memory
SELECT body FROM store.other WHERE type = %s;

-- patient_of_task: the patient whose record holds a task, and whose work it is
SELECT p.id, t.owner FROM work.task t JOIN store.patient p ON p.self = t.patient WHERE t.self = %s AND t.id = %s;

-- due: tasks whose next step up has come, locked for whoever takes them; another job's are left to it
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM work.task t JOIN store.other r ON r.self = t.self AND r.type = %s
  LEFT JOIN store.patient p ON p.self = t.patient
 WHERE t.open AND t.next_at <= %s ORDER BY t.next_at LIMIT %s FOR UPDATE OF r SKIP LOCKED;

-- of_unit: open tasks of a unit, oldest deadline first; for some functions, and those that have come up to others
SELECT t.self, t.id, t.patient, t.kind, t.state, t.priority, t.deadline, t.level, t.function, t.taken_by, t.focus,
       t.authored, t.modified
  FROM work.task t WHERE t.owner = %(unit)s AND t.open {also}
 ORDER BY t.deadline NULLS FIRST, t.self LIMIT %(limit)s OFFSET %(offset)s;

-- taken_by: open tasks that a person has taken, in any of their units
SELECT t.self, t.id, t.patient, t.kind, t.state, t.priority, t.deadline, t.level, t.function, t.taken_by, t.focus,
       t.authored, t.modified
  FROM work.task t WHERE t.taken_by = %(taker)s AND t.open {also}
 ORDER BY t.deadline NULLS FIRST, t.self LIMIT %(limit)s OFFSET %(offset)s;

-- counts: how much work a unit has: open, nobody's yet, overdue, gone up, and mine
SELECT count(*), count(*) FILTER (WHERE taken_by = ''), count(*) FILTER (WHERE deadline < %(now)s),
       count(*) FILTER (WHERE level > 1), count(*) FILTER (WHERE taken_by = %(taker)s),
       count(*) FILTER (WHERE priority <= 1)
  FROM work.task WHERE owner = %(unit)s AND open;

-- changed: tasks of a unit that changed after a moment, for pages that are open
SELECT self, id, open, kind, state, taken_by, level, modified, authored FROM work.task
 WHERE owner = %s AND modified > %s ORDER BY modified LIMIT %s;

-- bodies: the tasks of a page of a worklist, through the wall
SELECT r.self, r.id, r.version, r.updated, r.provider, r.unit, r.body FROM store.other r
 WHERE r.type = %s AND r.self = ANY(%s::bigint[]);

-- about: the tasks about an order, open and closed
SELECT self, id, owner, open, kind, state, deadline, level FROM work.task WHERE focus = %s ORDER BY authored;

-- note_absence: somebody is away
INSERT INTO work.absence (id, assignment, begins, ends, substitute, noted_by) VALUES (%s, %s, %s, %s, %s, %s);

-- end_absence: they are back
UPDATE work.absence SET ended = now() WHERE id = %s::uuid AND ended IS NULL;

-- absences_begun: those whose work is to be moved now
SELECT id, assignment, substitute FROM work.absence
 WHERE moved IS NULL AND ended IS NULL AND begins <= %s ORDER BY begins;

-- absence_moved: their work has been moved
UPDATE work.absence SET moved = %s WHERE id = %s;

-- absences_of: when people of some assignments are away, now or later
SELECT id, assignment, begins, ends, substitute FROM work.absence
 WHERE assignment = ANY(%s::text[]) AND ended IS NULL AND ends > %s ORDER BY begins;

-- taken_tasks: what somebody has taken, for moving
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM store.other r JOIN work.task t ON t.self = r.self LEFT JOIN store.patient p ON p.self = t.patient
 WHERE r.type = %s AND t.open AND t.taken_by = %s ORDER BY t.self LIMIT %s;

-- owned_tasks: what a unit answers for, for moving
SELECT r.id, r.version, r.updated, r.provider, r.unit, r.body, p.id
  FROM store.other r JOIN work.task t ON t.self = r.self LEFT JOIN store.patient p ON p.self = t.patient
 WHERE r.type = %s AND t.open AND t.owner = %s ORDER BY t.self LIMIT %s;

-- with_open_work: which of these units have open tasks
SELECT DISTINCT owner FROM work.task WHERE open AND owner = ANY(%s::text[]);

-- adrift: open tasks nobody can be counted on for. no-owner: the unit is not there, is closed, or has nobody in the
-- function; no-deadline: nothing would remind of it; top: overdue beyond the last step up; waiting: it rests on an
-- answer that nobody has been asked for; taker-gone: who took it no longer works there
WITH unit AS (
    SELECT r.id, convert_from(r.body, 'UTF8')::jsonb ->> 'active' IS DISTINCT FROM 'false' AS active
      FROM store.other r WHERE r.type = %(organization)s AND r.id IN (SELECT DISTINCT owner FROM work.task WHERE open)
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
    WHEN t.top AND t.deadline < g.before THEN 'top'
    WHEN t.next_at < %(now)s - interval '5 minutes' THEN 'not-escalated'
    WHEN t.state = 'on-hold' AND NOT EXISTS (SELECT FROM work.task o WHERE o.focus = t.focus AND o.open AND o.self <> t.self
        AND o.state <> 'on-hold') THEN 'waiting'
    END AS why) w
 WHERE t.open AND why IS NOT NULL
 ORDER BY t.deadline NULLS FIRST LIMIT %(limit)s;
