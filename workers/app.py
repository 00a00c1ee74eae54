"""The workers' composition root: `celery -A workers.app worker|beat|flower`."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import celeryd_after_setup, setup_logging

from config.celery import celery_settings
from config.logging import configure_logging
from config.settings import Settings, SettingsError, service_settings, settings
from workers.keeper import KeeperStep


def make_app(given: Settings) -> Celery:
    """Raises SettingsError."""
    made = Celery("syncapp", include=["workers.tasks"])
    made.config_from_object(celery_settings(given))
    made.steps["worker"].add(KeeperStep)
    return made


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_we_do(**_: Any) -> None:
    configure_logging(settings(), "beat" if "beat" in sys.argv else "worker")


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _say_it_once(**_: Any) -> None:
    """Celery warns at every loss of the broker that 6.0 will change what we have chosen on purpose."""
    warnings.simplefilter("ignore", CPendingDeprecationWarning)


try:
    app = make_app(service_settings())
except SettingsError as error:
    raise SystemExit(f"syncapp cannot start.\n{error}") from None
