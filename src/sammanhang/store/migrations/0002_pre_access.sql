-- Who may come in: signing keys, log-ins under way, sessions and API clients. Secrets of the holder
-- (session cookie, authorization code, state, client secret) are kept as hashes only. The reader has
-- no right here: nothing that serves records can be led to a key or a session.
CREATE SCHEMA IF NOT EXISTS access;
GRANT USAGE ON SCHEMA access TO sammanhang_writer;

-- ES256 keys that sign ID tokens and access tokens; the newest signs, all not past `until` verify.
CREATE TABLE access.signing_key (
    kid text COLLATE "C" PRIMARY KEY,
    private jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz
);

-- Authorization codes of the built-in provider (RFC 6749 4.1, RFC 7636); `code` is a SHA-256.
CREATE TABLE access.authorization_code (
    code bytea PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    redirect_uri text COLLATE "C" NOT NULL,
    challenge text COLLATE "C" NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    name text NOT NULL,
    acr text COLLATE "C" NOT NULL,
    auth_time timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL,
    used timestamptz,
    issued text COLLATE "C"
);
CREATE INDEX authorization_code_expires ON access.authorization_code (expires);

-- Log-ins this system started and has not got an answer to; `state` and `browser` are SHA-256.
CREATE TABLE access.login_attempt (
    state bytea PRIMARY KEY,
    browser bytea NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    verifier text COLLATE "C" NOT NULL,
    next text COLLATE "C" NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX login_attempt_expires ON access.login_attempt (expires);

-- Logged-in people; `id` is the SHA-256 of the cookie. The assignment is kept as it was chosen, with
-- the version of its PractitionerRole: a newer version, or its end, makes the session look again.
CREATE TABLE access.session (
    id bytea PRIMARY KEY,
    person text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('staff', 'resident')),
    name text NOT NULL,
    loa smallint NOT NULL,
    csrf bytea NOT NULL,
    assignment jsonb,
    assignment_self bigint,
    assignment_version int,
    assignment_until timestamptz,
    id_token text COLLATE "C",
    agent text,
    created timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL
);
CREATE INDEX session_person ON access.session (person);
CREATE INDEX session_expires ON access.session (expires);

-- The assignment a person chose last, so that it stands first next time.
CREATE TABLE access.last_assignment (
    person text COLLATE "C" PRIMARY KEY,
    assignment text COLLATE "C" NOT NULL,
    chosen timestamptz NOT NULL DEFAULT now()
);

-- Programs that use the API. `secret` is an argon2id hash; `everything` trusts it with the whole
-- record; `demo` marks the client that is refused where SAMMANHANG_DEMO is false.
CREATE TABLE access.client (
    id text COLLATE "C" PRIMARY KEY,
    secret text COLLATE "C" NOT NULL,
    name text NOT NULL,
    scopes text[] COLLATE "C" NOT NULL,
    provider text COLLATE "C",
    everything boolean NOT NULL DEFAULT false,
    demo boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    created timestamptz NOT NULL DEFAULT now()
);

-- Access tokens taken back before their time (RFC 7009); kept until they would have expired anyway.
CREATE TABLE access.revoked_token (
    jti text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE INDEX revoked_token_until ON access.revoked_token (until);

-- At most one row, made in the demo only: the key the demo client's secret is derived from.
CREATE TABLE access.demo (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON access.signing_key, access.authorization_code,
    access.login_attempt, access.session, access.last_assignment, access.client,
    access.revoked_token, access.demo TO sammanhang_writer;
