-- names: every first and last name in the register and how many bear it; read now and then
SELECT folded, count(*) FROM store.string WHERE slot = ANY(%s::bigint[]) GROUP BY folded;

-- named: people who bear one of these names (a part of patients_all and patients_each)
SELECT self FROM store.string WHERE slot = ANY(%s::bigint[]) AND folded = ANY(%s::text[]);

-- patients_all: people who bear one name of every list, for lists few enough to intersect
SELECT r.id, r.body, r.labels FROM ({named}) m JOIN store.patient r ON r.self = m.self
 WHERE r.type = %s AND r.occurred >= %s AND r.occurred < %s LIMIT %s;

-- patients_each: the same for names so common that the first hits are enough
SELECT r.id, r.body, r.labels FROM ({named}) m JOIN store.patient r ON r.self = m.self
 WHERE r.type = %s AND r.occurred >= %s AND r.occurred < %s {also} LIMIT %s;

-- also_named: that the same person bears one name of another list too (a part of patients_each)
AND EXISTS (SELECT 1 FROM store.string o WHERE o.self = r.self
 AND o.slot = ANY(%s::bigint[]) AND o.folded = ANY(%s::text[]));

-- patients_beginning: people with a name that begins so, for names newer than the list in memory
SELECT r.id, r.body, r.labels FROM store.patient r WHERE r.type = %s AND r.occurred >= %s AND r.occurred < %s
 AND r.self IN (SELECT self FROM store.string WHERE slot = ANY(%s::bigint[]) AND folded >= %s AND folded < %s LIMIT 500)
 LIMIT %s;

-- patients_born: people born in a span of days, oldest first
SELECT r.id, r.body, r.labels FROM store.patient r
 WHERE r.type = %s AND r.occurred >= %s AND r.occurred < %s ORDER BY r.occurred LIMIT %s;

-- patients_numbered: the people one of these identity numbers belongs to
SELECT r.id, r.body, r.labels FROM store.patient r WHERE r.type = %s AND r.tokens && %s::bigint[] LIMIT %s;

-- patients_known: these people, by the number of their Patient
SELECT r.self, r.body, r.labels FROM store.patient r WHERE r.type = %s AND r.self = ANY(%s::bigint[]);

-- unit_now: what shows that people are in this unit's care: open visits and stays, and what is planned
SELECT r.type, r.patient, r.occurred, r.body FROM store.resource r
 WHERE r.unit = %s AND r.care_until > now() AND r.patient IS NOT NULL AND r.type = ANY(%s::smallint[])
   AND (r.occurred >= %s OR r.tokens && %s::bigint[]) AND r.occurred < %s
 ORDER BY r.occurred LIMIT %s;

-- parties: HSA-ids of care providers and units by the numbers that rows carry
SELECT number, id FROM store.party WHERE number = ANY(%s::int[]);
