"""The API, put together. The only module of the API that reaches the workers."""

from __future__ import annotations

from flask import Flask

from api.auth import require_tokens
from api.blueprints import (
    audit,
    cliniko,
    health,
    organization_syncs,
    organizations,
    properties,
    runs,
    schedules,
    syncs,
    wellness,
)
from api.context import EXTENSION, Services
from api.errors import register_error_handlers
from api.limits import TriggerLimit
from api.openapi import make_api, serve_docs
from api.rendering import OrjsonProvider
from api.requests import allow_origins, watch_requests
from config import settings as environment
from config.celery import QUEUES
from config.logging import configure_logging
from config.settings import WEB_THREADS, Settings
from syncapp.db import Database
from syncapp.sweep import Carrier
from workers.dispatch import CeleryDispatcher

BLUEPRINTS = (
    health,
    wellness,
    organization_syncs,
    cliniko,
    properties,
    runs,
    syncs,
    schedules,
    organizations,
    audit,
)


def create_app(
    settings: Settings | None = None,
    database: Database | None = None,
    dispatcher: Carrier | None = None,
) -> Flask:
    """The WSGI app. What is not given is made from the environment, by the first request: after the server has forked.

    Raises SettingsError where the environment is wrong or PostgreSQL's or Redis's address is missing.
    """
    if settings is None:
        settings = environment.service_settings()
        configure_logging(settings, "api")
    app = Flask("syncapp", static_folder=None)
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = Services(
        settings,
        QUEUES,
        TriggerLimit(settings),
        make_database=lambda: (
            database or Database(settings.database, pool_size=WEB_THREADS, application_name="syncapp-api")
        ),
        make_dispatcher=lambda: dispatcher or _connected(CeleryDispatcher(settings)),
    )
    watch_requests(app)
    require_tokens(app)
    register_error_handlers(app)
    allow_origins(app, settings)
    api = make_api(app)
    for module in BLUEPRINTS:
        api.register_blueprint(module.blueprint)
    serve_docs(app, api)
    return app


def _connected(dispatcher: CeleryDispatcher) -> CeleryDispatcher:
    dispatcher.prepare()
    return dispatcher
