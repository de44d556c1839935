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
