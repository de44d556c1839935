-- Apps (SMART App Launch): how a client proves itself and where its answers go; what people granted to
-- it; codes, refresh tokens and launches. What the holder must keep secret is stored as SHA-256 only.
ALTER TABLE access.client ALTER COLUMN secret DROP NOT NULL;
ALTER TABLE access.client
    ADD COLUMN method text COLLATE "C" NOT NULL DEFAULT 'client_secret'
        CHECK (method IN ('none', 'client_secret', 'private_key_jwt')),
    ADD COLUMN jwks text,
    ADD COLUMN jwks_uri text COLLATE "C",
    ADD COLUMN redirect_uris text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN launch_url text COLLATE "C",
    ADD COLUMN publisher text NOT NULL DEFAULT '',
    ADD COLUMN offered text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN roles text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN made_by text COLLATE "C",
    ADD COLUMN closed timestamptz;
COMMENT ON COLUMN access.client.method IS 'how it proves itself: none (public), client_secret, private_key_jwt';
COMMENT ON COLUMN access.client.offered IS 'whom it is offered to: staff, resident; nobody for a backend service';
COMMENT ON COLUMN access.client.roles IS 'staff roles that see it in the chart; empty means every role';

-- A name for a session that lasts while its cookie changes: what an app was granted in it ends with it.
ALTER TABLE access.session ADD COLUMN serial uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX session_serial ON access.session (serial);

-- What a person let an app do. `started` is when the app fetched its first token; `offline` outlives the
-- session it was granted in. Rows are ended, never removed: they are part of what happened.
CREATE TABLE access.app_grant (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client text COLLATE "C" NOT NULL REFERENCES access.client,
    person text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('staff', 'resident')),
    name text NOT NULL,
    loa smallint NOT NULL,
    assignment text COLLATE "C",
    unit_name text NOT NULL DEFAULT '',
    scopes text[] COLLATE "C" NOT NULL,
    patient text COLLATE "C",
    encounter text COLLATE "C",
    nonce text COLLATE "C",
    session uuid NOT NULL,
    offline boolean NOT NULL,
    granted timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    started timestamptz,
    last_used timestamptz,
    ended timestamptz,
    ended_why text COLLATE "C"
);
CREATE INDEX app_grant_person ON access.app_grant (person, client) WHERE ended IS NULL;
CREATE INDEX app_grant_client ON access.app_grant (client) WHERE ended IS NULL;

CREATE TABLE access.app_code (
    code bytea PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES access.app_grant ON DELETE CASCADE,
    redirect_uri text COLLATE "C" NOT NULL,
    challenge text COLLATE "C" NOT NULL,
    expires timestamptz NOT NULL,
    used timestamptz
);
CREATE INDEX app_code_expires ON access.app_code (expires);

CREATE TABLE access.app_refresh (
    token bytea PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES access.app_grant ON DELETE CASCADE,
    expires timestamptz NOT NULL,
    used timestamptz
);
CREATE INDEX app_refresh_expires ON access.app_refresh (expires);

-- A launch from the chart: which app, by whom in which session, with which patient (and encounter).
CREATE TABLE access.app_launch (
    launch bytea PRIMARY KEY,
    client text COLLATE "C" NOT NULL REFERENCES access.client,
    session uuid NOT NULL,
    person text COLLATE "C" NOT NULL,
    patient text COLLATE "C" NOT NULL,
    encounter text COLLATE "C",
    expires timestamptz NOT NULL,
    used timestamptz
);
CREATE INDEX app_launch_expires ON access.app_launch (expires);

-- Signed assertions (RFC 7523) that were met: none counts twice, in any process.
CREATE TABLE access.assertion_seen (
    client text COLLATE "C" NOT NULL,
    jti bytea NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (client, jti)
);
CREATE INDEX assertion_seen_until ON access.assertion_seen (until);

-- RS256 keys that sign the ID tokens apps get: every OpenID client knows RS256 (OpenID Connect Core 15.1).
CREATE TABLE access.id_signing_key (
    kid text COLLATE "C" PRIMARY KEY,
    private jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON access.app_grant, access.app_code, access.app_refresh,
    access.app_launch, access.assertion_seen, access.id_signing_key TO sammanhang_writer;
