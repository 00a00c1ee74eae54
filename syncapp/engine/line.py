"""Who waits for a worker, and who goes first. Conditions in SQL; those of one run call it `run`.

Nobody has more runs in workers' hands than the cap, nor one more while somebody with fewer waits.
"""

from __future__ import annotations

from typing import Any

from config.settings import Settings
from syncapp.engine.ending import UNHELD

PATIENCE = 2.0  # seconds after which a run waits for a worker: before that it may be on its way to a free one

DUE = f"{UNHELD} AND (resume_at IS NULL OR resume_at <= now())"
WAITS = f"{DUE} AND cancel_requested_at IS NULL AND attempt < %(attempts)s"
HELD = "lease_owner IS NOT NULL AND lease_expires_at > now()"

# Takes of one organization come one after the other: each counts what the one before it has committed. Foreign keys do
# not wait for this lock.
LOCK = """
SELECT FROM organizations WHERE id = (SELECT organization_id FROM sync_runs WHERE sync_id = %(sync_id)s)
FOR NO KEY UPDATE"""

HAS_ROOM = f"""
(SELECT count(*) FROM sync_runs WHERE organization_id = run.organization_id AND {HELD}) < %(most)s"""

# Somebody is an organization with fewer runs in workers' hands. This run is not counted among them: to one that is held
# another one of its own organization comes first too.
SOMEBODY_IS_FIRST = f"""
EXISTS (SELECT FROM sync_runs other, (
        SELECT count(*) AS runs FROM sync_runs
        WHERE organization_id = run.organization_id AND {HELD} HAVING count(*) > 0
    ) mine
    WHERE other.sync_id <> run.sync_id AND {WAITS}
      AND greatest(waiting_since, resume_at) < now() - make_interval(secs => %(patience)s)
      AND mine.runs > (SELECT count(*) FROM sync_runs theirs
            WHERE theirs.organization_id = other.organization_id AND theirs.sync_id <> run.sync_id AND {HELD}))"""


def line_values(settings: Settings) -> dict[str, Any]:
    """The parameters of the conditions."""
    return {
        "attempts": settings.worker_max_retries + 1,
        "most": settings.max_runs_per_organization,
        "patience": min(PATIENCE, settings.run_slice),
    }
