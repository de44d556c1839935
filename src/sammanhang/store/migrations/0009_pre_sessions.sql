-- Sessions that lock and know where they came from, what was typed on a locked one, and links from other
-- systems that carry person, assignment and patient (uthopp).

-- locked: by key, or by a page; a session unseen for some minutes is locked without it. issuer, subject and
-- sid are the provider's words for the log-in (OpenID Connect Back-Channel Logout 1.0); auth_time is when
-- the person proved who they are, null when the provider did not say.
ALTER TABLE access.session
    ADD COLUMN locked timestamptz,
    ADD COLUMN auth_time timestamptz,
    ADD COLUMN issuer text COLLATE "C",
    ADD COLUMN subject text COLLATE "C",
    ADD COLUMN sid text COLLATE "C";
CREATE INDEX session_subject ON access.session (issuer, subject) WHERE subject IS NOT NULL;
CREATE INDEX session_sid ON access.session (issuer, sid) WHERE sid IS NOT NULL;

-- What a log-in under way was begun for: the level it must reach, whether it must be made anew, and which
-- person's work it unlocks.
ALTER TABLE access.login_attempt
    ADD COLUMN started timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN level smallint NOT NULL DEFAULT 0,
    ADD COLUMN anew boolean NOT NULL DEFAULT false,
    ADD COLUMN person text COLLATE "C";

-- Forms that came to a session which could not take them: locked, in another assignment, or logged in too long
-- ago for the act. They go with the session.
CREATE TABLE access.kept_form (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session bytea NOT NULL REFERENCES access.session ON UPDATE CASCADE ON DELETE CASCADE,
    path text NOT NULL,
    assignment text COLLATE "C" NOT NULL,
    fields jsonb NOT NULL,
    kept timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX kept_form_session ON access.kept_form (session, kept);

-- Tokens of others that may be used once (logout tokens, context links), until they would have expired.
CREATE TABLE access.used_token (
    issuer text COLLATE "C" NOT NULL,
    jti text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX used_token_until ON access.used_token (until);

-- Systems that may send people here with a context link; `keys` is a JWK Set of public keys.
CREATE TABLE access.partner (
    issuer text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    keys jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    closed timestamptz
);

-- Context links that were checked and wait for the person to log in or to say yes; `id` is a SHA-256.
CREATE TABLE access.context_link (
    id bytea PRIMARY KEY,
    partner text COLLATE "C" NOT NULL,
    partner_name text NOT NULL,
    person text COLLATE "C" NOT NULL,
    assignment text COLLATE "C",
    unit text COLLATE "C",
    role text COLLATE "C",
    patient text COLLATE "C" NOT NULL,
    jti text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX context_link_until ON access.context_link (until);

GRANT SELECT, INSERT, UPDATE, DELETE ON access.kept_form, access.used_token, access.partner,
    access.context_link TO sammanhang_writer;
