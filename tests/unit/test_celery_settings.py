"""Celery's settings: what must stand where, and what must be seen by nobody."""

from __future__ import annotations

import pytest
import redis
from celery import Celery
from redbeat.schedulers import ensure_conf, get_redis

from config.celery import celery_settings, client_settings
from config.settings import Settings, SettingsError

URL = "rediss://us%40er:s3cret%2Fpw@redis.example:6380/2?ssl_cert_reqs=none"


def app(url: str = URL) -> Celery:
    made = Celery("test", set_as_current=False)
    made.config_from_object(celery_settings(Settings(redis_url=url)))
    return made


def test_the_address_of_redis_is_needed() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        celery_settings(Settings())


def test_what_flower_shows_of_the_settings_holds_no_secret() -> None:
    shown = app().conf.table(with_defaults=True)
    assert "s3cret" not in repr(shown)
    assert "s3cret" not in app().conf.humanize()


def test_redbeat_reaches_redis_with_the_login_all_the_same() -> None:
    made = app()
    ensure_conf(made)
    options = get_redis(made).connection_pool.connection_kwargs
    assert (options["username"], options["password"]) == ("us@er", "s3cret/pw")
    assert (options["host"], options["port"], options["db"]) == ("redis.example", 6380, 2)
    assert options["ssl_cert_reqs"] == "none"
    assert get_redis(made).connection_pool.connection_class is redis.SSLConnection


def test_redbeat_without_a_login() -> None:
    made = app("redis://localhost:6379/0")
    ensure_conf(made)
    assert "password" not in get_redis(made).connection_pool.connection_kwargs


def test_the_visibility_timeout_stands_in_all_three_places() -> None:
    conf = app().conf
    values = {
        conf.broker_transport_options["visibility_timeout"],
        conf.result_backend_transport_options["visibility_timeout"],
        conf.visibility_timeout,
    }
    assert len(values) == 1


def test_messages_are_json_and_go_to_known_queues() -> None:
    conf = app().conf
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert [(queue.name, queue.routing_key) for queue in conf.task_queues] == [
        ("sync", "sync"),
        ("default", "default"),
        ("mailers", "mailers"),
    ]
    assert conf.task_create_missing_queues is False


def test_a_publisher_waits_less_than_a_worker() -> None:
    worker = celery_settings(Settings(redis_url=URL))["broker_transport_options"]
    client = client_settings(Settings(redis_url=URL))["broker_transport_options"]
    assert client["socket_timeout"] < worker["socket_timeout"]
    assert client["max_retries"] == 0
