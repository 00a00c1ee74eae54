"""Flower's settings: `celery --app workers.app flower --conf=config/flower.py`.

Nobody sees a task without the user `admin` and the admin token; /metrics and /healthcheck are open.
FLOWER_ADDRESS (all) and FLOWER_PORT, else PORT, say where it listens.
"""

from __future__ import annotations

import os

from config.settings import SettingsError, settings

_settings = settings()
if _settings.syncapp_admin_token is None:
    raise SettingsError("SYNCAPP_ADMIN_TOKEN is missing: Flower asks for it as the password of the user admin")

basic_auth = [f"admin:{_settings.syncapp_admin_token.get_secret_value()}"]
port = int(os.environ.get("FLOWER_PORT") or os.environ.get("PORT") or _settings.flower_port)
max_tasks = 10_000
max_workers = 200
purge_offline_workers = 300
