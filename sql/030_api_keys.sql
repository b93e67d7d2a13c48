-- 030_api_keys: who may use the API and the page, besides the key in the secrets.
--
-- api_keys   one row for every key: its name (the actor in config_audit), role, end and last use, and what it is recognised by.
--
-- Promises: the key itself is nowhere, only its SHA-256. A key has 256 random bits, so nobody can find it by trying, and the
-- slow, salted hashes that passwords need would only slow every request. `last_used_at` is written at most once a minute.

CREATE TABLE api_keys (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used again: sessions name it
    name         text        NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    role         text        NOT NULL CHECK (role IN ('viewer', 'operator', 'editor', 'admin')),
    digest       bytea       NOT NULL UNIQUE CHECK (length(digest) = 32),
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
