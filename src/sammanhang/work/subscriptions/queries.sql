-- all: every subscription that is told of events, those that fail too
SELECT id, version, client, scopes, topic, filters, content, ends, status, error FROM work.subscription WHERE status <> 'off';

-- one: a subscription, ended ones too
SELECT id, version, client, scopes, topic, filters, content, ends, status, error FROM work.subscription WHERE id = %s;

-- of_client: the subscriptions of a client, ended ones too; of all clients for null
SELECT id, version, client, scopes, topic, filters, content, ends, status, error FROM work.subscription
 WHERE %(client)s::text IS NULL OR client = %(client)s ORDER BY id;

-- count_of_client: how many subscriptions a client has that are not ended
SELECT count(*) FROM work.subscription WHERE client = %s AND status <> 'off' AND id <> %s;

-- asked: what a client asked for with a version of its Subscription
INSERT INTO work.subscription_asked (id, version, client, scopes, headers) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (id, version) DO UPDATE SET client = excluded.client, scopes = excluded.scopes,
    headers = excluded.headers, at = now();

-- asked_first: in whose name a subscription was asked for that the feed has not told of yet
SELECT client, scopes FROM work.subscription_asked WHERE id = %s ORDER BY version LIMIT 1;

-- asked_for: in whose name a version was written, and the values of its headers
DELETE FROM work.subscription_asked WHERE id = %s AND version = %s RETURNING client, scopes, headers;

-- headers_of: the headers a receiver has now
SELECT headers FROM work.receiver WHERE address = %s;

-- kept: a subscription as it was asked for
INSERT INTO work.subscription (id, version, client, scopes, topic, filters, content, ends, status)
VALUES (%(id)s, %(version)s, %(client)s, %(scopes)s, %(topic)s, %(filters)s, %(content)s, %(ends)s, %(status)s)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, client = excluded.client, scopes = excluded.scopes,
    topic = excluded.topic, filters = excluded.filters, content = excluded.content, ends = excluded.ends,
    status = excluded.status, error = NULL;

-- turned: a subscription's status as the server has found it to be
UPDATE work.subscription SET status = %s, error = %s WHERE id = %s;

-- gone: a subscription that was deleted
DELETE FROM work.subscription WHERE id = %s;

-- ended: subscriptions whose end has come
SELECT id FROM work.subscription WHERE status <> 'off' AND ends <= %s;

-- place: how far the feed has been read; whoever holds it reads
SELECT tx::text, seq, highest, cluster, (SELECT system_identifier FROM pg_control_system()) FROM work.feed
 WHERE reader = %s FOR UPDATE SKIP LOCKED;

-- move: the feed has been read this far
UPDATE work.feed SET tx = %s::xid8, seq = %s, highest = greatest(highest, %s), cluster = %s, moved = now() WHERE reader = %s;

-- events: the events of a subscription from one number to another
SELECT number, at, sender, about, version, patient, body, tries FROM work.delivery
 WHERE address = %s AND number BETWEEN %s AND %s ORDER BY number LIMIT %s;

-- told_of: the subscriptions that have been told of a resource
SELECT DISTINCT address FROM work.delivery WHERE about = %s;

-- numbered: how many events a subscription has had
SELECT numbered FROM work.receiver WHERE address = %s;

-- numbered_of: how many events some subscriptions have had
SELECT address, numbered FROM work.receiver WHERE address = ANY(%s);

-- swept: what was asked for with resources that never came to be
DELETE FROM work.subscription_asked WHERE at < now() - interval '1 day';
