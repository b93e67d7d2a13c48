-- sample: rules, hosts and teams to start with; `muttd standalone` loads them. Adds only what is missing.
--
-- alert_rules (ids 1..), development_hosts, device_teams. Promise: a second run changes nothing; a row that somebody
-- has changed, or a table of rules in use, is left alone.

INSERT INTO alert_rules (priority, name, match_type, match_string, trap_oid, severity_from, severity_to, app_name,
                         prod_handling, dev_handling, team_assignment)
SELECT * FROM (VALUES
    (10,   'Emergencies and alerts',  'contains',   NULL,                      NULL,                  0,    1,    NULL,
     'Page_and_ticket', 'Ticket_only', NULL),
    (20,   'Link down (trap)',        'oid_prefix', NULL,                      '1.3.6.1.6.3.1.1.5.3', NULL, NULL, NULL,
     'Page_and_ticket', 'Log_only',    'network'),
    (20,   'Link up (trap)',          'oid_prefix', NULL,                      '1.3.6.1.6.3.1.1.5.4', NULL, NULL, NULL,
     'Log_only',        'Log_only',    'network'),
    (20,   'BGP neighbour down',      'regex',      'BGP-5-ADJCHANGE.* Down',  NULL,                  NULL, NULL, NULL,
     'Page_and_ticket', 'Ticket_only', 'network'),
    (30,   'Cold start (trap)',       'oid_prefix', NULL,                      '1.3.6.1.6.3.1.1.5.1', NULL, NULL, NULL,
     'Ticket_only',     'Log_only',    'network'),
    (30,   'Line protocol down',      'regex',      'UPDOWN.*state to down',   NULL,                  NULL, NULL, NULL,
     'Page_only',       'Log_only',    'network'),
    (30,   'Line protocol up',        'regex',      'UPDOWN.*state to up',     NULL,                  NULL, NULL, NULL,
     'Log_only',        'Log_only',    'network'),
    (40,   'Power supply',            'contains',   'power supply',            NULL,                  NULL, NULL, NULL,
     'Page_and_ticket', 'Ticket_only', 'facilities'),
    (40,   'Disk full',               'contains',   'no space left on device', NULL,                  NULL, NULL, NULL,
     'Ticket_only',     'Log_only',    'systems'),
    (40,   'Out of memory',           'contains',   'out of memory',           NULL,                  NULL, NULL, NULL,
     'Page_only',       'Ticket_only', 'systems'),
    (60,   'Failed logins',           'regex',      'authentication failure|failed password', NULL,   NULL, NULL, NULL,
     'Ticket_only',     'Ignore',      'security'),
    (70,   'Device was configured',   'contains',   'SYS-5-CONFIG_I',          NULL,                  NULL, NULL, NULL,
     'Log_only',        'Ignore',      'network'),
    (90,   'Test alert',              'contains',   'mutt test',               NULL,                  NULL, NULL, NULL,
     'Ticket_only',     'Ticket_only', NULL),
    (100,  'Cron chatter',            'contains',   NULL,                      NULL,                  NULL, NULL, 'CRON',
     'Suppress',        'Suppress',    'systems'),
    (1000, 'Debugging output',        'contains',   NULL,                      NULL,                  7,    7,    NULL,
     'Ignore',          'Ignore',      NULL)
) AS sample (priority, name, match_type, match_string, trap_oid, severity_from, severity_to, app_name,
             prod_handling, dev_handling, team_assignment)
WHERE NOT EXISTS (SELECT FROM alert_rules);

INSERT INTO development_hosts (hostname, note) VALUES
    ('*.lab.example.com', 'everything in the laboratory'),
    ('dev-*',             'by the naming convention'),
    ('198.51.100.0/24',   'the test network (RFC 5737)')
ON CONFLICT DO NOTHING;

INSERT INTO device_teams (hostname, team_assignment, note) VALUES
    ('core-*',            'network',  'core routers'),
    ('db-*',              'database', NULL),
    ('192.0.2.0/24',      'network',  'management network (RFC 5737)')
ON CONFLICT DO NOTHING;
