"""The default schedule, from the registry, nothing else.

It gives a schedule its first value; afterwards the table `schedules` has the word (`syncapp.schedules`), and RedBeat
carries a mirror of that table (`workers.schedule`).
"""

from syncapp.definition import FirstSchedule
from syncapp.registry import SYNCS

BEAT_SCHEDULE: dict[str, FirstSchedule] = {sync.name: sync.every for sync in SYNCS}
