-- Deliveries to systems outside: an outbox with tries and receipts, and FHIR subscriptions that fill it.
-- Only the writer and its jobs read these tables: who is told of whom is itself a trace, and a receiver's
-- headers hold its secrets. No clinical text lies here but for ready bodies of other channels than subscriptions.
CREATE SCHEMA IF NOT EXISTS work;
REVOKE ALL ON SCHEMA work FROM PUBLIC;
GRANT USAGE ON SCHEMA work TO sammanhang_writer;

-- Whom something is sent to. All that is sent to one goes one after the other, in the order of its numbers.
CREATE TABLE work.receiver (
    address text COLLATE "C" PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    name text NOT NULL,
    provider text COLLATE "C",
    url text COLLATE "C" NOT NULL,
    headers text[] NOT NULL DEFAULT '{}',
    seconds int NOT NULL,
    most int NOT NULL,
    open boolean NOT NULL DEFAULT true,
    greet boolean NOT NULL DEFAULT false,
    beat int,
    numbered bigint NOT NULL DEFAULT 0,
    upto bigint,
    tries int NOT NULL DEFAULT 0,
    next_try timestamptz NOT NULL DEFAULT now(),
    first_failed timestamptz,
    failing boolean NOT NULL DEFAULT false,
    said timestamptz,
    error text
) WITH (fillfactor = 50);
COMMENT ON COLUMN work.receiver.address IS 'Subscription/id, or a name of another registered receiver';
COMMENT ON COLUMN work.receiver.greet IS 'it must take a handshake before anything else';
COMMENT ON COLUMN work.receiver.numbered IS 'the number of its last delivery; no number is left out';
COMMENT ON COLUMN work.receiver.upto IS 'through which number the message under way goes: sent again, it is the same message';
COMMENT ON COLUMN work.receiver.failing IS 'it has failed for so long that it has been told of';
COMMENT ON COLUMN work.receiver.said IS 'when it last took anything';

CREATE TABLE work.delivery (
    address text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL,
    sender text COLLATE "C",
    about text COLLATE "C" NOT NULL,
    version int,
    patient bigint,
    body bytea,
    state text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'failed', 'delivered', 'stopped')),
    tries int NOT NULL DEFAULT 0,
    first_failed timestamptz,
    error text,
    receipt text,
    delivered_at timestamptz,
    PRIMARY KEY (address, number)
);
COMMENT ON COLUMN work.delivery.at IS 'when what it tells of happened';
COMMENT ON COLUMN work.delivery.sender IS 'HSA-id of the unit it is sent for, that is told when it does not arrive';
-- delivery_due: what is not received, by receiver, in order.
CREATE INDEX delivery_due ON work.delivery (address, number) WHERE state IN ('waiting', 'failed');
-- delivery_late: what has waited too long, for sender and operations.
CREATE INDEX delivery_late ON work.delivery (at) WHERE state <> 'delivered';
-- delivery_about: what became of a message, on the page of what it is about.
CREATE INDEX delivery_about ON work.delivery (about, at);
-- delivery_done: what has been kept long enough.
CREATE INDEX delivery_done ON work.delivery (delivered_at) WHERE state = 'delivered';

CREATE TABLE work.subscription (
    id text COLLATE "C" PRIMARY KEY,
    version int NOT NULL,
    client text COLLATE "C" NOT NULL,
    scopes text[] COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    filters text[] NOT NULL DEFAULT '{}',
    content text COLLATE "C" NOT NULL,
    ends timestamptz,
    status text COLLATE "C" NOT NULL CHECK (status IN ('requested', 'active', 'error', 'off')),
    error text
);
-- What a client asked for with a version of its Subscription that the resource does not hold: in whose name, and
-- the values of its headers. Written before the resource; what comes of no resource is swept away.
CREATE TABLE work.subscription_asked (
    id text COLLATE "C" NOT NULL,
    version int NOT NULL,
    client text COLLATE "C" NOT NULL,
    scopes text[] COLLATE "C" NOT NULL,
    headers text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, version)
);

-- Places in the event feed, by reader. A place is (tx, seq): what is before it has been seen. A transaction
-- still open has a number that no place has reached, so nothing is skipped. `cluster` tells a database that was
-- loaded into another server, where transactions are numbered anew.
CREATE TABLE work.feed (
    reader text COLLATE "C" PRIMARY KEY,
    tx xid8 NOT NULL,
    seq bigint NOT NULL,
    highest bigint NOT NULL,
    cluster bigint NOT NULL,
    moved timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN work.feed.highest IS 'the highest seq of what has been seen';
INSERT INTO work.feed (reader, tx, seq, highest, cluster)
    SELECT 'subscriptions', pg_snapshot_xmin(pg_current_snapshot()), 0, 0, system_identifier FROM pg_control_system();

GRANT SELECT, INSERT, UPDATE, DELETE ON work.receiver, work.delivery, work.subscription, work.subscription_asked,
    work.feed TO sammanhang_writer;

-- event_told: the events that subscriptions may tell of, in the order of their transactions.
CREATE INDEX event_told ON store.event (tx, seq) WHERE type IN ({Subscription}, {Task}, {ServiceRequest},
    {Communication}, {CommunicationRequest}, {CarePlan}, {Appointment}, {EpisodeOfCare});

-- work.queue: one delivery with the receiver's next number; 'SH010' for a receiver nobody registered.
CREATE FUNCTION work.queue(p_address text, p_at timestamptz, p_sender text, p_about text, p_version int,
    p_patient bigint, p_body bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    r work.receiver;
BEGIN
    UPDATE work.receiver SET numbered = numbered + 1 WHERE address = p_address RETURNING * INTO r;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such receiver' USING ERRCODE = 'SH010', DETAIL = p_address;
    END IF;
    INSERT INTO work.delivery (address, number, at, sender, about, version, patient, body, state, error)
        VALUES (p_address, r.numbered, p_at, p_sender, p_about, p_version, p_patient, p_body,
            CASE WHEN r.open THEN 'waiting' ELSE 'stopped' END, CASE WHEN NOT r.open THEN r.error END);
    RETURN r.numbered;
END $$;
REVOKE ALL ON FUNCTION work.queue FROM PUBLIC;
GRANT EXECUTE ON FUNCTION work.queue TO sammanhang_writer;
