"""A database with something of everything in it, for tests that ask every route."""

from __future__ import annotations

import psycopg

ORGANIZATION = "furnished"
# The keys of organizations at a stand-in for Cliniko; the second one is the document's example of a key.
KEYS = {"default": "key-of-default-au1", ORGANIZATION: "MS0xNzM0NTY3ODkwLWFiY2Rl-au4"}
# By the name of a parameter in a path: what may stand there. For some routes only one of several will do.
PLACES = {
    "organization_id": [ORGANIZATION],
    "sync_id": ["done", "failed", "of-properties", "live"],
    "token_id": ["tok_furnished"],
    "name": ["clients"],
    "property_id": ["1"],
}
ROWS = f"""
INSERT INTO organizations (id, name) VALUES ('{ORGANIZATION}', 'Furnished');
INSERT INTO tokens (id, organization_id, name, role, token_hash) VALUES
    ('tok_furnished', '{ORGANIZATION}', 'of nobody', 'member', '\\x00');
INSERT INTO sync_runs (sync_id, sync, organization_id, mode, trigger, status, started_at, completed_at) VALUES
    ('done', 'clients', 'default', 'default', 'manual', 'completed', now(), now()),
    ('failed', 'clients', 'default', 'default', 'manual', 'failed', now(), now()),
    ('of-properties', 'properties', 'default', 'default', 'manual', 'completed', now(), now()),
    ('live', 'appointments', 'default', 'default', 'manual', 'running', now(), NULL);
INSERT INTO run_events (sync_id, seq, kind) VALUES ('done', 1, 'completed'), ('live', 1, 'started');
UPDATE sync_runs SET event_seq = 1 WHERE sync_id IN ('done', 'live');
INSERT INTO dead_letters (sync_id, organization_id, stream, external_id, error_type, message, record) VALUES
    ('done', 'default', 'clients', '1', 'invalid_data_format', 'no name', '{{"id": 1}}'),
    ('of-properties', 'default', 'properties', '2', 'invalid_data_format', 'no name', NULL);
INSERT INTO properties (organization_id, external_id, hotel_name, address) VALUES
    ('default', '1', 'Grand', '{{"city": "Rome"}}');
INSERT INTO run_changes (sync_id, stream, external_id, operation, before, after) VALUES
    ('done', 'clients', '1', 'updated', '{{"name": "Ann"}}', '{{"name": "Anna"}}'),
    ('of-properties', 'properties', '1', 'updated', '{{"address.city": "Rom"}}', '{{"address.city": "Rome"}}');
"""


def furnish(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(ROWS)
