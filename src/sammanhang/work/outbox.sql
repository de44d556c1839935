-- numbered: the next numbers of receivers, and from where each begins; what is queued twice at once stands in line
WITH wanted AS (SELECT * FROM unnest(%(addresses)s::text[], %(counts)s::bigint[]) AS w(address, n)),
locked AS (SELECT r.address FROM work.receiver r JOIN wanted w USING (address) ORDER BY r.address FOR UPDATE OF r)
UPDATE work.receiver r SET numbered = r.numbered + w.n FROM wanted w JOIN locked l USING (address)
 WHERE r.address = w.address RETURNING r.address, r.numbered - w.n;

-- added: deliveries with their numbers
INSERT INTO work.delivery (address, number, at, sender, about, version, patient)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::bigint[]);

-- registered: a receiver as it is now; what it has been sent stays, and it starts afresh
INSERT INTO work.receiver (address, channel, name, provider, url, headers, seconds, most, greet, beat, next_try)
VALUES (%(address)s, %(channel)s, %(name)s, %(provider)s, %(url)s, %(headers)s, %(seconds)s, %(most)s, %(greet)s, %(beat)s, %(now)s)
ON CONFLICT (address) DO UPDATE SET channel = excluded.channel, name = excluded.name, provider = excluded.provider,
    url = excluded.url, headers = excluded.headers, seconds = excluded.seconds, most = excluded.most,
    greet = excluded.greet, beat = excluded.beat, next_try = excluded.next_try, open = true, tries = 0,
    first_failed = NULL, failing = false, error = NULL;

-- waiting_again: what was stopped when the receiver was shut, once it is open again
UPDATE work.delivery SET state = 'waiting', error = NULL WHERE address = %s AND state = 'stopped';

-- due: receivers that something is to be sent to now; those that fail come last
SELECT r.address FROM work.receiver r
 WHERE r.open AND r.next_try <= %(now)s AND NOT r.address = ANY(%(busy)s::text[])
   AND (r.greet OR r.said + make_interval(secs => r.beat) <= %(now)s
        OR EXISTS (SELECT FROM work.delivery d WHERE d.address = r.address AND d.state IN ('waiting', 'failed')))
 ORDER BY r.tries, r.next_try LIMIT %(limit)s;

-- receiver: one, as it stands
SELECT address, channel, name, provider, url, headers, seconds, most, greet, beat, numbered, upto, tries, first_failed,
       failing, said, error FROM work.receiver WHERE address = %s AND open AND next_try <= %s;

-- next_of: what a receiver is to get next, in order; sent again, the same as before
SELECT number, at, sender, about, version, patient, body, tries FROM work.delivery
 WHERE address = %(address)s AND state IN ('waiting', 'failed') AND number <= coalesce(%(upto)s, 9223372036854775807)
 ORDER BY number LIMIT %(most)s;

-- begun: through which number the message under way goes
UPDATE work.receiver SET upto = %s WHERE address = %s;

-- taken: the receiver has said that it took them
UPDATE work.delivery SET state = 'delivered', tries = tries + 1, error = NULL, receipt = %(receipt)s, delivered_at = %(now)s
 WHERE address = %(address)s AND number BETWEEN %(first)s AND %(last)s AND state IN ('waiting', 'failed');

-- answered: the receiver takes what it is sent
UPDATE work.receiver SET tries = 0, first_failed = NULL, failing = false, error = NULL, upto = NULL, said = %(now)s,
    greet = greet AND NOT %(greeted)s, next_try = %(now)s WHERE address = %(address)s;

-- not_taken: they were not received this time
UPDATE work.delivery SET state = 'failed', tries = tries + 1, error = %(error)s,
    first_failed = coalesce(first_failed, %(now)s)
 WHERE address = %(address)s AND number BETWEEN %(first)s AND %(last)s AND state IN ('waiting', 'failed');

-- unanswered: the receiver did not take what it was sent; when to try again
UPDATE work.receiver SET tries = tries + 1, first_failed = coalesce(first_failed, %(now)s), error = %(error)s,
    next_try = %(next_try)s, failing = %(failing)s WHERE address = %(address)s;

-- shut: nothing more is sent to it
UPDATE work.receiver SET open = false, upto = NULL, error = %(error)s WHERE address = %(address)s;

-- stopped: what waited for a receiver that is shut
UPDATE work.delivery SET state = 'stopped', error = %(error)s WHERE address = %(address)s AND state IN ('waiting', 'failed');

-- undelivered: what has not been received for too long, oldest first; of one unit, or of all
SELECT d.about, d.patient, d.sender, r.name, r.provider, d.address, d.number, d.at, d.state, d.tries,
       coalesce(d.first_failed, r.first_failed), coalesce(d.error, r.error), r.next_try, d.delivered_at, d.receipt
  FROM work.delivery d JOIN work.receiver r USING (address)
 WHERE d.state <> 'delivered' AND d.at <= %(before)s AND (%(sender)s::text IS NULL OR d.sender = %(sender)s)
 ORDER BY d.at, d.address, d.number LIMIT %(limit)s;

-- undelivered_by_receiver: how much waits too long for each receiver, and since when; of one unit, or of all
SELECT d.address, r.name, r.provider, count(*), min(d.at), r.first_failed, r.error, r.next_try, r.open
  FROM work.delivery d JOIN work.receiver r USING (address)
 WHERE d.state <> 'delivered' AND d.at <= %(before)s AND (%(sender)s::text IS NULL OR d.sender = %(sender)s)
 GROUP BY d.address, r.address ORDER BY min(d.at);

-- about: what became of all that was sent about some resources, in order
SELECT d.about, d.patient, d.sender, r.name, r.provider, d.address, d.number, d.at, d.state, d.tries,
       coalesce(d.first_failed, r.first_failed), coalesce(d.error, r.error), r.next_try, d.delivered_at, d.receipt
  FROM work.delivery d JOIN work.receiver r USING (address)
 WHERE d.about = ANY(%(about)s::text[]) ORDER BY d.about, d.at, d.address, d.number;

-- tidied: what has been kept for as long as it is to be
DELETE FROM work.delivery WHERE state = 'delivered' AND delivered_at < %(before)s
    OR state = 'stopped' AND at < %(before)s;
