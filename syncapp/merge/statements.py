"""The SQL of the merge, made once per table from its definition. Values travel as parameters or through COPY."""

from __future__ import annotations

from functools import cached_property

from syncapp.merge.encode import COPY_FORMAT
from syncapp.merge.table import Table

NOT_BROUGHT = """NOT EXISTS (
    SELECT FROM (SELECT unnest(keys) AS key FROM run_keys WHERE sync_id = %(sync_id)s AND stream = %(stream)s) seen
    WHERE seen.key = t.external_id)"""


class Statements:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.staging = f"merge_{table.name}"
        self.columns = ", ".join(table.names)

    @cached_property
    def create_staging(self) -> str:
        return (
            f"CREATE TEMP TABLE IF NOT EXISTS {self.staging} ON COMMIT DELETE ROWS AS "
            f"SELECT external_id, {self.columns}, row_hash FROM {self.table.name} WITH NO DATA"
        )

    @property
    def empty_staging(self) -> str:
        return f"DELETE FROM {self.staging}"

    @cached_property
    def copy(self) -> str:
        return f"COPY {self.staging} (external_id, {self.columns}, row_hash) FROM STDIN WITH ({COPY_FORMAT})"

    @cached_property
    def hashes(self) -> str:
        return (
            f"SELECT external_id, row_hash FROM {self.table.name} "
            "WHERE organization_id = %(organization)s AND external_id = ANY(%(keys)s::text[])"
        )

    @cached_property
    def copy_new(self) -> str:
        return (
            f"COPY {self.table.name} (external_id, {self.columns}, row_hash, organization_id, last_synced_at, "
            f"sync_status, is_mock) FROM STDIN WITH ({COPY_FORMAT})"
        )

    @cached_property
    def upsert(self) -> str:
        return self._upsert_from(self.staging)

    @cached_property
    def upsert_listing(self) -> str:
        """Tells the keys of the rows that it wrote, in place of how many."""
        return f"{self._merged_from(self.staging)} SELECT key FROM merged"

    @cached_property
    def upsert_few(self) -> str:
        """Rows as a JSON array of objects: for few of them this is cheaper than a COPY, which takes four statements."""
        return self._upsert_from(f"json_populate_recordset(NULL::{self.table.name}, %(rows)s::json)")

    def _upsert_from(self, source: str) -> str:
        return f"""{self._merged_from(source)}
            SELECT count(*) FILTER (WHERE done = 'created'), count(*) FILTER (WHERE done = 'updated'),
                count(*) FILTER (WHERE done = 'deleted') FROM merged"""

    def _merged_from(self, source: str) -> str:
        """Rows come in the order of their keys, so that two syncs that write the same rows do not deadlock."""
        updates = ", ".join(f"{name} = excluded.{name}" for name in self.table.names)
        more = "" if self.table.says_removed else ", deleted_at = NULL"
        more += self._counted if self.table.versioned else ""
        version = self.table.version
        newer = f"AND (t.{version} IS NULL OR excluded.{version} >= t.{version})" if version else ""
        return f"""
            WITH merged AS (
                INSERT INTO {self.table.name} AS t
                    (organization_id, external_id, {self.columns}, row_hash, last_synced_at, sync_status, is_mock)
                SELECT %(organization)s, external_id, {self.columns}, row_hash, now(), 'synced', %(mock)s
                FROM {source} ORDER BY external_id
                ON CONFLICT (organization_id, external_id) DO UPDATE SET
                    {updates}, row_hash = excluded.row_hash, last_synced_at = excluded.last_synced_at,
                    sync_status = 'synced', sync_errors = NULL, is_mock = excluded.is_mock{more}
                WHERE t.row_hash IS DISTINCT FROM excluded.row_hash AND (t.is_mock OR NOT excluded.is_mock)
                    AND (NOT %(keep_newer)s OR t.deleted_at IS NULL {newer})
                RETURNING t.external_id AS key, CASE WHEN t.deleted_at IS NOT NULL THEN 'deleted'
                    WHEN xmax = 0 THEN 'created' ELSE 'updated' END AS done
            )"""

    @cached_property
    def _counted(self) -> str:
        """Rows are written for other reasons too: somebody's edit that is put right, one that had failed."""
        was = ", ".join(f"t.{name}" for name in self.table.names)
        new = ", ".join(f"excluded.{name}" for name in self.table.names)
        differs = f"({was}) IS DISTINCT FROM ({new})"
        return (
            f", data_version = t.data_version + ({differs})::int"
            f", last_updated = CASE WHEN {differs} THEN now() ELSE t.last_updated END"
        )

    @cached_property
    def compare(self) -> str:
        """Rows as they are and as they would be. The planner is kept on the index: the staging has no statistics."""
        was = ", ".join(f"t.{name}" for name in self.table.names)
        new = ", ".join(f"s.{name}" for name in self.table.names)
        there = "true" if self.table.says_removed else "t.deleted_at IS NULL"
        removed = "s.deleted_at IS NOT NULL" if self.table.says_removed else "false"
        return f"""
            SELECT s.external_id, t.id IS NOT NULL AND {there}, ({was}) IS DISTINCT FROM ({new}), {removed},
                   {self._shown("t")}, {self._shown("s")}
            FROM {self.staging} s LEFT JOIN LATERAL (
                SELECT * FROM {self.table.name} x
                WHERE x.organization_id = %(organization)s AND x.external_id = s.external_id
            ) t ON true ORDER BY s.external_id"""

    def _shown(self, alias: str) -> str:
        """A row as the changes of a run show it: times as the API writes them, RFC 3339 in UTC with milliseconds."""
        utc = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        values = (
            f"'{column.name}', "
            + (utc.format(f"{alias}.{column.name}") if column.kind == "timestamp" else f"{alias}.{column.name}")
            for column in self.table.columns
        )
        return f"jsonb_build_object({', '.join(values)})"

    LIVE_KEYS = (
        "WHERE organization_id = %(organization)s AND external_id = ANY(%(keys)s) "
        "AND deleted_at IS NULL AND NOT is_mock"
    )

    def list_live(self, *, content: bool) -> str:
        return f"SELECT external_id, {self._content(content)} FROM {self.table.name} t {self.LIVE_KEYS}"

    def _content(self, wanted: bool) -> str:
        return self._shown("t") if wanted else "NULL"

    @cached_property
    def mark_deleted(self) -> str:
        return (
            f"UPDATE {self.table.name} SET deleted_at = now(), last_synced_at = now(), row_hash = NULL {self.LIVE_KEYS}"
        )

    @cached_property
    def mark_failed(self) -> str:
        return (
            f"UPDATE {self.table.name} t SET sync_status = 'error', sync_errors = f.message, row_hash = NULL "
            "FROM unnest(%(keys)s::text[], %(messages)s::text[]) AS f(key, message) "
            "WHERE t.organization_id = %(organization)s AND t.external_id = f.key AND NOT t.is_mock "
            "AND (t.sync_status, t.sync_errors) IS DISTINCT FROM ('error', f.message)"
        )

    @property
    def without_nested_loops(self) -> str:
        """Before any of the three below, in their transaction. A table that was filled a moment ago has no statistics:
        the planner takes it for a small one and would look through all keys of the read once for every row."""
        return "SET LOCAL enable_nestloop = off"

    @cached_property
    def _live(self) -> str:
        return (
            "t.organization_id = %(organization)s AND t.deleted_at IS NULL AND NOT t.is_mock "
            "AND t.sync_status <> 'pending'"
        )

    @cached_property
    def _missing(self) -> str:
        """Live rows that the read did not bring. What others wrote since the read began is left out."""
        return f"{self._live} AND t.last_synced_at < %(read_started)s AND {NOT_BROUGHT}"

    @cached_property
    def count_missing(self) -> str:
        return f"SELECT count(*) FROM {self.table.name} t WHERE {self._missing}"

    @cached_property
    def count_live(self) -> str:
        """Without the rows that others wrote since the read began."""
        others = f"{self._live} AND (t.last_synced_at < %(read_started)s) IS NOT TRUE AND {NOT_BROUGHT}"
        name = self.table.name
        return f"SELECT count(*) - (SELECT count(*) FROM {name} t WHERE {others}) FROM {name} t WHERE {self._live}"

    def list_missing(self, *, content: bool) -> str:
        return (
            f"SELECT t.external_id, {self._content(content)} FROM {self.table.name} t WHERE {self._missing} "
            "ORDER BY t.external_id"
        )

    @cached_property
    def delete_missing(self) -> str:
        return (
            f"UPDATE {self.table.name} t SET deleted_at = now(), last_synced_at = now(), row_hash = NULL "
            f"WHERE {self._missing}"
        )

    @cached_property
    def lock_rows(self) -> str:
        return (
            f"SELECT external_id, deleted_at IS NULL, {self._shown('t')} FROM {self.table.name} t "
            "WHERE organization_id = %(organization)s AND external_id = ANY(%(keys)s) AND NOT is_mock "
            "ORDER BY external_id FOR UPDATE"
        )

    @cached_property
    def put_back(self) -> str:
        """Patches are objects by column; columns that they do not name stay."""
        counted = ", data_version = t.data_version + 1, last_updated = now()" if self.table.versioned else ""
        return f"""
            UPDATE {self.table.name} t SET
                ({self.columns}) = (SELECT {self.columns} FROM jsonb_populate_record(t, given.patch)),
                row_hash = NULL, last_synced_at = now(), sync_status = 'synced', sync_errors = NULL{counted}
            FROM unnest(%(keys)s::text[], %(patches)s::text[]::jsonb[]) AS given(key, patch)
            WHERE t.organization_id = %(organization)s AND t.external_id = given.key"""

    @cached_property
    def turn(self) -> str:
        """Rows leave softly, or come back."""
        return f"""
            UPDATE {self.table.name} t SET deleted_at = CASE WHEN given.live THEN NULL ELSE now() END,
                row_hash = NULL, last_synced_at = now()
            FROM unnest(%(keys)s::text[], %(live)s::boolean[]) AS given(key, live)
            WHERE t.organization_id = %(organization)s AND t.external_id = given.key"""

    @cached_property
    def delete_mocks(self) -> str:
        return f"DELETE FROM {self.table.name} WHERE organization_id = %(organization)s AND is_mock"

    @cached_property
    def find_ids(self) -> str:
        return (
            f"SELECT external_id, id FROM {self.table.name} "
            "WHERE organization_id = %(organization)s AND external_id = ANY(%(keys)s)"
        )

    @cached_property
    def create_pending(self) -> str:
        """Rows known by their key alone, for their own stream to fill. A mock row that is referred to turns real."""
        return f"""
            INSERT INTO {self.table.name} AS t (organization_id, external_id, is_mock)
            SELECT %(organization)s, key, %(mock)s FROM unnest(%(keys)s::text[]) AS key ORDER BY key
            ON CONFLICT (organization_id, external_id) DO UPDATE SET is_mock = false, row_hash = NULL
            WHERE t.is_mock AND NOT excluded.is_mock"""

    @cached_property
    def enrich(self) -> str:
        """What a record carried of another row: fills and updates what it names, leaves the rest, yields to newer.

        Whether the row is live is for its own stream to say: a new one is pending until that has brought it.
        """
        names = self.table.names
        updates = ", ".join(f"{name} = coalesce(excluded.{name}, t.{name})" for name in names)
        before = ", ".join(f"t.{name}" for name in names)
        after = ", ".join(f"coalesce(excluded.{name}, t.{name})" for name in names)
        version = self.table.version
        newer = f"AND (t.{version} IS NULL OR coalesce(excluded.{version} >= t.{version}, true))" if version else ""
        return f"""
            INSERT INTO {self.table.name} AS t (organization_id, external_id, {self.columns}, last_synced_at, is_mock)
            SELECT %(organization)s, external_id, {self.columns}, now(), %(mock)s
            FROM {self.staging} ORDER BY external_id
            ON CONFLICT (organization_id, external_id) DO UPDATE SET
                {updates}, row_hash = NULL, last_synced_at = now(), is_mock = t.is_mock AND excluded.is_mock
            WHERE (({before}) IS DISTINCT FROM ({after}) OR t.is_mock)
              AND (t.is_mock OR NOT excluded.is_mock) {newer}"""
