-- parties: HSA-ids of care providers and units by the numbers that rows carry
SELECT number, id FROM store.party WHERE number = ANY(%s::int[]);

-- organisations: names of care providers and units
SELECT r.id, r.body FROM store.other r WHERE r.type = %s AND r.self = ANY(%s::bigint[]);
