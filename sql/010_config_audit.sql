-- 010_config_audit: who changed what in the configuration.
--
-- config_audit   one row for every change of a rule, host, team, key or dead letter, written in the transaction of the
--                change: by whom, when, from where, why, and the row before and after it.
--
-- Promise: what was changed through the API is here, or was not changed. Rows are only added; a person makes a handful
-- a day, so there is no end to what is kept.

CREATE TABLE config_audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at timestamptz NOT NULL DEFAULT now(),
    actor      text        NOT NULL, -- name of the API key
    address    text        NOT NULL, -- where the request came from
    subject    text        NOT NULL, -- rule, development_host, team, dead_letters
    subject_id text        NOT NULL, -- id of the rule, name of the host
    action     text        NOT NULL, -- create, update, delete, replay, drop
    reason     text,
    before     jsonb,                -- the row as it was; NULL for create
    after      jsonb                 -- the row as it is then; NULL for delete
);
CREATE INDEX config_audit_subject ON config_audit (subject, subject_id, id);
