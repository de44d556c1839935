-- listed: a unit's requests in some states, incoming or outgoing, with the deadline of the side whose turn it is
SELECT q.self, q.id, q.patient, q.kind, q.state, q.priority, q.sender, q.receiver, q.authored, q.modified,
       t.deadline, coalesce(t.level, 0)
  FROM work.request q
  LEFT JOIN LATERAL (SELECT min(w.deadline) AS deadline, max(w.level) AS level FROM work.task w
                      WHERE w.focus = 'ServiceRequest/' || q.id AND w.open AND w.state <> 'on-hold') t ON true
 WHERE q.{side} = %s AND q.state = ANY(%s::text[])
 ORDER BY {order} LIMIT %s;

-- counts: how many requests a unit has in each state, as sender and as receiver
SELECT 'outgoing', state, count(*) FROM work.request WHERE sender = %s GROUP BY state
UNION ALL
SELECT 'incoming', state, count(*) FROM work.request WHERE receiver = %s AND state <> 'draft' GROUP BY state;

-- bodies: the requests of a list, through the wall
SELECT r.self, r.body FROM store.other r WHERE r.type = %s AND r.self = ANY(%s::bigint[]) AND {wall};

-- retyped: how the answers of sent requests' forms came about, summed by unit and form (M67), through the wall; of one
-- unit when it is named
SELECT u.id, b ->> 'questionnaire', count(*), coalesce(sum(n.kept), 0)::int, coalesce(sum(n.changed), 0)::int,
       coalesce(sum(n.removed), 0)::int, coalesce(sum(n.retyped), 0)::int, coalesce(sum(n.typed), 0)::int,
       coalesce(sum(n.duplicates), 0)::int
  FROM (SELECT r.unit, convert_from(r.body, 'UTF8')::jsonb AS b FROM store.other r
         WHERE r.type = %s AND r.occurred >= %s AND r.occurred < %s AND {wall}) q
  CROSS JOIN LATERAL jsonb_path_query(b, '$.extension[*]') e
  CROSS JOIN LATERAL (SELECT sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'kept') AS kept,
         sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'changed') AS changed,
         sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'removed') AS removed,
         sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'retyped') AS retyped,
         sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'typed') AS typed,
         sum((p ->> 'valueInteger')::int) FILTER (WHERE p ->> 'url' = 'duplicates') AS duplicates
    FROM jsonb_array_elements(e -> 'extension') p) n
  LEFT JOIN store.party u ON u.number = q.unit
 WHERE e ->> 'url' = %s AND (%s = '' OR u.id = %s)
 GROUP BY 1, 2 ORDER BY 1, 2;
